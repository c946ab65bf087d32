/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time as people write them. */
#pragma once

#include <posada/err.h>

/* To milliseconds since 1970 (UTC): "10m", "1h30m", "90s" (so long ago), "2026-11-27",
 * "2026-11-27T12:00[:00[.123]][Z]" (without Z: local time), "1790000000[.5]" (seconds since 1970).
 * what: for the sentence, "--since". now_ms: what "ago" counts from. */
int must_use when_parse(const char *what, const char *text, uint64_t now_ms, uint64_t *ret_ms,
                        struct err *err);
uint64_t when_now_ms(void);
