/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS: DMTF DSP0134 3.4, 5.2.2 (64-bit entry point), 7.1, 7.2, 7.4, 7.17, 7.18. Enough for a
 * guest to say where it runs and how much memory was put in.
 */
#include "base/endian.h"
#include "board/x86_pc.h"
#include <errno.h>
#include <string.h>

enum { STRUCTURE_MAX = 64, TEXT_MAX = 64 };
enum { TYPE_BIOS = 0, TYPE_SYSTEM = 1, TYPE_CHASSIS = 3, TYPE_ARRAY = 16, TYPE_MODULE = 17 };
enum { TYPE_END = 127, HANDLE_ARRAY = 0x1000 };

struct smbios {
    uint8_t *buf;
    size_t room, len;
    bool failed;
};

/* A structure and its strings, each ended by a zero, the set by another. */
static void smbios_add(struct smbios *s, uint8_t *structure, unsigned type, unsigned handle,
                       unsigned len, const char *const *text)
{
    uint8_t strings[4 * TEXT_MAX];
    size_t n = 0;

    structure[0] = (uint8_t)type;
    structure[1] = (uint8_t)len;
    st_le16(structure + 2, (uint16_t)handle);
    for (; *text; text++) {
        memcpy(strings + n, *text, strlen(*text) + 1);
        n += strlen(*text) + 1;
    }
    if (!n)
        strings[n++] = 0;
    strings[n++] = 0;
    if (len + n > s->room - s->len) {
        s->failed = true;
        return;
    }
    memcpy(s->buf + s->len, structure, len);
    memcpy(s->buf + s->len + len, strings, n);
    s->len += len + n;
}

static void smbios_add_system(struct smbios *s)
{
    static const char *const bios[] = {"Posada", "1", "01/01/2026", NULL};
    static const char *const system[] = {"Posada", "x86_pc", "1", NULL};
    static const char *const chassis[] = {"Posada", NULL};
    uint8_t b[STRUCTURE_MAX] = {
        [4] = 1, [5] = 2, [8] = 3, [10] = 8, [19] = 0x1c, [22] = 0xff, [23] = 0xff};
    uint8_t y[STRUCTURE_MAX] = {[4] = 1, [5] = 2, [6] = 3, [24] = 6};
    uint8_t c[STRUCTURE_MAX] = {[4] = 1, [5] = 1, [9] = 3, [10] = 3, [11] = 3, [12] = 3};

    smbios_add(s, b, TYPE_BIOS, 0, 26, bios); /* is a virtual machine: byte 19 */
    smbios_add(s, y, TYPE_SYSTEM, 0x100, 27, system);
    smbios_add(s, c, TYPE_CHASSIS, 0x300, 22, chassis);
}

static void smbios_add_memory(struct smbios *s, uint64_t memory)
{
    static const char *const none[] = {NULL};
    static const char *const module[] = {"RAM", NULL};
    uint64_t mib = memory >> 20;
    uint8_t a[STRUCTURE_MAX] = {[4] = 1, [5] = 3, [6] = 3};
    uint8_t m[STRUCTURE_MAX] = {[14] = 9, [16] = 1, [18] = 7};

    st_le32(a + 7, 0x80000000u); /* see the extended one */
    st_le16(a + 11, 0xfffe);     /* no error information */
    st_le16(a + 13, 1);
    st_le64(a + 15, memory);
    st_le16(m + 4, HANDLE_ARRAY);
    st_le16(m + 6, 0xfffe);
    st_le16(m + 8, 64);
    st_le16(m + 10, 64);
    st_le16(m + 12, mib < 0x7fff ? (uint16_t)mib : 0x7fff);
    st_le32(m + 28, (uint32_t)mib);
    smbios_add(s, a, TYPE_ARRAY, HANDLE_ARRAY, 23, none);
    smbios_add(s, m, TYPE_MODULE, 0x1100, 40, module);
}

static void smbios_entry(uint8_t *e, uint64_t address, size_t len)
{
    uint8_t sum = 0;

    memset(e, 0, PC_SMBIOS_TABLES);
    memcpy(e, "_SM3_", 5);
    e[6] = PC_SMBIOS_ENTRY;
    e[7] = 3; /* version 3.4.0 */
    e[8] = 4;
    e[10] = 1;
    st_le32(e + 12, (uint32_t)len);
    st_le64(e + 16, address + PC_SMBIOS_TABLES);
    for (unsigned i = 0; i < PC_SMBIOS_ENTRY; i++)
        sum = (uint8_t)(sum + e[i]);
    e[5] = (uint8_t)-sum;
}

int pc_smbios_tables(uint64_t memory, unsigned cpus, uint8_t *buf, size_t room, uint64_t address,
                     uint32_t *ret_len, struct err *err)
{
    static const char *const none[] = {NULL};
    struct smbios s = {.buf = buf, .room = room, .len = PC_SMBIOS_TABLES};
    uint8_t end[STRUCTURE_MAX] = {0};

    smbios_add_system(&s);
    smbios_add_memory(&s, memory);
    smbios_add(&s, end, TYPE_END, 0x7f00, 4, none);
    if (s.failed)
        return err_set(err, -ENOSPC, "no room for the SMBIOS tables");
    smbios_entry(buf, address, s.len - PC_SMBIOS_TABLES);
    if (ret_len)
        *ret_len = (uint32_t)s.len;
    return 0;
}
