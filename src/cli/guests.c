/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the verbs that work on existing guests. */
#include "cli/guests.h"

#include "base/cleanup.h"
#include "cli/cli.h"
#include "ctr/ctr.h"
#include "ctr/own_user.h"
#include "host/dirs.h"
#include "vm/client.h"
#include "vm/config.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { SEE_OUT_MS = 2000, ORPHAN_TRIES = 8 };

void guests_tidy(void)
{
    ctr_tidy(); /* first: what goes on must not be taken for dead */
    store_tidy();
}

void guests_see_out(const struct guest *guest)
{
    struct guest_record record;

    if (guest_is_alive(guest) && !guest_read_record(guest, &record, NULL) &&
        vm_state_is_final(record.state))
        (void)!guest_wait_gone(guest, SEE_OUT_MS);
}

int guests_lock(struct guest *guest, struct err *err)
{
    int r = -EAGAIN;

    for (unsigned i = 0; i < ORPHAN_TRIES && r == -EAGAIN; i++) {
        if (i)
            guests_tidy();
        guests_see_out(guest);
        r = store_lock_guest(guest, err);
    }
    return r;
}

/* What users of a container owned, an ordinary user cannot remove as himself. */
static int guests_sweep(struct err *err)
{
    CLEANUP(free) char *path = NULL;
    int r = dirs_get_sub(DIRS_DATA, "guests", &path, err);

    if (!r)
        ctr_own_user_sweep(path);
    return r;
}

static int guests_remove_once(struct guest *guest,
                              int (*end)(struct guest *guest, unsigned seconds, struct err *err),
                              unsigned seconds, struct err *err)
{
    int r = end && guest_is_alive(guest) ? end(guest, seconds, err) : 0;

    if (r < 0)
        return r;
    guests_see_out(guest);
    r = store_remove(guest, err);
    if ((r != -EACCES && r != -EPERM) || !geteuid())
        return r;
    r = guests_sweep(err);
    return r ? r : store_remove(guest, err); /* fine once it has lost its name */
}

int guests_remove(struct guest *guest,
                  int (*end)(struct guest *guest, unsigned seconds, struct err *err),
                  unsigned seconds, struct err *err)
{
    int r = guests_remove_once(guest, end, seconds, err);

    /* Another monitor takes the container over first; or somebody has just started or ended it. */
    for (unsigned i = 1; i < ORPHAN_TRIES && (r == -EAGAIN || (end && r == -EBUSY)); i++) {
        guests_tidy();
        r = guests_remove_once(guest, end, seconds, err);
    }
    return r;
}

int guests_open(const char *name, struct guest *ret_guest, struct err *err)
{
    guests_tidy();
    return store_open(name, ret_guest, err);
}

int guests_each(const struct cli_args *args, const char *done,
                int (*fn)(const struct cli_args *args, struct guest *guest, struct err *err))
{
    int code = EXIT_OK;

    for (unsigned i = 0; i < args->operand_count; i++) {
        struct guest guest = GUEST_NONE;
        struct err err;
        int r = guests_open(args->operands[i], &guest, &err);

        if (!r)
            r = fn(args, &guest, &err);
        if (r < 0 && code == EXIT_OK)
            code = cli_fail(&err);
        else if (r < 0)
            (void)cli_fail(&err);
        else if (done)
            printf("%s\n", guest.name);
        guest_close(&guest);
    }
    return code;
}

json_t *guests_request(const char *op)
{
    return json_pack("{s:s}", "op", op);
}

int guests_ask_request(const struct guest *guest, json_t *request, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    int r = client_connect(guest, &fd, err);

    if (r < 0) {
        json_decref(request);
        return r;
    }
    r = client_ask(fd, request, NULL, err);
    return r < 0 ? err_wrap(err, r, "guest '%s'", guest->name) : 0;
}

int guests_ask(const struct guest *guest, const char *op, struct err *err)
{
    return guests_ask_request(guest, guests_request(op), err);
}

bool guests_is_container(const struct guest *guest)
{
    struct vm_config config = {0};
    bool container =
        !guest_read_config(guest, &config, NULL) && config.technique == TECHNIQUE_CONTAINER;

    vm_config_done(&config);
    return container;
}

void guests_state_text(const struct guest_record *record, char *buf, size_t size)
{
    const char *state = vm_state_name(record->state);
    uint64_t waited = (uint64_t)time(NULL) - record->started;

    if (record->state == VM_STARTING && record->started)
        snprintf(buf, size, "%s: %s, %llu s", state, record->reason, (unsigned long long)waited);
    else if (record->state == VM_STOPPED)
        snprintf(buf, size, "%s (%u)", state, record->exit_code);
    else
        snprintf(buf, size, "%s", state);
}

void guests_age_text(uint64_t since, char *buf, size_t size)
{
    static const struct {
        unsigned seconds;
        const char *unit;
    } steps[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    uint64_t now = (uint64_t)time(NULL), age = now > since ? now - since : 0;
    unsigned i = 0;

    while (i + 1 < ARRAY_LEN(steps) && age < steps[i].seconds)
        i++;
    snprintf(buf, size, "%llu %s", (unsigned long long)(age / steps[i].seconds), steps[i].unit);
}

void guests_size_text(uint64_t bytes, char *buf, size_t size)
{
    static const char units[] = "KMGT";
    unsigned i = 0;

    bytes >>= 10;
    while (i + 1 < sizeof(units) - 1 && bytes >= 1024 && bytes % 1024 == 0) {
        bytes >>= 10;
        i++;
    }
    snprintf(buf, size, "%llu%c", (unsigned long long)bytes, units[i]);
}
