/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder and its text, one row a format; what each instruction costs in IR operations. */
#include "cpu/riscv/test_cpu.h"

#include "base/endian.h"
#include "base/unit_test.h"

static void test_text(void **state)
{
    static const struct {
        uint32_t bits;
        const char *text;
    } rows[] = {
        {0x00b50533, "add a0,a0,a1"},
        {0xff010113, "addi sp,sp,-16"},
        {0x1141, "addi sp,sp,-16"},
        {0x00113423, "sd ra,8(sp)"},
        {0xe406, "sd ra,8(sp)"},
        {0x02051793, "slli a5,a0,0x20"},
        {0x000127b7, "lui a5,0x12"},
        {0xfe050ee3, "beqz a0,0xffc"},
        {0x008000ef, "jal 0x1008"},
        {0x8082, "ret"},
        {0x00008067, "ret"},
        {0x4501, "li a0,0"},
        {0x852e, "mv a0,a1"},
        {0x0006b507, "fld fa0,0(a3)"},
        {0x02b57553, "fadd.d fa0,fa0,fa1"},
        {0x02b51553, "fadd.d fa0,fa0,fa1,rtz"},
        {0xc2051553, "fcvt.w.d a0,fa0,rtz"},
        {0x10052573, "csrrs a0,sstatus,a0"},
        {0xc0102573, "rdtime a0"},
        {0x18079073, "csrw satp,a5"},
        {0x06b6b52f, "amoadd.d.aqrl a0,a1,(a3)"},
        {0x1606b52f, "lr.d.aqrl a0,(a3)"},
        {0x0ff0000f, "fence"},
        {0x0330000f, "fence rw,rw"},
        {0x12000073, "sfence.vma"},
        {0x0047a00f, "cbo.zero (a5)"},
        {0x20b56533, "sh3add a0,a0,a1"},
        {0x0eb55533, "czero.eqz a0,a0,a1"},
        {0x00000000, ".2byte 0x0"},
        {0xffffffeb, ".4byte 0xffffffeb"},
    };
    uint8_t bytes[4];
    char text[64];

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned length = riscv_insn_length(rows[i].bits);

        st_le32(bytes, rows[i].bits);
        assert_int_equal(riscv_disassemble(bytes, length, 0x1000, text, sizeof(text)), length);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(riscv_disassemble(bytes, length - 1, 0x1000, text, sizeof(text)), 0);
    }
}

/* Text is cut, never overrun. */
static void test_text_is_cut(void **state)
{
    static const uint8_t add[] = {0x33, 0x05, 0xb5, 0x00};
    char text[8] = "XXXXXXX";

    assert_int_equal(riscv_disassemble(add, 4, 0, text, 5), 4);
    assert_string_equal(text, "add ");
    assert_int_equal(text[5], 'X');
}

static void test_reserved(void **state)
{
    static const uint32_t bits[] = {
        0x0000,                                        /* all zeros */
        0x2001,                                        /* c.addiw x0 */
        0x6101,                                        /* c.addi16sp 0 */
        0x6081,                                        /* c.lui with immediate 0 */
        0x8002,                                        /* c.jr x0 */
        0x4002,                                        /* c.lwsp x0 */
        0x8000,                                        /* quadrant 0, reserved row */
        0x00007003,                                    /* load of width 7 */
        0x0000705b,                                    /* custom */
        0x02000013 | 0x5000 | 0x40000000 | 0x04000000, /* srai with a wrong upper bit */
        0x1000252f | 0x01f00000,                       /* lr.w with rs2 */
    };
    struct riscv_insn i;

    for (unsigned n = 0; n < ARRAY_LEN(bits); n++)
        assert_false(riscv_decode(bits[n], &i));
}

/* IR operations of one instruction, the closing EXIT not counted. */
static unsigned ops_of(struct riscv_cpu *rv, uint32_t bits)
{
    static struct ir_block block;

    test_lift(rv, &bits, 1, &block);
    return block.op_count - 1u;
}

