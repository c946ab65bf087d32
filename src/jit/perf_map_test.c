/* SPDX-License-Identifier: Apache-2.0 */
/* Names for perf: symbol files good and broken, the map's lines. */
#include "jit/perf_map.h"
#include "jit/symbols.h"

#include "base/endian.h"
#include "base/unit_test.h"
#include "host/locked_in.h"
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char test_path[] = "/tmp/posada-symbols-XXXXXX";

static const char *put(const void *data, size_t len)
{
    FILE *f = fopen(test_path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return test_path;
}

static const char *put_text(const char *text)
{
    return put(text, strlen(text));
}

static void test_lines(void **state)
{
    const char *text = "ffffffff80002000 T second\r\n0000000000000000 A nothing\n"
                       "ffffffff80001000 t first\nnonsense\n\nffffffff80003000 W last\t[module]";
    struct symbols *s = NULL;

    assert_int_equal(symbols_load(put_text(text), &s, NULL), 0);
    assert_null(symbols_find(s, 0));
    assert_null(symbols_find(s, 0xffffffff80000fff));
    assert_string_equal(symbols_find(s, 0xffffffff80001000), "first");
    assert_string_equal(symbols_find(s, 0xffffffff80001fff), "first");
    assert_string_equal(symbols_find(s, 0xffffffff80002000), "second");
    assert_string_equal(symbols_find(s, 0xffffffff80003004), "last");
    assert_null(symbols_find(s, 0xffffffffffffffff));
    symbols_free(s);
    assert_int_equal(symbols_load(put_text("no such thing\n"), &s, &(struct err){0}), -ENOEXEC);
    assert_true(symbols_load("/nonexistent", &s, &(struct err){0}) < 0);
}

/* Header, symbol table of one function, its strings. */
struct program {
    Elf64_Ehdr head;
    Elf64_Shdr section[2];
    Elf64_Sym symbol[2];
    char names[8];
};

static struct program make_program(void)
{
    return (struct program){
        .head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB},
                 .e_shoff = offsetof(struct program, section),
                 .e_shentsize = sizeof(Elf64_Shdr),
                 .e_shnum = 2},
        .section = {{.sh_type = SHT_STRTAB,
                     .sh_offset = offsetof(struct program, names),
                     .sh_size = sizeof(((struct program *)0)->names)},
                    {.sh_type = SHT_SYMTAB,
                     .sh_offset = offsetof(struct program, symbol),
                     .sh_size = 2 * sizeof(Elf64_Sym)}},
        .symbol[1] = {.st_name = 1,
                      .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                      .st_shndx = 1,
                      .st_value = 0x80000000},
        .names = "\0start",
    };
}

static void test_elf(void **state)
{
    struct program p = make_program();
    struct symbols *s = NULL;

    assert_int_equal(symbols_load(put(&p, sizeof(p)), &s, NULL), 0);
    assert_string_equal(symbols_find(s, 0x80000010), "start");
    symbols_free(s);
}

static void test_elf_every_byte_damaged(void **state)
{
    for (size_t i = 0; i < sizeof(struct program); i++) {
        struct program p = make_program();
        struct symbols *s = NULL;

        memset((char *)&p + i, 0xff, 1);
        if (!symbols_load(put(&p, sizeof(p)), &s, &(struct err){0}))
            (void)symbols_find(s, 0x80000010);
        symbols_free(s);
        if (!symbols_load(put(&p, i + 1), &s, &(struct err){0}))
            symbols_free(s);
    }
}

static void expect_map(const char *want)
{
    char path[64], text[512] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/tmp/perf-%ld.map", (long)getpid());
    f = fopen(path, "r");
    assert_non_null(f);
    (void)!fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    assert_string_equal(text, want);
}

/* As when a vCPU has to make room for its next translation. */
static bool begins_anew(void *map)
{
    perf_map_clear(map);
    perf_map_add_named(map, (const void *)0x7000, 1, "[stubs]");
    return true;
}

static void test_map(void **state)
{
    struct perf_map *map = NULL;
    char path[64];

    assert_int_equal(perf_map_new(put_text("80001000 T main\n"), &map, NULL), 0);
    perf_map_add(map, (const void *)0x7000, 0x20, 0x80001010, "");
    perf_map_add(map, (const void *)0x7020, 0x40, 0x1000, "region ");
    expect_map("7000 20 main guest:0x80001010\n7020 40 region guest:0x1000\n");
    assert_true(locked_in(SANDBOX_VCPU, begins_anew, map));
    expect_map("7000 1 [stubs]\n");
    perf_map_free(map);
    snprintf(path, sizeof(path), "/tmp/perf-%ld.map", (long)getpid());
    unlink(path);
}

static int setup(void **state)
{
    int fd = mkstemp(test_path);

    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    return unlink(test_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_elf),
        cmocka_unit_test(test_elf_every_byte_damaged),
        cmocka_unit_test(test_map),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
