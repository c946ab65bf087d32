/* SPDX-License-Identifier: Apache-2.0 */
/* Detach keys. Keys that turn out not to be the sequence reach the guest after all. */
#include "cli/keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int keys_add(struct keys *keys, const char *name, size_t len)
{
    int key = -1;

    if (len == 6 && !strncmp(name, "ctrl-", 5) &&
        strchr("abcdefghijklmnopqrstuvwxyz@[\\]^_", name[5]))
        key = name[5] & 0x1f;
    else if (len == 1)
        key = (unsigned char)name[0];
    if (key < 0 || keys->len == KEYS_MAX)
        return -EINVAL;
    keys->sequence[keys->len++] = (uint8_t)key;
    return 0;
}

static void keys_show(struct keys *keys, const char *text)
{
    size_t n = 0;

    for (; *text && n + 1 < sizeof(keys->text); text++)
        keys->text[n++] = *text == ',' ? ' ' : *text;
    keys->text[n] = '\0';
}

int keys_parse(struct keys *keys, const char *text, struct err *err)
{
    const char *env = getenv("POSADA_DETACH_KEYS"), *part;

    *keys = (struct keys){0};
    if (!text)
        text = env && *env ? env : "ctrl-p,ctrl-q";
    for (part = text;; part++) {
        size_t len = strcspn(part, ",");

        if (keys_add(keys, part, len) < 0)
            return err_set(err, -EINVAL,
                           "detach keys '%s': expected up to %d keys such as ctrl-p,ctrl-q or a,b",
                           text, KEYS_MAX);
        part += len;
        if (!*part)
            break;
    }
    keys_show(keys, text);
    return 0;
}

/* The longest beginning of the sequence that what was matched, less its first key, plus the new
 * key ends with. */
static size_t keys_fall_back(const struct keys *keys, uint8_t key)
{
    uint8_t seen[KEYS_MAX + 1];
    size_t total = keys->matched + 1;

    memcpy(seen, keys->sequence, keys->matched);
    seen[keys->matched] = key;
    for (size_t len = keys->matched; len; len--)
        if (!memcmp(seen + total - len, keys->sequence, len))
            return len;
    return 0;
}

bool keys_filter(struct keys *keys, const uint8_t *data, size_t len, uint8_t *kept, size_t *ret_len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        size_t before = keys->matched;

        if (data[i] == keys->sequence[before]) {
            if (++keys->matched == keys->len)
                return true;
            continue;
        }
        keys->matched = keys_fall_back(keys, data[i]);
        /* What is no longer part of a match goes on: first the held keys, then this one. */
        for (size_t k = 0; k < before + 1 - keys->matched; k++)
            kept[n++] = k < before ? keys->sequence[k] : data[i];
    }
    *ret_len = n;
    return false;
}
