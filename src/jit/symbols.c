/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbol files; hostile: every offset is checked, sizes are capped. A function without a size ends
 * where the next one begins, at most SPAN_MAX behind its start. Contract: symbols.h.
 */
#include "jit/symbols.h"

#include "base/cleanup.h"
#include "base/endian.h"
#include "host/file.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 30)
#define SPAN_MAX ((uint64_t)1 << 20)

struct symbol {
    uint64_t address;
    const char *name; /* in text */
};

struct symbols {
    char *text; /* the file, terminated; names are cut out of it in place */
    size_t len;
    struct symbol *symbol;
    size_t count, room;
};

static int symbols_add(struct symbols *s, uint64_t address, const char *name)
{
    if (s->count == s->room) {
        size_t room = s->room ? 2 * s->room : 1024;
        struct symbol *more = reallocarray(s->symbol, room, sizeof(*more));

        if (!more)
            return -ENOMEM;
        s->symbol = more;
        s->room = room;
    }
    s->symbol[s->count++] = (struct symbol){address, name};
    return 0;
}

/* --- Lines --- */

/* "ADDRESS TYPE NAME"; other lines are skipped. Text ends in a zero. */
static int symbols_line(struct symbols *s, char *line)
{
    char *end, *name;
    uint64_t address = strtoull(line, &end, 16);

    if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ' || !strchr("tTwW", end[1]))
        return 0;
    name = end + 3;
    name[strcspn(name, " \t\r")] = 0;
    return name[0] && name[0] != '$' ? symbols_add(s, address, name) : 0;
}

static int symbols_lines(struct symbols *s)
{
    char *next, *line = s->text;
    int r = 0;

    for (; !r && line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        r = symbols_line(s, line);
    }
    return r;
}

/* --- ELF --- */

static const uint8_t *elf_range(const struct symbols *s, uint64_t at, uint64_t len)
{
    return at <= s->len && len <= s->len - at ? (const uint8_t *)s->text + at : NULL;
}

static const uint8_t *elf_section(const struct symbols *s, unsigned index)
{
    const uint8_t *h = elf_range(s, 0, sizeof(Elf64_Ehdr));

    if (!h || h[EI_CLASS] != ELFCLASS64 || h[EI_DATA] != ELFDATA2LSB ||
        index >= ld_le16(h + offsetof(Elf64_Ehdr, e_shnum)) ||
        ld_le16(h + offsetof(Elf64_Ehdr, e_shentsize)) != sizeof(Elf64_Shdr))
        return NULL;
    h = elf_range(s, ld_le64(h + offsetof(Elf64_Ehdr, e_shoff)),
                  (index + 1ul) * sizeof(Elf64_Shdr));
    return h ? h + index * sizeof(Elf64_Shdr) : NULL;
}

static const uint8_t *elf_content(const struct symbols *s, const uint8_t *section, uint64_t *ret)
{
    *ret = ld_le64(section + offsetof(Elf64_Shdr, sh_size));
    return elf_range(s, ld_le64(section + offsetof(Elf64_Shdr, sh_offset)), *ret);
}

static int elf_symbol(struct symbols *s, const uint8_t *sym, const char *names, uint64_t names_len)
{
    unsigned type = ELF64_ST_TYPE(sym[offsetof(Elf64_Sym, st_info)]);
    uint32_t name = ld_le32(sym + offsetof(Elf64_Sym, st_name));

    if ((type != STT_FUNC && type != STT_NOTYPE) || !ld_le16(sym + offsetof(Elf64_Sym, st_shndx)) ||
        name >= names_len || !memchr(names + name, 0, names_len - name) || !names[name] ||
        names[name] == '$' || names[name] == '.')
        return 0;
    return symbols_add(s, ld_le64(sym + offsetof(Elf64_Sym, st_value)), names + name);
}

static int elf_table(struct symbols *s, const uint8_t *table)
{
    const uint8_t *strings = elf_section(s, ld_le32(table + offsetof(Elf64_Shdr, sh_link)));
    uint64_t len, names_len;
    const uint8_t *sym = elf_content(s, table, &len);
    const uint8_t *names = strings ? elf_content(s, strings, &names_len) : NULL;
    int r = 0;

    if (!sym || !names)
        return 0;
    for (uint64_t at = 0; !r && len - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym))
        r = elf_symbol(s, sym + at, (const char *)names, names_len);
    return r;
}

static int symbols_elf(struct symbols *s)
{
    const uint8_t *section;
    int r = 0;

    for (unsigned i = 0; !r && (section = elf_section(s, i)); i++)
        if (ld_le32(section + offsetof(Elf64_Shdr, sh_type)) == SHT_SYMTAB)
            r = elf_table(s, section);
    return r;
}

/* --- Both --- */

static int symbols_compare(const void *a, const void *b)
{
    uint64_t x = ((const struct symbol *)a)->address, y = ((const struct symbol *)b)->address;

    return (x > y) - (x < y);
}

int symbols_load(const char *path, struct symbols **ret_symbols, struct err *err)
{
    struct symbols *s = calloc(1, sizeof(*s));
    int r = -ENOMEM;

    if (s)
        r = file_read(AT_FDCWD, path, FILE_MAX, &s->text, &s->len, err);
    else
        err_set(err, r, "symbols %s: no memory", path);
    if (!r) {
        r = s->len >= 4 && !memcmp(s->text, ELFMAG, 4) ? symbols_elf(s) : symbols_lines(s);
        if (!r && !s->count)
            r = -ENOEXEC;
        if (r)
            err_set(err, r, "symbols %s: %s", path,
                    r == -ENOEXEC
                        ? "no function names in it; give a vmlinux or System.map with them"
                        : "no memory");
    }
    if (r) {
        symbols_free(s);
        return r;
    }
    qsort(s->symbol, s->count, sizeof(*s->symbol), symbols_compare);
    *ret_symbols = s;
    return 0;
}

void symbols_free(struct symbols *s)
{
    if (!s)
        return;
    free(s->symbol);
    free(s->text);
    free(s);
}

const char *symbols_find(const struct symbols *s, uint64_t address)
{
    size_t low = 0, high = s->count;

    while (low < high) { /* how many begin at the address or before */
        size_t middle = low + (high - low) / 2;

        if (s->symbol[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || address - s->symbol[low - 1].address >= SPAN_MAX)
        return NULL;
    return s->symbol[low - 1].name;
}
