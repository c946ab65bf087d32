/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Put before every file by tools/lint: tells the analyzer that err_set() and err_wrap() return the
 * negative code they are given, so that it does not follow failures as if they were successes.
 */
#pragma once

#include <posada/err.h>

static inline int lint_negative(int code)
{
    if (code >= 0)
        __builtin_unreachable();
    return code;
}

#define err_set(err, code, ...)  ((void)(err_set)(err, code, __VA_ARGS__), lint_negative(code))
#define err_wrap(err, code, ...) ((void)(err_wrap)(err, code, __VA_ARGS__), lint_negative(code))
