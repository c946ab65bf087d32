#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes C from riscv.decode and riscv.csr (their heads say how they are written).

gen.py ops|decode|lifts|rules|text riscv.decode OUT     gen.py csr|csr_fns|gdb riscv.csr OUT
  ops     enum riscv_op, enum riscv_extension
  decode  riscv_decode(): nested switches over the bits that tell patterns apart
  lifts   prototypes of the lift functions
  rules   one row an operation: lift function and arguments (included by lift.c)
  text    names and operand texts for the disassembler
  csr     one row a register and an index by number (included by csr.c)
  csr_fns numbers by name, prototypes of the functions it names
  gdb     target.xml and the numbers of the registers in it
"""
import re
import sys

MEM = {'8': 'IR_MEM_8', '16': 'IR_MEM_16', '32': 'IR_MEM_32', '64': 'IR_MEM_64'}


def fail(where, what):
    sys.exit(f'{where}: {what}')


def lines(path):
    for number, line in enumerate(open(path), 1):
        line = line.split('#', 1)[0] if not re.search(r'#\d', line) else re.sub(r'#(?!\d).*', '', line)
        if line.strip():
            yield f'{path}:{number}', line.strip()


def c_name(name):
    return name.replace('.', '_')


class Insn:
    def __init__(self, where, words):
        self.where, self.name = where, words[0]
        split = next((i for i, w in enumerate(words) if w.startswith('%')), None)
        if split is None:
            fail(where, 'no %FORMAT')
        bits = ''.join(words[1:split])
        if len(bits) not in (16, 32) or set(bits) - set('01.'):
            fail(where, f'pattern of {self.name} has {len(bits)} bits')
        self.length = len(bits) // 8
        self.mask = int(bits.replace('0', '1').replace('.', '0'), 2)
        self.match = int(bits.replace('.', '0'), 2)
        self.format, self.ext, self.rule = words[split][1:], words[split + 1], words[split + 2]
        self.args = words[split + 3:]
        self.base = self.rule[1:] if self.rule.startswith('=') else self.name


class Spec:
    def __init__(self, path):
        self.formats, self.insns, self.aliases, exts = {}, [], [], set()
        for where, line in lines(path):
            if line.startswith('%'):
                head, text = line.split(':', 1) if ' :' not in line else line.rsplit(' :', 1)
                words = head.split()
                self.formats[words[0][1:]] = ([w.split('=', 1) for w in words[1:]], text.strip())
            elif line.startswith('extension '):
                exts.update(line.split()[1:])
            elif line.startswith('alias '):
                head, text = line.rsplit(' :', 1) if ' :' in line else (line[:-1], '')
                self.aliases.append((where, head.split()[1:], text.strip()))
            else:
                self.insns.append(Insn(where, line.split()))
        self.ops = [i for i in self.insns if i.rule[0] != '=' and i.rule != 'illegal']
        self.exts = sorted({i.ext for i in self.insns} | exts)


# --- operand extraction -------------------------------------------------------------------------

def extract(where, spec):
    """C expression for one field."""
    if spec.startswith('#'):
        return spec[1:]
    compressed, signed = spec[0] == 'c', spec[0] == 's'
    pieces, at, terms = spec.lstrip('cs').split('|'), 0, []
    for piece in reversed(pieces):
        if piece.startswith('z'):
            at += int(piece[1:])
            continue
        high, _, low = piece.partition(':')
        high, low = int(high), int(low or high)
        terms.append(f'(((bits >> {low}) & {hex((1 << (high - low + 1)) - 1)}u) << {at})')
        at += high - low + 1
    value = ' | '.join(terms)
    if compressed:
        return f'8 + ({value})'
    if signed:
        return f'(int32_t)(({value}) << {32 - at}) >> {32 - at}'
    return value


def emit_formats(spec, out):
    for name, (fields, _) in spec.formats.items():
        out(f'static inline void decode_{name}(uint32_t bits, struct riscv_insn *i)\n{{')
        for field, how in fields:
            cast = 'int32_t' if field == 'imm' else 'uint8_t'
            out(f'    i->{field} = ({cast})({extract(name, how)});')
        out('}\n')


# --- the decision tree --------------------------------------------------------------------------

def run_of(bits):
    """Lowest run of set bits, at most 7 wide: (shift, width)."""
    shift = (bits & -bits).bit_length() - 1
    width = 0
    while bits >> (shift + width) & 1 and width < 7:
        width += 1
    return shift, width


def emit_leaf(insns, tested, depth, out):
    pad = '    ' * depth
    for i in sorted(insns, key=lambda x: -bin(x.mask).count('1')):
        rest = i.mask & ~tested
        if i.rule == 'illegal':
            take = 'return false;'
        else:
            take = f'return decode_as(i, RISCV_TEXT_{c_name(i.name)}, RISCV_{c_name(i.base)}), ' \
                   f'decode_{i.format}(bits, i), true;'
        if not rest:
            out(f'{pad}{take}')
            return
        out(f'{pad}if ((bits & {rest:#x}u) == {i.match & rest:#x}u)')
        out(f'{pad}    {take}')
    out(f'{pad}return false;')


def emit_tree(insns, tested, depth, out):
    common = ~tested
    for i in insns:
        common &= i.mask
    if len(insns) == 1 or not common & 0xffffffff:
        emit_leaf(insns, tested, depth, out)
        return
    shift, width = run_of(common & 0xffffffff)
    mask = ((1 << width) - 1) << shift
    groups = {}
    for i in insns:
        groups.setdefault((i.match & mask) >> shift, []).append(i)
    pad = '    ' * depth
    if len(groups) == 1:  # tells nothing apart: leave it to the leaf's comparison
        value = next(iter(groups))
        out(f'{pad}if (((bits >> {shift}) & {(1 << width) - 1:#x}u) != {value:#x})\n{pad}    return false;')
        emit_tree(insns, tested | mask, depth, out)
        return
    out(f'{pad}switch ((bits >> {shift}) & {(1 << width) - 1:#x}u) {{')
    for value in sorted(groups):
        out(f'{pad}case {value:#x}:')
        emit_tree(groups[value], tested | mask, depth + 1, out)
    out(f'{pad}default:\n{pad}    return false;\n{pad}}}')


def gen_decode(spec, out):
    out('#include "cpu/riscv/decode.h"\n')
    emit_formats(spec, out)
    out('static inline void decode_as(struct riscv_insn *i, unsigned text, unsigned op)\n{\n'
        '    i->text = (uint16_t)text;\n    i->op = (uint16_t)op;\n}\n')
    out('bool riscv_decode(uint32_t bits, struct riscv_insn *i)\n{')
    out('    *i = (struct riscv_insn){.length = riscv_insn_length(bits)};')
    out('    i->bits = bits = i->length == 2 ? bits & 0xffff : bits;')
    short = [i for i in spec.insns if i.length == 2]
    full = [i for i in spec.insns if i.length == 4]
    out('    if (i->length == 2) {')
    emit_tree(short, 0, 2, out)
    out('    }')
    emit_tree(full, 0, 1, out)
    out('}')


# --- tables -------------------------------------------------------------------------------------

def gen_ops(spec, out):
    out('#pragma once\n')
    out('enum riscv_op { /* what an instruction means: index of its lift rule */')
    for i in spec.ops:
        out(f'    RISCV_{c_name(i.name)},')
    out('    RISCV_OP_COUNT\n};\n')
    out('enum riscv_text { /* how an encoding is written: index into the text table */')
    for i in spec.insns:
        if i.rule != 'illegal':
            out(f'    RISCV_TEXT_{c_name(i.name)},')
    out('    RISCV_TEXT_COUNT\n};\n')
    out('enum riscv_extension {')
    for e in spec.exts:
        out(f'    RISCV_EXT_{e},')
    out('    RISCV_EXT_COUNT\n};')


def rule_arg(arg):
    if arg.isdigit():
        return arg
    if arg[0] in 'su' and arg[1:] in MEM:
        return MEM[arg[1:]] + (' | IR_MEM_SIGNED' if arg[0] == 's' else '')
    return 'IR_' + arg


def gen_rules(spec, out):
    """IR_64 and IR_32 are widths: rules name them 64 and 32 and translate themselves."""
    out('static const struct lift_rule lift_rules[RISCV_OP_COUNT] = {')
    for i in spec.ops:
        args = ', '.join(rule_arg(a) for a in i.args)
        args = f', {{{args or 0}}}'
        out(f'    [RISCV_{c_name(i.name)}] = {{lift_{i.rule}, RISCV_EXT_{i.ext}{args}}},')
    out('};\n')
    out('static const uint8_t lift_text_extension[RISCV_TEXT_COUNT] = {')
    for i in spec.insns:
        if i.rule != 'illegal':
            out(f'    [RISCV_TEXT_{c_name(i.name)}] = RISCV_EXT_{i.ext},')
    out('};')


def gen_lifts(spec, out):
    out('#pragma once\n')
    for rule in sorted({i.rule for i in spec.ops}):
        out(f'lift_fn lift_{rule};')


def gen_text(spec, out):
    out('static const struct text_row text_rows[RISCV_TEXT_COUNT] = {')
    for i in spec.insns:
        if i.rule == 'illegal':
            continue
        text = spec.formats[i.format][1]
        name = i.base if i.length == 2 else i.name
        out(f'    [RISCV_TEXT_{c_name(i.name)}] = {{"{name}", "{text}"}},')
    out('};\n')
    names = {i.name for i in spec.ops}
    out('static const struct text_alias text_aliases[] = {')
    for where, words, text in spec.aliases:
        name, base, tests = words[0], words[1], []
        if base not in names:
            fail(where, f'alias of unknown {base}')
        for word in words[2:]:
            field, _, value = word.partition('=')
            field = f'TEXT_{field.upper()}'
            if value == 'rs2':
                tests.append('{TEXT_RS1_IS_RS2, 0}')
            else:
                tests.append(f'{{{field}, {value}}}')
        out(f'    {{RISCV_{c_name(base)}, "{name}", "{text}", {{{", ".join(tests)}}}}},')
    out('};')


# --- CSRs ---------------------------------------------------------------------------------------

def csr_rows(path):
    for where, line in lines(path):
        words = line.split()
        first, _, last = words[0].partition('-')
        first, last = int(first, 16), int(last or first, 16)
        step = 2 if words[1] == 'pmpcfg' else 1
        for number in range(first, last + 1, step):
            name = words[1]
            if last != first:
                name += str(number - (first & ~0x1f if 'hpm' in name else first & ~0xf))
            yield where, number, name, words[2], words[3], words[4:]


def gen_csr(path, out):
    rows = sorted(csr_rows(path), key=lambda r: r[1])
    out('static const struct csr_row csr_rows[] = {')
    for where, number, name, read, write, flags in rows:
        cells = [f'"{name}"', f'{number:#x}']
        cells.append(' | '.join(f'CSR_{f.upper()}' for f in flags) or '0')
        if read.startswith('fn:'):
            cells.append(f'.read = csr_read_{read[3:]}')
        elif read.isdigit():
            cells.append(f'.constant = {read}')
        else:
            cells.append(f'.field = CSR_FIELD({read})')
        if write.startswith('fn:'):
            cells.append(f'.write = csr_write_{write[3:]}')
        elif write != '-':
            cells.append('.mask = ' + ('UINT64_MAX' if write == 'all' else f'0x{write}'))
        out(f'    {{{", ".join(cells)}}},')
    out('};\n')
    out('/* Row + 1 by number; 0: no such register. */')
    out('static const uint8_t csr_index[4096] = {')
    for at, row in enumerate(rows):
        out(f'    [{row[1]:#x}] = {at + 1},')
    out('};\n')


def gen_csr_fns(path, out):
    cells = [(r[3], r[4]) for r in csr_rows(path)]
    out('#pragma once\n\nenum csr_number {')
    for row in sorted(csr_rows(path), key=lambda r: r[1]):
        out(f'    CSR_{row[2]} = {row[1]:#x},')
    out('};\n')
    for name in sorted({r[3:] for r, _ in cells if r.startswith('fn:')}):
        out(f'csr_read_fn csr_read_{name};')
    for name in sorted({w[3:] for _, w in cells if w.startswith('fn:')}):
        out(f'csr_write_fn csr_write_{name};')


# --- GDB's target description -------------------------------------------------------------------

X_NAMES = 'zero ra sp gp tp t0 t1 t2 fp s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 ' \
    't3 t4 t5 t6'.split()
F_NAMES = 'ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 ' \
    'fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11'.split()


def gen_gdb(path, out):
    csrs = [(r[2], r[1]) for r in sorted(csr_rows(path), key=lambda r: r[1]) if 'gdb' in r[5]]

    def reg(name, bits, kind):
        out(f'    "<reg name=\\"{name}\\" bitsize=\\"{bits}\\" type=\\"{kind}\\"/>"')

    out('static const uint16_t gdb_csrs[] = {' + ', '.join(hex(n) for _, n in csrs) + '};\n')
    out('static const char gdb_xml[] =')
    out('    "<?xml version=\\"1.0\\"?><!DOCTYPE target SYSTEM \\"gdb-target.dtd\\">"')
    out('    "<target version=\\"1.0\\"><architecture>riscv:rv64</architecture>"')
    out('    "<feature name=\\"org.gnu.gdb.riscv.cpu\\">"')
    for name in X_NAMES:
        reg(name, 64, 'int')
    reg('pc', 64, 'code_ptr')
    out('    "</feature><feature name=\\"org.gnu.gdb.riscv.fpu\\">"')
    for name in F_NAMES:
        reg(name, 64, 'ieee_double')
    for name in ('fflags', 'frm', 'fcsr'):
        reg(name, 32, 'int')
    out('    "</feature><feature name=\\"org.gnu.gdb.riscv.virtual\\">"')
    reg('priv', 64, 'int')
    out('    "</feature><feature name=\\"org.gnu.gdb.riscv.csr\\">"')
    for name, _ in csrs:
        reg(name, 64, 'int')
    out('    "</feature></target>";')


def main():
    what, path, target = sys.argv[1:4]
    rows = ['/* Made by gen.py; do not edit. */']
    if what in ('csr', 'csr_fns', 'gdb'):
        {'csr': gen_csr, 'csr_fns': gen_csr_fns, 'gdb': gen_gdb}[what](path, rows.append)
    else:
        {'ops': gen_ops, 'decode': gen_decode, 'rules': gen_rules, 'lifts': gen_lifts, 'text': gen_text}[what](
            Spec(path), rows.append)
    with open(target, 'w') as f:
        f.write('\n'.join(rows) + '\n')


main()
