/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches a riscv-tests `tohost` word. Spec: riscv-test-env (p/riscv_test.h, v/vm.c) and the host
 * interface of the front-end server it was made for. The word is polled from the loop: the program
 * spins after it has written, so nothing is lost, and CPUs pay nothing for it.
 */
#include "vm/tohost.h"
#include "base/endian.h"
#include "host/loop.h"
#include "mem/mem.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { TOHOST_POLL_NS = 1000 * 1000, TOHOST_DEVICE_CONSOLE = 1, TOHOST_COMMAND_PUT = 1 };

struct tohost {
    struct tohost_config config;
    struct loop_timer *timer;
};

static void tohost_put(const struct tohost *t, uint8_t byte)
{
    struct chardev *console = t->config.console;

    if (console)
        (void)console->ops->write(console, &byte, 1); /* a full console loses it: test output */
}

/* Takes the word and clears it, which is the program's leave to write the next one. */
static uint64_t tohost_take(const struct tohost *t)
{
    uint8_t buf[8] = {0};
    uint64_t word;

    if (mem_read(t->config.mem, GPA(t->config.address), buf, sizeof(buf)))
        return 0;
    word = ld_le64(buf);
    st_le64(buf, 0);
    if (word && mem_write(t->config.mem, GPA(t->config.address), buf, sizeof(buf)))
        return 0;
    return word;
}

bool tohost_look(struct tohost *t)
{
    uint64_t word = tohost_take(t);
    unsigned device = (unsigned)(word >> 56), command = (unsigned)(word >> 48) & 0xff;

    if (device == TOHOST_DEVICE_CONSOLE && command == TOHOST_COMMAND_PUT)
        tohost_put(t, (uint8_t)word);
    if (device || !(word & 1))
        return false;
    t->config.power.request(t->config.power.arg, POWER_OFF, (unsigned)(word >> 1));
    return true;
}

static void tohost_poll(void *arg)
{
    struct tohost *t = (struct tohost *)arg;

    if (!tohost_look(t))
        loop_timer_set(t->timer, TOHOST_POLL_NS);
}

int tohost_new(const struct tohost_config *config, struct tohost **ret_tohost, struct err *err)
{
    struct tohost *t = calloc(1, sizeof(*t));
    _Atomic uint8_t *flags = mem_page_flags(config->mem, GPA(config->address));

    if (!t)
        return err_set(err, -ENOMEM, "no memory for the machine");
    t->config = *config;
    t->timer = loop_timer_new(config->loop, tohost_poll, t);
    if (!t->timer) {
        free(t);
        return err_set(err, -ENOMEM, "no memory for the machine");
    }
    if (flags) /* the program may write anew what has just been taken */
        atomic_fetch_or(flags, PAGE_SHARED);
    loop_timer_set(t->timer, TOHOST_POLL_NS);
    *ret_tohost = t;
    return 0;
}

void tohost_free(struct tohost *t)
{
    if (!t)
        return;
    loop_timer_free(t->timer);
    free(t);
}
