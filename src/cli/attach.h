/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal, or a pipe, at a stream of the guest: console, the guest's own command, an exec. Raw
 * mode, window size, detach keys and signals are the same for every verb that attaches.
 */
#pragma once

#include "vm/store.h"

struct attach {
    int fd;            /* control connection that has just become a stream */
    const char *guest; /* its name, for messages */
    bool command;      /* a command, which may still have to start; else a console */
    bool tty;          /* our terminal becomes raw */
    bool input;        /* standard input goes to the guest */
    bool quiet;        /* no hint about the detach keys */
    const char *keys;  /* detach keys, NULL: the setting (attach_keys()) */
};

enum attach_end {
    ATTACH_EXITED,    /* code is the command's (or guest's) own */
    ATTACH_FAILED,    /* text says why; code is 125, 126 or 127 */
    ATTACH_DETACHED,  /* by the detach keys */
    ATTACH_CANCELLED, /* code is the signal */
    ATTACH_LOST,      /* the guest's process went away without a word */
};

struct attach_result {
    enum attach_end end;
    unsigned code;
    char text[300];
};

int must_use attach_run(const struct attach *a, struct attach_result *ret, struct err *err);
/* Checks keys written like "ctrl-p,ctrl-q"; NULL: the setting. */
int must_use attach_keys_check(const char *keys, struct err *err);
/* The exit code for how it ended; says what is to be said on stderr. */
int attach_exit_code(const struct attach_result *result);
/* For requests that become streams: rows and columns of our terminal, when it is one. */
void attach_add_size(void *json_request);
