/* SPDX-License-Identifier: Apache-2.0 */
/* Operations against plain C, the verifier, and the optimiser on fixed blocks. */
#include "ir/ir.h"

#include "base/unit_test.h"
#include "ir/eval.h"
#include "ir/random_block.h"
#include <posada/err.h>
#include <stdlib.h>
#include <string.h>

static struct ir_block block;

static uint64_t eval(enum ir_op code, enum ir_width w, unsigned aux, int64_t imm, uint64_t a,
                     uint64_t b)
{
    struct ir_insn op = {.op = (uint8_t)code, .width = (uint8_t)w, .aux = (uint8_t)aux, .imm = imm};

    return ir_eval(&op, a, b, 0);
}

static void test_arithmetic_against_wide_integers(void **state)
{
    uint64_t seed = 1;

    for (unsigned n = 0; n < 5000; n++) {
        uint64_t a = random_u64(&seed) >> n % 64, b = random_u64(&seed) >> n / 64 % 64;
        __int128 sa = (int64_t)a, sb = (int64_t)b;
        unsigned __int128 ua = a, ub = b;

        assert_int_equal(eval(IR_MULHS, IR_64, 0, 0, a, b), (uint64_t)(sa * sb >> 64));
        assert_int_equal(eval(IR_MULHU, IR_64, 0, 0, a, b), (uint64_t)(ua * ub >> 64));
        assert_int_equal(eval(IR_MULHSU, IR_64, 0, 0, a, b), (uint64_t)(sa * (__int128)ub >> 64));
        assert_int_equal(eval(IR_SUB, IR_32, 0, 0, a, b), (uint32_t)((uint32_t)a - (uint32_t)b));
        assert_int_equal(eval(IR_SAR, IR_32, 0, 0, a, b), (uint32_t)((int32_t)a >> (b & 31)));
        assert_int_equal(eval(IR_ROR, IR_32, 0, 0, a, b),
                         (uint32_t)(((a & UINT32_MAX) << 32 | (uint32_t)a) >> (b & 31)));
        assert_int_equal(eval(IR_LEA, IR_64, 3, 0, a, b), a + 8 * b);
        assert_int_equal(eval(IR_SETCC, IR_32, IR_LT, 0, a, b), (int32_t)a < (int32_t)b);
        assert_int_equal(eval(IR_SETCC, IR_32, IR_LTU, 0, a, b), (uint32_t)a < (uint32_t)b);
    }
}

static void test_division_is_total(void **state)
{
    const uint64_t min64 = UINT64_C(1) << 63, min32 = UINT64_C(1) << 31;

    assert_int_equal(eval(IR_DIVS, IR_64, 0, 0, 7, 0), UINT64_MAX);
    assert_int_equal(eval(IR_DIVU, IR_32, 0, 0, 7, UINT64_C(1) << 32), UINT32_MAX);
    assert_int_equal(eval(IR_REMS, IR_64, 0, 0, (uint64_t)-7, 0), (uint64_t)-7);
    assert_int_equal(eval(IR_REMU, IR_32, 0, 0, UINT64_MAX, 0), UINT32_MAX);
    assert_int_equal(eval(IR_DIVS, IR_64, 0, 0, min64, UINT64_MAX), min64);
    assert_int_equal(eval(IR_REMS, IR_64, 0, 0, min64, UINT64_MAX), 0);
    assert_int_equal(eval(IR_DIVS, IR_32, 0, 0, min32, UINT32_MAX), min32);
    assert_int_equal(eval(IR_REMS, IR_32, 0, 0, (uint32_t)-7, 2), UINT32_MAX);
}

