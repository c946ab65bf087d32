/* SPDX-License-Identifier: Apache-2.0 */
/* posada pause, resume: let guests stand still, and go on. */
#include "base/cleanup.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "vm/client.h"

static int pause_ask(struct guest *guest, const char *op, struct err *err)
{
    CLEANUP(fd) int fd = -1;
    int r = client_connect(guest, &fd, err);

    if (r < 0)
        return r;
    r = client_ask(fd, guests_request(op), NULL, err);
    return r < 0 ? err_wrap(err, r, "guest '%s'", guest->name) : 0;
}

static int pause_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    return pause_ask(guest, "pause", err);
}

static int pause_run(const struct cli_args *args)
{
    return guests_each(args, "paused", pause_guest);
}

const struct cli_verb cli_pause_verb = {
    .name = "pause",
    .operands = "GUEST...",
    .summary = "Let guests stand still, with their time",
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = pause_run,
};

static int resume_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    return pause_ask(guest, "resume", err);
}

static int resume_run(const struct cli_args *args)
{
    return guests_each(args, "resumed", resume_guest);
}

const struct cli_verb cli_resume_verb = {
    .name = "resume",
    .operands = "GUEST...",
    .summary = "Let paused guests go on",
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = resume_run,
};
