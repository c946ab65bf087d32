/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/helpers.h"

#include "host/pass.h"
#include "host/process.h"
#include "vm/config.h"
#include "vm/events.h"
#include "vm/network.h"
#include "vm/restart.h"
#include "vm/shares.h"
#include <errno.h>
#include <posada/log.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SOUND_MS = RESTART_SOUND_SECONDS * 1000, END_STEPS = 100 };

static uint64_t helpers_now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void helper_kill(struct helper_slot *s)
{
    int status;

    if (s->pid) {
        (void)kill(s->pid, SIGKILL);
        (void)!process_wait(s->pid, &status);
    }
    s->pid = 0;
}

/* The first one at once; who dies again soon is waited for longer and longer. */
static void helper_schedule(struct helper_slot *s, uint64_t now)
{
    if (s->started_ms && now - s->started_ms >= SOUND_MS)
        s->tries = 0;
    s->due_ms = now + (s->tries ? restart_delay_ms(s->tries - 1) : 0);
    s->tries++;
    s->lost = true;
}

void helpers_lost(struct helpers *h, unsigned number)
{
    if (number >= HELPERS || h->slot[number].lost)
        return;
    helper_kill(&h->slot[number]); /* it may be there, but its monitor has done with it */
    helper_schedule(&h->slot[number], helpers_now_ms());
}

int helpers_timeout_ms(const struct helpers *h)
{
    uint64_t now = helpers_now_ms(), wait = UINT64_MAX;

    for (unsigned i = 0; i < HELPERS; i++) {
        const struct helper_slot *s = &h->slot[i];

        if (s->lost && s->due_ms <= now)
            return 0;
        if (s->lost && s->due_ms - now < wait)
            wait = s->due_ms - now;
    }
    return wait == UINT64_MAX ? -1 : (int)wait;
}

/* --- starting one --- */

static int helper_start(const struct vm_config *config, unsigned number, pid_t *ret_pid,
                        int ret_fds[HELPER_FDS_MAX], unsigned *ret_count, struct err *err)
{
    *ret_count = 1;
    if (number < HELPER_VSOCK)
        return network_start(config, number - HELPER_NET, STDERR_FILENO, ret_pid, ret_fds,
                             ret_count, err);
    if (number == HELPER_VSOCK)
        return network_start_vsock(config, STDERR_FILENO, ret_pid, ret_fds, err);
    *ret_count = 2;
    return share_restart(config, number - HELPER_SHARE, STDERR_FILENO, ret_pid, ret_fds, err);
}

static void helper_name(const struct vm_config *config, unsigned number, char *buf, size_t size)
{
    if (number < HELPER_VSOCK)
        snprintf(buf, size, "network %s", config->net[number - HELPER_NET].network);
    else if (number == HELPER_VSOCK)
        snprintf(buf, size, "vsock");
    else
        snprintf(buf, size, "share %s", config->share[number - HELPER_SHARE].tag);
}

static int helper_replace(struct helper_slot *s, const struct vm_config *config, unsigned number,
                          int link_fd, struct err *err)
{
    uint8_t message = (uint8_t)number;
    int fds[HELPER_FDS_MAX];
    unsigned count = 0;
    int r = helper_start(config, number, &s->pid, fds, &count, err);

    if (r < 0)
        return r;
    r = pass_send(link_fd, &message, sizeof(message), fds, count);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    return r < 0 ? err_set(err, r, "the guest's process does not take it: %s", strerror(-r)) : 0;
}

static void helper_run(struct helper_slot *s, const struct guest *guest, unsigned number,
                       int link_fd)
{
    struct vm_config config = {0};
    struct err err = {0};
    char name[120] = "";
    int r = guest_read_config(guest, &config, &err);

    if (!r) {
        helper_name(&config, number, name, sizeof(name));
        r = helper_replace(s, &config, number, link_fd, &err);
    }
    vm_config_done(&config);
    s->started_ms = helpers_now_ms();
    s->lost = false;
    if (!r) {
        event_add(EVENT_HELPER_RESTARTED, guest, json_pack("{s:s}", "helper", name));
        return;
    }
    helper_kill(s);
    helper_schedule(s, s->started_ms);
    log_warn("guest '%s': %s: its helper process cannot be started again: %s; tried once more in "
             "%d s",
             guest->name, name, err.text, (int)((s->due_ms - s->started_ms) / 1000));
}

void helpers_run(struct helpers *h, const struct guest *guest, int link_fd)
{
    uint64_t now = helpers_now_ms();

    for (unsigned i = 0; i < HELPERS; i++)
        if (h->slot[i].lost && h->slot[i].due_ms <= now)
            helper_run(&h->slot[i], guest, i, link_fd);
}

/* Their links have ended with the monitor, and so will they. */
void helpers_end(struct helpers *h)
{
    const struct timespec step = {.tv_nsec = 10000000};

    for (unsigned i = 0; i < HELPERS; i++) {
        struct helper_slot *s = &h->slot[i];

        for (unsigned k = 0; s->pid && k < END_STEPS; k++) {
            if (waitpid(s->pid, NULL, WNOHANG) != 0)
                s->pid = 0;
            else
                nanosleep(&step, NULL);
        }
        helper_kill(s);
    }
    *h = (struct helpers){0};
}
