# SPDX-License-Identifier: Apache-2.0
"""The RISC-V decode table (src/cpu/riscv/riscv.decode) for tools: encode, decode, print.

The table's head says how it is written. Here an instruction is a name and a dict of its format's
fields; immediates are signed values as an assembler would take them.
"""
import os

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(TOP, 'src', 'cpu', 'riscv', 'riscv.decode')
X = ('zero ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 '
     't3 t4 t5 t6').split()
F = ('ft0 ft1 ft2 ft3 ft4 ft5 ft6 ft7 fs0 fs1 fa0 fa1 fa2 fa3 fa4 fa5 fa6 fa7 fs2 fs3 fs4 fs5 '
     'fs6 fs7 fs8 fs9 fs10 fs11 ft8 ft9 ft10 ft11').split()
REGISTERS = ('rd', 'rs1', 'rs2', 'rs3')


class Field:
    """Where a field's bits are: pieces (high, low) from most to least significant."""

    def __init__(self, text):
        self.constant = int(text[1:], 0) if text[0] == '#' else None
        self.compressed, self.signed = text[0] == 'c', text[0] == 's'
        self.pieces, self.zeros = [], 0
        if self.constant is not None:
            return
        for piece in text.lstrip('cs').split('|'):
            if piece[0] == 'z':
                self.zeros = int(piece[1:])
            else:
                high, _, low = piece.partition(':')
                self.pieces.append((int(high), int(low or high)))
        self.bits = sum(h - l + 1 for h, l in self.pieces)

    def values(self):
        """(smallest, largest, step) of what the field can hold."""
        if self.compressed:
            return 8, 15, 1
        top = 1 << self.bits
        if self.signed:
            return -(top >> 1) << self.zeros, ((top >> 1) - 1) << self.zeros, 1 << self.zeros
        return 0, (top - 1) << self.zeros, 1 << self.zeros

    def put(self, value):
        """The value as instruction bits."""
        value = value - 8 if self.compressed else value >> self.zeros
        word, left = 0, self.bits
        for high, low in self.pieces:
            left -= high - low + 1
            word |= (value >> left & ((1 << (high - low + 1)) - 1)) << low
        return word

    def get(self, word):
        if self.constant is not None:
            return self.constant
        value = 0
        for high, low in self.pieces:
            width = high - low + 1
            value = value << width | (word >> low & ((1 << width) - 1))
        if self.compressed:
            return value + 8
        if self.signed and value >> (self.bits - 1):
            value -= 1 << self.bits
        return value << self.zeros


class Insn:
    """One row of the table: name, pattern, fields, extension, lift rule."""

    def __init__(self, words, formats):
        split = next(i for i, w in enumerate(words) if w[0] == '%')
        bits = ''.join(words[1:split])
        self.name, self.length = words[0], len(bits) // 8
        self.mask = int(bits.replace('0', '1').replace('.', '0'), 2)
        self.match = int(bits.replace('.', '0'), 2)
        self.fixed = bin(self.mask).count('1')
        self.format, self.ext, self.rule = words[split][1:], words[split + 1], words[split + 2]
        self.args = words[split + 3:]
        self.fields, self.text = formats[self.format]
        self.base = self  # compressed forms: the instruction they stand for
        operands = [t.strip('()').split('(')[-1] for t in self.text.split(',')]
        self.floats = {'r' + o[1:] for o in operands if o in ('fd', 'fs1', 'fs2', 'fs3')}

    def free(self, name):
        """The field when its bits can be chosen, None when it is absent or fixed."""
        field = self.fields.get(name)
        return field if field and field.constant is None else None

    def encode(self, **values):
        word = self.match
        for name, value in values.items():  # fields that share bits have the same value
            word |= self.fields[name].put(value) & ~self.mask
        return word

    def show(self, word):
        """Name and operands as text, registers by name."""
        parts = []
        for name, field in self.fields.items():
            value = field.get(word)
            if name in REGISTERS:
                parts.append('%s=%s' % (name, (F if name in self.floats else X)[value]))
            elif name in ('imm', 'rm'):
                parts.append('%s=%d' % (name, value))
        return ' '.join([self.name] + parts)


class Table:
    def __init__(self, path=TABLE):
        self.formats, self.insns, self.by_opcode = {}, [], {}
        with open(path, encoding='utf-8') as f:
            for line in f:
                self.read(line.strip())
        self.by_name = {i.name: i for i in self.insns}
        for insn in self.insns:
            if insn.rule[0] == '=':
                insn.base = self.by_name[insn.rule[1:]]

    def read(self, line):
        if line[:1] == '%':
            head, _, text = line.partition(' :')
            words = head.split()
            fields = {k: Field(v) for k, v in (w.split('=', 1) for w in words[1:])}
            self.formats[words[0][1:]] = (fields, text.strip())
        elif line and line[0] != '#' and line.split()[0] not in ('alias', 'extension'):
            self.insns.append(Insn(line.split(), self.formats))

    def encode(self, name, **values):
        return self.by_name[name].encode(**values)

    def alike(self, word):
        """The rows of a word's length that its opcode bits allow: few, and found once."""
        bits = 0x7f if word & 3 == 3 else 0xe003
        key = word & bits
        if key not in self.by_opcode:
            length = 4 if word & 3 == 3 else 2
            self.by_opcode[key] = [i for i in self.insns if i.length == length and
                                   (key ^ i.match) & i.mask & bits == 0]
        return self.by_opcode[key]

    def decode(self, word):
        """The row that fits a word (16 bits when its low two are not 11), or None."""
        word &= 0xffffffff if word & 3 == 3 else 0xffff
        fits = [i for i in self.alike(word) if word & i.mask == i.match]
        return max(fits, key=lambda i: i.fixed, default=None)

    def show(self, word):
        insn = self.decode(word)
        return insn.show(word) if insn else 'unknown 0x%x' % word
