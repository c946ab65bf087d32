/* SPDX-License-Identifier: Apache-2.0 */
/* Detach keys: a sequence such as "ctrl-p,ctrl-q" found in what is typed. */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

enum { KEYS_MAX = 8 };

struct keys {
    uint8_t sequence[KEYS_MAX];
    size_t len, matched;
    char text[80]; /* as it is to be shown */
};

/* text NULL: $POSADA_DETACH_KEYS, else ctrl-p,ctrl-q. */
int must_use keys_parse(struct keys *keys, const char *text, struct err *err);
/* Copies data to kept (room: len + KEYS_MAX) without a sequence that may still become the keys;
 * true when they were pressed. */
bool keys_filter(struct keys *keys, const uint8_t *data, size_t len, uint8_t *kept,
                 size_t *ret_len);
