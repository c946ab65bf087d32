/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI machine language. Contract: aml.h. A package's length is written in four bytes always, so
 * that it can be filled in when it is known. */
#include "board/aml.h"
#include "base/endian.h"
#include <string.h>

enum { OP_NAME = 0x08, OP_BYTE = 0x0a, OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_STRING = 0x0d };
enum { OP_QWORD = 0x0e, OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12, OP_EXT = 0x5b };
enum { OP_EXT_DEVICE = 0x82, LENGTH_BYTES = 4, SEGMENT = 4 };

void aml_bytes(struct aml *a, const void *data, size_t len)
{
    if (len > a->room - a->len) {
        a->failed = true;
        return;
    }
    memcpy(a->buf + a->len, data, len);
    a->len += len;
}

void aml_byte(struct aml *a, unsigned byte)
{
    uint8_t b = (uint8_t)byte;

    aml_bytes(a, &b, 1);
}

void aml_name_string(struct aml *a, const char *name)
{
    if (*name == '\\')
        aml_byte(a, (unsigned char)*name++);
    aml_bytes(a, name, SEGMENT);
}

void aml_integer(struct aml *a, uint64_t value)
{
    uint8_t le[8];

    st_le64(le, value);
    if (value <= 1) {
        aml_byte(a, (unsigned)value); /* ZeroOp, OneOp */
        return;
    }
    aml_byte(a, value <= UINT8_MAX    ? OP_BYTE
                : value <= UINT16_MAX ? OP_WORD
                : value <= UINT32_MAX ? OP_DWORD
                                      : OP_QWORD);
    aml_bytes(a, le,
              value <= UINT8_MAX    ? 1
              : value <= UINT16_MAX ? 2
              : value <= UINT32_MAX ? 4
                                    : 8);
}

void aml_string(struct aml *a, const char *text)
{
    aml_byte(a, OP_STRING);
    aml_bytes(a, text, strlen(text) + 1);
}

static unsigned eisa_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* Three letters of five bits and four hexadecimal digits, the high byte first. */
void aml_eisa_id(struct aml *a, const char *id)
{
    uint32_t v = (uint32_t)(id[0] - '@') << 26 | (uint32_t)(id[1] - '@') << 21 |
                 (uint32_t)(id[2] - '@') << 16;
    uint8_t be[4];

    for (unsigned i = 0; i < 4; i++)
        v |= eisa_digit(id[3 + i]) << (12 - 4 * i);
    st_be32(be, v);
    aml_byte(a, OP_DWORD);
    aml_bytes(a, be, sizeof(be));
}

/* --- Packages --- */
static void aml_begin(struct aml *a)
{
    static const uint8_t later[LENGTH_BYTES] = {0};

    if (a->depth == AML_DEPTH) {
        a->failed = true;
        return;
    }
    a->begin[a->depth++] = a->len;
    aml_bytes(a, later, sizeof(later));
}

void aml_end(struct aml *a)
{
    size_t at, len;

    if (a->failed || !a->depth)
        return;
    at = a->begin[--a->depth];
    len = a->len - at;
    a->buf[at] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (len & 15));
    for (unsigned i = 1; i < LENGTH_BYTES; i++)
        a->buf[at + i] = (uint8_t)(len >> (4 + 8 * (i - 1)));
}

void aml_scope(struct aml *a, const char *name)
{
    aml_byte(a, OP_SCOPE);
    aml_begin(a);
    aml_name_string(a, name);
}

void aml_device(struct aml *a, const char *name)
{
    aml_byte(a, OP_EXT);
    aml_byte(a, OP_EXT_DEVICE);
    aml_begin(a);
    aml_name_string(a, name);
}

void aml_package(struct aml *a, unsigned elements)
{
    aml_byte(a, OP_PACKAGE);
    aml_begin(a);
    aml_byte(a, elements);
}

/* --- Named objects --- */
void aml_name(struct aml *a, const char *name)
{
    aml_byte(a, OP_NAME);
    aml_name_string(a, name);
}

void aml_name_integer(struct aml *a, const char *name, uint64_t value)
{
    aml_name(a, name);
    aml_integer(a, value);
}

void aml_name_eisa(struct aml *a, const char *name, const char *id)
{
    aml_name(a, name);
    aml_eisa_id(a, id);
}

void aml_name_buffer(struct aml *a, const char *name, const uint8_t *data, size_t len)
{
    aml_name(a, name);
    aml_byte(a, OP_BUFFER);
    aml_begin(a);
    aml_integer(a, len);
    aml_bytes(a, data, len);
    aml_end(a);
}