static void test_bits(void **state)
{
    assert_int_equal(eval(IR_CLZ, IR_64, 0, 0, 0, 0), 64);
    assert_int_equal(eval(IR_CLZ, IR_32, 0, 0, UINT64_MAX << 32, 0), 32);
    assert_int_equal(eval(IR_CTZ, IR_32, 0, 0, UINT64_MAX << 32, 0), 32);
    assert_int_equal(eval(IR_CTZ, IR_64, 0, 0, 0x50, 0), 4);
    assert_int_equal(eval(IR_POPCNT, IR_32, 0, 0, UINT64_MAX, 0), 32);
    assert_int_equal(eval(IR_BSWAP, IR_32, 0, 0, 0x11223344, 0), 0x44332211);
    assert_int_equal(eval(IR_BSWAP, IR_64, 0, 0, 0x11223344, 0), 0x4433221100000000);
    assert_int_equal(eval(IR_ORCB, IR_64, 0, 0, 0x0100008000000010, 0), 0xff0000ff000000ff);
    assert_int_equal(eval(IR_EXTS, IR_64, 1, 0, 0x18000, 0), (uint64_t)-0x8000);
    assert_int_equal(eval(IR_EXTRACT, IR_64, 8, 12, 0xabcdef, 0), 0xbcd | 0x0);
    assert_int_equal(eval(IR_DEPOSIT, IR_64, 4, 8, UINT64_MAX, 0x12), 0xfffffffffffff12f);
    assert_int_equal(eval(IR_FUNBOX, IR_64, 0, 0, 0x3f800000, 0), IR_F32_NAN);
    assert_int_equal(eval(IR_FUNBOX, IR_64, 0, 0, 0xffffffff3f800000, 0), 0x3f800000);
}

static void test_flags(void **state)
{
    assert_int_equal(eval(IR_FLAGS, IR_32, IR_FLAGS_ADD, 8, 0xff, 1),
                     IR_CF | IR_PF | IR_AF | IR_ZF);
    assert_int_equal(eval(IR_FLAGS, IR_32, IR_FLAGS_ADD, 0, 0x7fffffff, 1),
                     IR_PF | IR_AF | IR_SF | IR_OF);
    assert_int_equal(eval(IR_FLAGS, IR_64, IR_FLAGS_SUB, 0, 0, 1), IR_CF | IR_PF | IR_AF | IR_SF);
    assert_int_equal(eval(IR_FLAGS, IR_64, IR_FLAGS_SUB, 16, 0x18000, 1), IR_PF | IR_AF | IR_OF);
    assert_int_equal(eval(IR_FLAGS, IR_64, IR_FLAGS_LOGIC, 0, 0, 0), IR_PF | IR_ZF);
    assert_int_equal(eval(IR_TESTCC, IR_64, IR_CC_L, 0, IR_SF, 0), 1);
    assert_int_equal(eval(IR_TESTCC, IR_64, IR_CC_L, 0, IR_SF | IR_OF, 0), 0);
    assert_int_equal(eval(IR_TESTCC, IR_64, IR_CC_LE, 0, IR_ZF, 0), 1);
    assert_int_equal(eval(IR_TESTCC, IR_64, IR_CC_BE, 0, IR_CF, 0), 1);
}

/* --- Verifier --- */

static void begin(void)
{
    ir_begin(&block, 0x1000, 0, RANDOM_GLOBALS);
    assert_true(ir_next_insn(&block, 0x1000, 4));
}

