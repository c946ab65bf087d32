/* SPDX-License-Identifier: Apache-2.0 */
/* posada rm: removes guests with all that belongs to them. */
#include "cli/guests.h"
#include "cli/verbs.h"
#include <errno.h>
#include <stdio.h>

enum { RM_TRIES = 8 };

static const struct cli_option rm_options[] = {
    {"force", 'f', NULL, "kill guests that run; say nothing of ones that do not exist"},
    CLI_OPTIONS_END,
};

static int rm_opened(struct guest *guest, bool force, struct err *err)
{
    int r = 0;

    if (force && guest_is_alive(guest)) {
        r = guests_kill(guest, err);
        if (r == -EBUSY) /* it ended by itself in between */
            r = 0;
    }
    if (r < 0)
        return r;
    guests_see_out(guest);
    return store_remove(guest, err);
}

static int rm_guest(const char *name, bool force, struct err *err)
{
    struct guest guest = GUEST_NONE;
    int r = guests_open(name, &guest, err);

    if (r < 0)
        return force && r == -ENOENT ? 0 : r;
    r = rm_opened(&guest, force, err);
    for (unsigned i = 0; i < RM_TRIES && r == -EAGAIN; i++) {
        guests_tidy(); /* another monitor takes the container over first */
        r = rm_opened(&guest, force, err);
    }
    if (!r)
        printf("%s\n", guest.name);
    guest_close(&guest);
    return r;
}

static int rm_run(const struct cli_args *args)
{
    int code = EXIT_OK;

    for (unsigned i = 0; i < args->operand_count; i++) {
        struct err err;

        if (rm_guest(args->operands[i], cli_has(args, "force"), &err) < 0)
            code = cli_fail(&err);
    }
    return code;
}

const struct cli_verb cli_rm_verb = {
    .name = "rm",
    .operands = "GUEST...",
    .summary = "Remove guests",
    .options = rm_options,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = rm_run,
};
