/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's ends of `posada cp` as commands: of the agent in a VM, of this program in a
 * container's root. They run in a process of their own, as any command, and clean up when they are
 * told to stop or the stream ends too early.
 */
#include "copy/copy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t command_stopped;

static void command_stop(int signal)
{
    command_stopped = 1;
}

static bool command_is_stopped(void *arg)
{
    return command_stopped;
}

static void command_warn(void *arg, const char *text)
{
    (void)fprintf(stderr, "posada: in the guest: %s\n", text);
}

/* Without SA_RESTART: a read that waits must end. */
static void command_signals(void)
{
    const struct sigaction stop = {.sa_handler = command_stop};

    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGHUP, &stop, NULL);
    (void)sigaction(SIGQUIT, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int copy_command(char *const *argv)
{
    const struct copy_watch watch = {.warn = command_warn, .stop = command_is_stopped};
    struct copy_unpack unpack = {.mask = 07777, .watch = watch};
    struct err err = {0};
    int r = -EINVAL;

    command_signals();
    if (argv[0] && argv[1] && strcmp(argv[0], "pack") == 0) {
        r = copy_pack(argv[1], 1, argv[2] != NULL, &watch, &err);
    } else if (argv[0] && argv[1] && strcmp(argv[0], "unpack") == 0) {
        unpack.path = argv[1];
        unpack.name = argv[2];
        r = copy_unpack(&unpack, 0, &err);
    }
    if (r < 0)
        (void)fprintf(stderr, "posada: in the guest: %s\n", err.text);
    return r < 0 ? (int)err_exit_code(r) : 0;
}
