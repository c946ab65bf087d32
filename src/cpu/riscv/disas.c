/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions as text, in the manner of objdump: ABI register names and the usual aliases. Texts
 * are data (riscv.decode). An operand text is printed as it stands except for these words:
 * rd rs1 rs2 integer registers; fd fs1 fs2 fs3 floating-point ones; imm decimal; shamt hexadecimal;
 * zimm the rs1 field as a number; uimm20 bits 31..12; target pc + imm; csr a register's name; pred
 * and succ the sets of FENCE; rm ",MODE" unless dynamic; rmx the same where 0 goes without saying.
 */
#include "cpu/riscv/internal.h"

#include "base/endian.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum text_field { TEXT_NONE, TEXT_RD, TEXT_RS1, TEXT_RS2, TEXT_IMM, TEXT_RS1_IS_RS2 };

struct text_row {
    const char *name, *operands;
};

struct text_alias {
    uint16_t op;
    const char *name, *operands;
    struct {
        enum text_field field;
        int32_t value;
    } test[3];
};

#include "cpu/riscv/text.gen.h"

struct text {
    char *buf;
    size_t size, at;
    const struct riscv_insn *insn;
    uint64_t pc;
};

static void text_put(struct text *t, const char *fmt, ...) printf_fn(2, 3);
static void text_put(struct text *t, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(t->at < t->size ? t->buf + t->at : NULL, t->at < t->size ? t->size - t->at : 0,
                  fmt, args);
    va_end(args);
    t->at += n > 0 ? (size_t)n : 0;
}

static void text_reg(struct text *t, unsigned slot)
{
    text_put(t, "%s", riscv_slot_names[slot]);
}

static void text_csr(struct text *t, unsigned number)
{
    const char *name = riscv_csr_name(number);

    if (name)
        text_put(t, "%s", name);
    else
        text_put(t, "0x%x", number);
}

static void text_fence_set(struct text *t, unsigned set)
{
    if (!set)
        text_put(t, "unknown");
    for (unsigned i = 0; i < 4; i++)
        if (set >> (3 - i) & 1)
            text_put(t, "%c", "iorw"[i]);
}

static void text_round(struct text *t, unsigned rm, bool nearest_too)
{
    static const char *const names[8] = {"rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown"};

    if (rm != 7 && (rm || nearest_too))
        text_put(t, ",%s", names[rm]);
}

static void text_word(struct text *t, const char *word, size_t len)
{
    const struct riscv_insn *i = t->insn;
    static const char *const words[] = {"rd",     "rs1",    "rs2", "fd",    "fs1",
                                        "fs2",    "fs3",    "imm", "shamt", "zimm",
                                        "uimm20", "target", "csr", "pred",  "succ"};
    unsigned w = 0;

    while (w < ARRAY_LEN(words) && (strncmp(words[w], word, len) != 0 || words[w][len]))
        w++;
    switch (w) {
    case 0: text_reg(t, i->rd); break;
    case 1: text_reg(t, i->rs1); break;
    case 2: text_reg(t, i->rs2); break;
    case 3: text_reg(t, RISCV_SLOT_F + i->rd); break;
    case 4: text_reg(t, RISCV_SLOT_F + i->rs1); break;
    case 5: text_reg(t, RISCV_SLOT_F + i->rs2); break;
    case 6: text_reg(t, RISCV_SLOT_F + i->rs3); break;
    case 7: text_put(t, "%d", i->imm); break;
    case 8: text_put(t, "0x%x", (unsigned)i->imm); break;
    case 9: text_put(t, "%u", i->rs1); break;
    case 10: text_put(t, "0x%x", (unsigned)i->imm >> 12); break;
    case 11: text_put(t, "0x%" PRIx64, t->pc + (uint64_t)(int64_t)i->imm); break;
    case 12: text_csr(t, (unsigned)i->imm); break;
    case 13: text_fence_set(t, i->imm >> 4 & 0xf); break;
    case 14: text_fence_set(t, i->imm & 0xf); break;
    default: text_put(t, "%.*s", (int)len, word); break;
    }
}

static void text_operands(struct text *t, const char *s)
{
    while (*s) {
        size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789");

        if (!strcmp(s, ",rm") || !strcmp(s, ",rmx")) {
            text_round(t, t->insn->rm, s[3] == 0);
            return;
        }
        if (len)
            text_word(t, s, len);
        else
            text_put(t, "%c", *s);
        s += len ? len : 1;
    }
}

static bool text_test(const struct riscv_insn *i, enum text_field field, int32_t value)
{
    switch (field) {
    case TEXT_RD: return i->rd == value;
    case TEXT_RS1: return i->rs1 == value;
    case TEXT_RS2: return i->rs2 == value;
    case TEXT_IMM: return i->imm == value;
    case TEXT_RS1_IS_RS2: return i->rs1 == i->rs2;
    default: return true;
    }
}

static const struct text_alias *text_find_alias(const struct riscv_insn *i)
{
    for (unsigned n = 0; n < ARRAY_LEN(text_aliases); n++) {
        const struct text_alias *a = &text_aliases[n];
        bool fits = a->op == i->op;

        for (unsigned k = 0; fits && k < ARRAY_LEN(a->test); k++)
            fits = text_test(i, a->test[k].field, a->test[k].value);
        if (fits)
            return a;
    }
    return NULL;
}

/* Atomics carry their ordering in the name. */
static const char *text_order(const struct riscv_insn *i)
{
    static const char *const names[4] = {"", ".rl", ".aq", ".aqrl"};

    return (i->bits & 0x7f) == 0x2f && i->length == 4 ? names[i->imm & 3] : "";
}

unsigned riscv_disassemble(const uint8_t *bytes, size_t len, uint64_t pc, char *buf, size_t size)
{
    struct text t = {.buf = buf, .size = size, .pc = pc};
    const struct text_alias *alias;
    const char *name, *operands;
    struct riscv_insn i;
    uint32_t word = len >= 4 ? ld_le32(bytes) : len >= 2 ? ld_le16(bytes) : 0;

    if (len < 2 || len < riscv_insn_length(word))
        return 0;
    t.insn = &i;
    if (!riscv_decode(word, &i)) {
        text_put(&t, i.length == 4 ? ".4byte 0x%x" : ".2byte 0x%x", i.bits);
        return i.length;
    }
    alias = text_find_alias(&i);
    name = alias ? alias->name : text_rows[i.text].name;
    operands = alias ? alias->operands : text_rows[i.text].operands;
    text_put(&t, "%s%s%s", name, text_order(&i), *operands ? " " : "");
    text_operands(&t, operands);
    return i.length;
}
