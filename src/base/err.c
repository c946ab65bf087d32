/* SPDX-License-Identifier: Apache-2.0 */
/* Errors a person will read: fixed text, caller-owned. Contract: include/posada/err.h. */
#include <errno.h>
#include <posada/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void err_mark_cut(struct err *err, int length)
{
    if (length >= (int)sizeof(err->text))
        memcpy(err->text + sizeof(err->text) - 4, "...", 4);
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return code;
    err->code = code;
    va_start(ap, fmt);
    err_mark_cut(err, vsnprintf(err->text, sizeof(err->text), fmt, ap));
    va_end(ap);
    return code;
}

int err_wrap(struct err *err, int code, const char *fmt, ...)
{
    char inner[sizeof(err->text)];
    va_list ap;
    int n;

    if (!err)
        return code;
    memcpy(inner, err->text, sizeof(inner));
    va_start(ap, fmt);
    n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    if (n >= 0 && n < (int)sizeof(err->text))
        n += snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", inner);
    err_mark_cut(err, n);
    err->code = code;
    return code;
}

enum posada_exit err_exit_code(int code)
{
    switch (code) {
    case 0: return EXIT_OK;
    case -EINVAL: return EXIT_USAGE;
    case -ENOENT: return EXIT_NOT_FOUND;
    case -EBUSY:
    case -EEXIST: return EXIT_WRONG_STATE;
    case -EACCES:
    case -EPERM: return EXIT_NO_PERMISSION;
    case -EOPNOTSUPP: return EXIT_NO_TECHNIQUE;
    case -ETIMEDOUT: return EXIT_TIMEOUT;
    case -ECANCELED: return EXIT_CANCELLED;
    default: return EXIT_FAILED;
    }
}