static void test_lift_is_short(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("max");

    rv->mstatus |= MSTATUS_FS;
    riscv_settle(rv);
    assert_int_equal(ops_of(rv, 0x00150513), 1); /* addi */
    assert_int_equal(ops_of(rv, 0x00000013), 0); /* nop */
    assert_int_equal(ops_of(rv, 0x00b50533), 1); /* add */
    assert_int_equal(ops_of(rv, 0x00b5053b), 2); /* addw */
    assert_int_equal(ops_of(rv, 0x0005051b), 1); /* sext.w */
    assert_int_equal(ops_of(rv, 0x0005a503), 1); /* lw */
    assert_int_equal(ops_of(rv, 0x00a5a023), 1); /* sw */
    assert_int_equal(ops_of(rv, 0x00001517), 1); /* auipc */
    assert_int_equal(ops_of(rv, 0x00b50463), 1); /* beq */
    assert_int_equal(ops_of(rv, 0x008000ef), 1); /* jal */
    assert_int_equal(ops_of(rv, 0x00008067), 1); /* ret: the JUMP is the end */
    assert_int_equal(ops_of(rv, 0x00b6a52f), 1); /* amoadd.w */
    assert_int_equal(ops_of(rv, 0x02b57553), 1); /* fadd.d */
    assert_int_equal(ops_of(rv, 0x00b57553), 4); /* fadd.s: two unboxed, one boxed */
    assert_int_equal(ops_of(rv, 0x0eb55533), 1); /* czero.eqz */
    test_cpu_free(rv);
}

/* A loop that waits for another hart gives up its host CPU, but not at once. */
static void test_pause_yields(void **state)
{
    static const uint32_t pause = 0x0100000f;
    struct riscv_cpu *rv = test_cpu_new("max");
    static struct ir_block block;
    ir_helper helper;

    test_lift(rv, &pause, 1, &block);
    assert_int_equal(block.op[0].op, IR_HELPER);
    helper = (ir_helper)(uintptr_t)block.op[0].imm;
    for (unsigned i = 1; i < 32; i++)
        (void)helper(&rv->cpu, 0, 0, 0);
    assert_int_equal(rv->cpu.attention, 0);
    (void)helper(&rv->cpu, 0, 0, 0);
    assert_int_equal(rv->cpu.attention, ATTENTION_YIELD);
    test_cpu_free(rv);
}

/* Whatever the bits, the block has the right form (test_lift asserts it): every 16-bit word, and
 * 32-bit ones of each major opcode, under each state of floating point. */
static void test_any_bits(void **state)
{
    static const uint64_t fs[] = {0, 1ull << MSTATUS_FS_SHIFT, MSTATUS_FS};
    struct riscv_cpu *rv = test_cpu_new("max");
    uint64_t random = 88172645463325252u;

    for (unsigned k = 0; k < ARRAY_LEN(fs); k++) {
        rv->mstatus = fs[k];
        rv->frm = k == 2 ? 5 : 0;
        riscv_settle(rv);
        for (uint32_t bits = 0; bits < 0x10000; bits++)
            if ((bits & 3) != 3)
                (void)ops_of(rv, bits | 0x00010000);
        for (unsigned n = 0; n < 100000; n++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (void)ops_of(rv, (uint32_t)(random & ~0x7full) | (n & 0x1f) << 2 | 3);
        }
    }
    test_cpu_free(rv);
}

static void test_model(void **state)
{
    struct riscv_cpu *rv = test_cpu_new("rv64gc");
    static struct ir_block block;
    const uint32_t sh1add = 0x20b52533, mul = 0x02b50533;
    struct err err;
    char isa[200];

    test_lift(rv, &sh1add, 1, &block);
    assert_int_equal(block.op[block.op_count - 1].op, IR_TRAP);
    test_lift(rv, &mul, 1, &block);
    assert_int_equal(block.op[0].op, IR_MUL);
    assert_int_equal(riscv_isa_string(&rv->cpu, isa, sizeof(isa)), 32);
    assert_string_equal(isa, "rv64imafdc_zicntr_zicsr_zifencei");
    assert_true(riscv_cpu_ops.init(&rv->cpu, "pentium", &err) < 0);
    test_cpu_free(rv);
}

RUN_TESTS(cmocka_unit_test(test_text), cmocka_unit_test(test_text_is_cut),
          cmocka_unit_test(test_reserved), cmocka_unit_test(test_lift_is_short),
          cmocka_unit_test(test_pause_yields), cmocka_unit_test(test_any_bits),
          cmocka_unit_test(test_model))
