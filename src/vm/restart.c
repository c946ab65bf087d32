/* SPDX-License-Identifier: Apache-2.0 */
/* Restart policies. Contract: vm/restart.h. */
#include "vm/restart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DELAY_FIRST_MS = 100, DELAY_MAX_MS = 60000, TRIES_MAX = 1000000 };

static int restart_parse_max(const char *text, unsigned *ret)
{
    unsigned long value;
    char *end;

    if (*text < '0' || *text > '9')
        return -EINVAL;
    value = strtoul(text, &end, 10);
    if (*end || value < 1 || value > TRIES_MAX)
        return -EINVAL;
    *ret = (unsigned)value;
    return 0;
}

int restart_parse(const char *text, struct restart_policy *ret, struct err *err)
{
    static const char *const names[] = {"no", "on-failure", "always", "unless-stopped"};
    size_t len = text ? strcspn(text, ":") : 0;

    if (!text || !*text) {
        *ret = (struct restart_policy){RESTART_NO, 0};
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        struct restart_policy policy = {(enum restart_when)i, 0};

        if (strlen(names[i]) != len || strncmp(names[i], text, len) != 0)
            continue;
        if (text[len] &&
            (i != RESTART_ON_FAILURE || restart_parse_max(text + len + 1, &policy.max)))
            break;
        *ret = policy;
        return 0;
    }
    return err_set(err, -EINVAL,
                   "--restart '%.80s': expected no, on-failure, on-failure:N (N from 1 to %d), "
                   "always or unless-stopped",
                   text, TRIES_MAX);
}

bool restart_is_due(const struct restart_policy *policy, const struct guest_record *record,
                    unsigned tries)
{
    bool failed = record->state == VM_FAILED || record->exit_code != 0;

    if (record->by_request || (policy->max && tries >= policy->max))
        return false;
    switch (policy->when) {
    case RESTART_NO: return false;
    case RESTART_ON_FAILURE: return failed;
    case RESTART_ALWAYS:
    case RESTART_UNLESS_STOPPED: return true;
    }
    return false;
}

bool restart_at_boot(const struct restart_policy *policy, bool stopped)
{
    return policy->when == RESTART_ALWAYS || (policy->when == RESTART_UNLESS_STOPPED && !stopped);
}

unsigned restart_delay_ms(unsigned tries)
{
    return tries > 9 ? DELAY_MAX_MS : (unsigned)DELAY_FIRST_MS << tries;
}
