/* SPDX-License-Identifier: Apache-2.0 */
/* Signals by name. Contract: host/signals.h. */
#include "host/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNAL_LAST = 64 };

int signal_parse(const char *text)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (*text >= '0' && *text <= '9')
        return *end || number < 1 || number > SIGNAL_LAST ? -EINVAL : (int)number;
    if (!strncasecmp(text, "SIG", 3))
        text += 3;
    for (int i = 1; i < SIGRTMIN; i++) {
        const char *name = sigabbrev_np(i);

        if (name && !strcasecmp(name, text))
            return i;
    }
    return -EINVAL;
}
