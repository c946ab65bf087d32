/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers as GDB numbers them: its feature org.gnu.gdb.i386.core, described by the target
 * description below (GDB manual, "i386 Features"). x87 registers come from XSAVE's legacy area.
 */
#include "base/endian.h"
#include "cpu/x86/internal.h"
#include <string.h>

enum { GDB_RIP = 16, GDB_EFLAGS = 17, GDB_CS = 18, GDB_ST0 = 24, GDB_FCTRL = 32, GDB_END = 40 };
enum { XSAVE_ST0 = 32, XSAVE_ST_STRIDE = 16, ST_SIZE = 10 };

static const uint8_t gdb_slot[GDB_RIP] = {
    X86_RAX, X86_RBX,    X86_RCX,    X86_RDX,    X86_RSI,    X86_RDI,    X86_RBP,    X86_RSP,
    X86_R8,  X86_R8 + 1, X86_R8 + 2, X86_R8 + 3, X86_R8 + 4, X86_R8 + 5, X86_R8 + 6, X86_R8 + 7};
static const uint8_t gdb_segment[] = {X86_CS, X86_SS, X86_DS, X86_ES, X86_FS, X86_GS};
/* Where FXSAVE keeps fctrl fstat ftag fiseg fioff foseg fooff fop, and how many bytes. */
static const uint8_t gdb_fpu_at[] = {0, 2, 4, 12, 8, 20, 16, 6};
static const uint8_t gdb_fpu_size[] = {2, 2, 1, 2, 4, 2, 4, 2};

unsigned x86_gdb_read(struct cpu *cpu, unsigned n, uint8_t *buf)
{
    struct x86_cpu *x = x86_of(cpu);

    if (n >= GDB_END)
        return 0;
    if (n <= GDB_RIP) {
        st_le64(buf, n == GDB_RIP ? cpu->pc : cpu->slot[gdb_slot[n]]);
        return 8;
    }
    if (n >= GDB_ST0 && n < GDB_FCTRL) {
        memcpy(buf, x->xsave + XSAVE_ST0 + (n - GDB_ST0) * XSAVE_ST_STRIDE, ST_SIZE);
        return ST_SIZE;
    }
    st_le32(buf, 0);
    if (n == GDB_EFLAGS)
        st_le32(buf, (uint32_t)x->rflags);
    else if (n < GDB_ST0)
        st_le32(buf, x->seg_selector[gdb_segment[n - GDB_CS]]);
    else
        memcpy(buf, x->xsave + gdb_fpu_at[n - GDB_FCTRL], gdb_fpu_size[n - GDB_FCTRL]);
    return 4;
}

/* Segments cannot be changed: a selector alone is not the state of one. */
unsigned x86_gdb_write(struct cpu *cpu, unsigned n, const uint8_t *buf)
{
    struct x86_cpu *x = x86_of(cpu);

    if (n >= GDB_END)
        return 0;
    if (n < GDB_RIP)
        cpu->slot[gdb_slot[n]] = ld_le64(buf);
    else if (n == GDB_RIP)
        cpu->pc = ld_le64(buf);
    else if (n == GDB_EFLAGS)
        x->rflags = ld_le32(buf) | X86_FLAGS_RESET;
    else if (n >= GDB_FCTRL)
        memcpy(x->xsave + gdb_fpu_at[n - GDB_FCTRL], buf, gdb_fpu_size[n - GDB_FCTRL]);
    else if (n >= GDB_ST0)
        memcpy(x->xsave + XSAVE_ST0 + (n - GDB_ST0) * XSAVE_ST_STRIDE, buf, ST_SIZE);
    return n < GDB_EFLAGS ? 8 : n >= GDB_ST0 && n < GDB_FCTRL ? ST_SIZE : 4;
}

#define GDB_INT(name, bits, type) "<reg name=\"" name "\" bitsize=\"" bits "\" type=\"" type "\"/>"
#define GDB_64(name)              GDB_INT(name, "64", "int64")
#define GDB_32(name)              GDB_INT(name, "32", "int32")
#define GDB_ST(name)              GDB_INT(name, "80", "i387_ext")

static const char gdb_xml[] =
    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
    "<target version=\"1.0\"><architecture>i386:x86-64</architecture>"
    "<feature name=\"org.gnu.gdb.i386.core\">" GDB_64("rax") GDB_64("rbx") GDB_64("rcx")
        GDB_64("rdx") GDB_64("rsi") GDB_64("rdi") GDB_INT("rbp", "64", "data_ptr")
            GDB_INT("rsp", "64", "data_ptr") GDB_64("r8") GDB_64("r9") GDB_64("r10") GDB_64("r11")
                GDB_64("r12") GDB_64("r13") GDB_64("r14") GDB_64("r15")
                    GDB_INT("rip", "64", "code_ptr") GDB_32("eflags") GDB_32("cs") GDB_32("ss")
                        GDB_32("ds") GDB_32("es") GDB_32("fs") GDB_32("gs") GDB_ST("st0")
                            GDB_ST("st1") GDB_ST("st2") GDB_ST("st3") GDB_ST("st4") GDB_ST("st5")
                                GDB_ST("st6") GDB_ST("st7") GDB_32("fctrl") GDB_32("fstat")
                                    GDB_32("ftag") GDB_32("fiseg") GDB_32("fioff") GDB_32("foseg")
                                        GDB_32("fooff") GDB_32("fop") "</feature></target>";

const char *x86_gdb_xml(void)
{
    return gdb_xml;
}
