/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a program and listening to it: its output, what it says went wrong, and status lines on
 * descriptor CHILD_STATUS_FD. The program dies with us, whichever way we go.
 */
#pragma once

#include "base/buf.h"
#include <posada/err.h>
#include <stdbool.h>

enum { CHILD_STATUS_FD = 3, CHILD_ERRORS = 2048 };

struct child {
    const char *const *argv; /* NULL-terminated; looked up in PATH */
    int (*run)(void *arg);   /* not NULL: called in the new process instead of argv; its status */
    void *run_arg;
    const char *directory; /* NULL: ours */
    struct buf *output;    /* NULL: dropped */
    size_t output_cap;
    void (*status)(void *arg, const char *line); /* NULL: no status descriptor */
    bool output_is_status;                       /* its lines of output are status lines too */
    void (*tick)(void *arg); /* NULL, or called five times a second while it runs */
    void *arg;
    char errors[CHILD_ERRORS]; /* end of what it wrote to stderr */
};

/* The exit status (128+n for a signal), or a negative errno; -ENOENT: no such program. */
int must_use child_run(struct child *c, struct err *err);
/* The line of errors that begins with prefix ("E: "), copied without it; false: none. */
bool child_error_line(const struct child *c, const char *prefix, char *line, size_t size);
