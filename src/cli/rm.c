/* SPDX-License-Identifier: Apache-2.0 */
/* posada rm: removes guests with all that belongs to them. */
#include "cli/guests.h"
#include "cli/verbs.h"
#include <errno.h>
#include <stdio.h>

static const struct cli_option rm_options[] = {
    {"force", 'f', NULL, "kill guests that run; say nothing of ones that do not exist"},
    CLI_OPTIONS_END,
};

static int rm_kill(struct guest *guest, unsigned seconds, struct err *err)
{
    int r = guests_kill(guest, err);

    return r == -EBUSY ? 0 : r; /* it ended by itself in between */
}

static int rm_guest(const char *name, bool force, struct err *err)
{
    struct guest guest = GUEST_NONE;
    int r = guests_open(name, &guest, err);

    if (r < 0)
        return force && r == -ENOENT ? 0 : r;
    r = guests_remove(&guest, force ? rm_kill : NULL, 0, err);
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
