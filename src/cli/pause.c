/* SPDX-License-Identifier: Apache-2.0 */
/* posada pause, resume: let guests stand still, and go on. */
#include "cli/guests.h"
#include "cli/verbs.h"

static int pause_guest(const struct cli_args *args, struct guest *guest, struct err *err)
{
    return guests_ask(guest, "pause", err);
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
    return guests_ask(guest, "resume", err);
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
