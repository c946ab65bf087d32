/* SPDX-License-Identifier: Apache-2.0 */
/* Writing tar headers. Contract: copy/tar.h. */
#include "copy/tar.h"

#include <stdio.h>
#include <string.h>

enum { /* offsets in a header block */
       AT_NAME = 0,
       AT_MODE = 100,
       AT_UID = 108,
       AT_GID = 116,
       AT_SIZE = 124,
       AT_MTIME = 136,
       AT_SUM = 148,
       AT_TYPE = 156,
       AT_LINK = 157,
       AT_MAGIC = 257,
       NAME_FIELD = 100,
};
#define OCTAL_MAX UINT64_C(077777777777)

static void put_octal(uint8_t *at, unsigned digits, uint64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%0*llo", (int)digits, (unsigned long long)value);
    memcpy(at, text, digits); /* the NUL is there */
}

static void put_name(uint8_t *at, const char *name)
{
    memcpy(at, name, strnlen(name, NAME_FIELD));
}

static size_t put_block(uint8_t *out, char type, const char *name, const char *link, uint32_t mode,
                        uint64_t size, uint64_t mtime)
{
    unsigned sum = 0;

    memset(out, 0, COPY_TAR_BLOCK);
    put_name(out + AT_NAME, name);
    put_octal(out + AT_MODE, 7, mode & 07777);
    put_octal(out + AT_UID, 7, 0);
    put_octal(out + AT_GID, 7, 0);
    put_octal(out + AT_SIZE, 11, size <= OCTAL_MAX ? size : 0);
    put_octal(out + AT_MTIME, 11, mtime <= OCTAL_MAX ? mtime : 0);
    out[AT_TYPE] = (uint8_t)type;
    put_name(out + AT_LINK, link);
    memcpy(out + AT_MAGIC, "ustar\00000", 8);
    memset(out + AT_SUM, ' ', 8);
    for (unsigned i = 0; i < COPY_TAR_BLOCK; i++)
        sum += out[i];
    put_octal(out + AT_SUM, 6, sum);
    out[AT_SUM + 6] = '\0';
    return COPY_TAR_BLOCK;
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static size_t put_record(char *at, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, len = rest + 1;

    while ((size_t)snprintf(NULL, 0, "%zu", len) + rest != len)
        len++;
    (void)sprintf(at, "%zu %s=%s\n", len, key, value);
    return len;
}

/* An extended header around the records that stand behind its block already. */
static size_t put_extended(uint8_t *out, char type, size_t len)
{
    size_t padded = (len + COPY_TAR_BLOCK - 1) / COPY_TAR_BLOCK * COPY_TAR_BLOCK;

    (void)put_block(out, type, "pax", "", 0644, len, 0);
    memset(out + COPY_TAR_BLOCK + len, 0, padded - len);
    return COPY_TAR_BLOCK + padded;
}

size_t copy_tar_encode(const struct copy_entry *e, uint8_t *out)
{
    char *records = (char *)out + COPY_TAR_BLOCK;
    size_t len = 0, n = 0;
    char number[24];

    if (strlen(e->name) > NAME_FIELD)
        len += put_record(records + len, "path", e->name);
    if (strlen(e->link) > NAME_FIELD)
        len += put_record(records + len, "linkpath", e->link);
    if (e->size > OCTAL_MAX) {
        (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)e->size);
        len += put_record(records + len, "size", number);
    }
    if (len)
        n = put_extended(out, 'x', len);
    return n + put_block(out + n, e->type, e->name, e->link, e->mode, e->size,
                         e->mtime > 0 ? (uint64_t)e->mtime : 0);
}

size_t copy_tar_encode_total(uint64_t total, uint8_t *out)
{
    char number[24];

    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)total);
    return put_extended(out, 'g', put_record((char *)out + COPY_TAR_BLOCK, "POSADA.total", number));
}