static void refused(const char *why)
{
    struct err err = {0};

    assert_int_equal(ir_verify(&block, &err), -22);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

static void test_verifier_refuses(void **state)
{
    begin();
    ir_emit(&block, IR_ADD, IR_64, 1, 2, 3);
    refused("does not end");
    ir_exit(&block, 0);
    assert_int_equal(ir_verify(&block, NULL), 0);
    ir_exit(&block, 0);
    refused("ops follow");
    begin();
    ir_emit(&block, IR_ADD, IR_64, 1, 2, ir_temp(&block));
    ir_exit(&block, 0);
    refused("has not written");
    begin();
    ir_emit(&block, IR_ADD, IR_64, 1, 2, 3);
    ir_load(&block, 2, 1, 0, IR_MEM_64);
    ir_exit(&block, 0);
    refused("may fault after");
    begin();
    ir_emit(&block, IR_ADD, IR_F64, 1, 2, 3);
    ir_exit(&block, 0);
    refused("float width");
    begin();
    ir_emit(&block, IR_FADD, IR_64, 1, 2, 3);
    ir_exit(&block, 0);
    refused("without its width");
    begin();
    ir_emit(&block, IR_EXTS, IR_64, 1, 2, 3)->aux = 3;
    ir_exit(&block, 0);
    refused("outside its range");
}

static void test_random_blocks_verify_and_print(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    uint64_t seed = 3;

    for (unsigned n = 0; n < 500; n++) {
        struct err err = {0};

        random_block(&block, &seed);
        if (ir_verify(&block, &err) < 0)
            fail_msg("%s", err.text);
        ir_optimise(&block);
        if (ir_verify(&block, &err) < 0)
            fail_msg("optimised: %s", err.text);
        ir_print(&block, NULL, out);
    }
    fclose(out);
    assert_true(size > 1000);
    free(text);
}

static void printed(const char *want)
{
    char *text = NULL, *body;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    ir_print(&block, NULL, out);
    fclose(out);
    body = strchr(text, '\n') + 1;
    assert_string_equal(body, want);
    free(text);
}

/* --- Optimiser --- */

static void test_constants_move_forward(void **state)
{
    begin();
    ir_emit_imm(&block, IR_IMM, IR_64, 1, 0, 0x12000);
    assert_true(ir_next_insn(&block, 0x1004, 4));
    ir_emit_imm(&block, IR_ADD, IR_64, 1, 1, 0x34);
    assert_true(ir_next_insn(&block, 0x1008, 4));
    ir_emit(&block, IR_SUB, IR_64, 2, 3, 1);
    ir_exit(&block, 0x100c);
    ir_optimise(&block);
    printed("1004:\n    imm g1, 0x12034\n1008:\n    add g2, g3, -0x12034\n    exit 0x100c\n");
}

static void test_known_jumps_become_exits(void **state)
{
    ir_slot t;

    begin();
    ir_pc(&block, 1, 0x5000);
    assert_true(ir_next_insn(&block, 0x1004, 4));
    t = ir_temp(&block);
    ir_emit_imm(&block, IR_ADD, IR_64, t, 1, 0x23);
    ir_emit_imm(&block, IR_AND, IR_64, t, t, -2);
    ir_pc(&block, 1, 0x1008);
    ir_jump(&block, t, IR_JUMP_CALL);
    ir_optimise(&block);
    printed("1004:\n    pc g1, 0x1008\n    exit 0x5022\n");
}

static void test_faults_keep_registers_alive(void **state)
{
    begin();
    ir_emit_imm(&block, IR_IMM, IR_64, 1, 0, 5);
    assert_true(ir_next_insn(&block, 0x1004, 4));
    ir_load(&block, 1, 2, 0, IR_MEM_64);
    ir_exit(&block, 0x1008);
    ir_optimise(&block);
    printed("1000:\n    imm g1, 0x5\n1004:\n    ld.64 g1, g2\n    exit 0x1008\n");
}

static void test_a_full_block_takes_its_exit(void **state)
{
    unsigned insns = 0;

    ir_begin(&block, 0x1000, 0, RANDOM_GLOBALS);
    for (; ir_next_insn(&block, 0x1000 + 4 * insns, 4); insns++)
        for (unsigned i = 0; i < IR_MAX_INSN_OPS; i++)
            ir_emit(&block, IR_ADD, IR_64, 1, 1, 1);
    ir_exit(&block, 0x1000 + 4 * insns);
    assert_int_equal(ir_verify(&block, NULL), 0);
    assert_int_equal(block.length, 4 * insns);
}

RUN_TESTS(cmocka_unit_test(test_arithmetic_against_wide_integers),
          cmocka_unit_test(test_division_is_total), cmocka_unit_test(test_bits),
          cmocka_unit_test(test_flags), cmocka_unit_test(test_verifier_refuses),
          cmocka_unit_test(test_random_blocks_verify_and_print),
          cmocka_unit_test(test_constants_move_forward),
          cmocka_unit_test(test_known_jumps_become_exits),
          cmocka_unit_test(test_faults_keep_registers_alive),
          cmocka_unit_test(test_a_full_block_takes_its_exit))
