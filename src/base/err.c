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

/* Names in a sentence may come from anywhere; a terminal that shows it must not obey them. Also the
 * controls that UTF-8 writes as C2 80 to C2 9F. */
static void err_make_harmless(char *text)
{
    size_t len = strlen(text);

    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c == '\n' || *c == '\t')
            *c = ' ';
        else if (*c < ' ' || *c == 0x7f)
            *c = '?';
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            *c = c[1] = '?';
    }
    while (len && text[len - 1] == ' ')
        text[--len] = '\0';
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
    err_make_harmless(err->text);
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
    err_make_harmless(err->text);
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
