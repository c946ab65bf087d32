/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time. Contract: base/when.h. Dates: ISO 8601 in the forms of RFC 3339, section 5.6. */
#include "base/when.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t when_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool when_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "1h30m": at least one number with a unit, and nothing else. */
static bool when_ago(const char *text, uint64_t *ret_ms)
{
    static const char units[] = "smhd";
    static const uint64_t ms[] = {1000, 60000, 3600000, 86400000};
    uint64_t sum = 0;

    do {
        char *end;
        unsigned long long n = strtoull(text, &end, 10);
        const char *unit = *end ? strchr(units, *end) : NULL;

        if (!when_is_digit(*text) || !unit || n > 1000000000)
            return false;
        sum += n * ms[unit - units];
        text = end + 1;
    } while (*text);
    *ret_ms = sum;
    return true;
}

/* ".123": as milliseconds; what stands behind it. */
static const char *when_fraction(const char *text, uint64_t *ms)
{
    unsigned scale = 100;

    if (*text != '.' || !when_is_digit(text[1]))
        return text;
    for (text++; when_is_digit(*text); text++, scale /= 10)
        *ms += (uint64_t)(*text - '0') * scale;
    return text;
}

static bool when_date(const char *text, uint64_t *ret_ms)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

    for (unsigned i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, forms[i], &tm);
        uint64_t fraction = 0;
        time_t at;

        if (!end || tm.tm_year < 70)
            continue;
        if (i == 0)
            end = when_fraction(end, &fraction);
        if (*end && strcmp(end, "Z") != 0)
            continue;
        at = *end ? timegm(&tm) : mktime(&tm);
        if (at < 0)
            continue;
        *ret_ms = (uint64_t)at * 1000 + fraction;
        return true;
    }
    return false;
}

static bool when_seconds(const char *text, uint64_t *ret_ms)
{
    uint64_t fraction = 0;
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (!when_is_digit(*text) || n > 100000000000 || *when_fraction(end, &fraction))
        return false;
    *ret_ms = n * 1000 + fraction;
    return true;
}

int when_parse(const char *what, const char *text, uint64_t now_ms, uint64_t *ret_ms,
               struct err *err)
{
    uint64_t ms;

    if (when_ago(text, &ms))
        *ret_ms = ms < now_ms ? now_ms - ms : 0;
    else if (when_date(text, &ms) || when_seconds(text, &ms))
        *ret_ms = ms;
    else
        return err_set(err, -EINVAL,
                       "%s '%.60s': expected a time such as 10m or 1h30m (ago), 2026-11-27T12:00, "
                       "or seconds since 1970",
                       what, text);
    return 0;
}
