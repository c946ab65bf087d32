/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors a person will read. A fallible function returns 0 or a negative errno; where the cause
 * deserves a sentence it takes a caller-owned `struct err` last. The text is built once, where the
 * cause is known: what failed, on which object, why, and what to do. No heap, no locale.
 */
#pragma once

#include <posada/types.h>

struct err {
    int code;       /* negative errno, 0 while nothing failed */
    char text[500]; /* one sentence, no trailing newline; cut with "..." when too long */
};

/* Control characters become spaces and '?': what a sentence cites may come from anywhere.
 * Sets code and text (err may be NULL) and returns code, so that `return err_set(...)` reads well.
 * A later err_set() replaces the earlier one. */
int err_set(struct err *err, int code, const char *fmt, ...) printf_fn(3, 4);

/* Puts "CONTEXT: " before an existing text and returns err->code (or code when err is NULL). */
int err_wrap(struct err *err, int code, const char *fmt, ...) printf_fn(3, 4);

/* Exit codes of the command line (docs: posada(1), EXIT STATUS). */
enum posada_exit {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_WRONG_STATE = 4,
    EXIT_NO_PERMISSION = 5,
    EXIT_NO_TECHNIQUE = 6,
    EXIT_TIMEOUT = 7,
    EXIT_CANCELLED = 8,
    EXIT_RUN_FAILED = 125,
    EXIT_CANNOT_INVOKE = 126,
    EXIT_COMMAND_NOT_FOUND = 127,
    EXIT_SIGNAL_BASE = 128,
};

/* The exit code that a negative errno stands for: -ENOENT 3, -EINVAL 2, -EBUSY/-EEXIST 4,
 * -EACCES/-EPERM 5, -EOPNOTSUPP 6, -ETIMEDOUT 7, -ECANCELED 8, anything else 1. */
enum posada_exit err_exit_code(int code);
