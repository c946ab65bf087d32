# SPDX-License-Identifier: Apache-2.0
"""Bare RISC-V programs of random instructions whose every result can be seen from outside.

A program is a list of units. A unit is one instruction under test with what it needs: operands
loaded from a pool of edge cases, a base register for memory, a target for a jump. After it, its
result (and for floating point the flags, read and cleared) is stored in a log, so that nothing can
hide behind a later write. The units run several times, so that an engine which keeps or compiles
what it saw is tried too; the log shows the last time. Traps are logged as (cause, pc, value) and skipped over. At the end all
registers, the log and the scratch memory go out through the UART as letters a..p, in full or as
hashes, and the test finisher switches the machine off.

With rvpaging.Paging the units run in S or U mode behind page tables; the harness stays in M mode,
and a magic ecall at the end of the units brings the program back there.

Reserved: x26 pool, x27 and x30 for the harness, x28 trap log, x29 scratch memory, x31 log.
"""
import random
import struct

import rvpaging

BASE, UART, FINISHER = 0x80000000, 0x10000000, 0x100000
POOL, TEMP2, TRAPS, SCRATCH, TEMP, LOG = 26, 27, 28, 29, 30, 31
FREE = list(range(1, 26))
POOL_WORDS, SCRATCH_SIZE, SLOTS_A_BASE = 512, 8192, 240
HASH_SLOTS, TRAP_ROOM = 32, 24
MAGIC = 0x5a5  # in x30: this ecall ends the units
CONTROL = ('satp', 'menvcfg', 'senvcfg', 'mstatus', 'pmpaddr0')  # pool words 0..4 with paging
CSR = {'fflags': 1, 'frm': 2, 'fcsr': 3, 'sscratch': 0x140, 'sepc': 0x141, 'scause': 0x142,
       'stval': 0x143, 'mstatus': 0x300, 'mtvec': 0x305, 'mscratch': 0x340, 'mepc': 0x341,
       'mcause': 0x342, 'mtval': 0x343, 'satp': 0x180, 'menvcfg': 0x30a, 'senvcfg': 0x10a,
       'pmpcfg0': 0x3a0, 'pmpaddr0': 0x3b0}
TEST_CSRS = ('fflags', 'frm', 'fcsr', 'sscratch', 'scause', 'stval')
NEVER = {'wfi', 'sret', 'mret', 'illegal'}  # rules that would end or leave the program
MEMORY = {'load', 'store', 'fload', 'fstore', 'lr', 'sc', 'amo', 'cbo', 'cbo_zero'}
JUMPS = {'branch', 'jal', 'jalr'}
M64 = (1 << 64) - 1


# --- Operands worth trying ---

def integers(rnd):
    near = rnd.choice([0, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 63, M64])
    kind = rnd.randrange(5)
    if kind < 2:
        return (near + rnd.choice([-2, -1, 0, 1, 2])) & M64
    if kind == 2:
        return rnd.getrandbits(64)
    if kind == 3:
        return 1 << rnd.randrange(64)
    low = rnd.getrandbits(32)
    return low | rnd.choice([0, 0xffffffff00000000])


def floats(rnd, exponent_bits, fraction_bits):
    """Bits of one floating-point number: corners of the format, numbers close to each other."""
    top, bias = (1 << exponent_bits) - 1, (1 << (exponent_bits - 1)) - 1
    full = (1 << fraction_bits) - 1
    sign = rnd.getrandbits(1) << (exponent_bits + fraction_bits)
    kind = rnd.randrange(10)
    if kind == 0:  # zero, infinity, NaNs quiet and signaling
        exponent, fraction = rnd.choice([(0, 0), (top, 0), (top, 1 << (fraction_bits - 1)),
                                         (top, 1), (top, rnd.getrandbits(fraction_bits))])
    elif kind == 1:  # subnormal and the smallest normal
        exponent, fraction = rnd.choice([(0, 1), (0, full), (0, rnd.getrandbits(fraction_bits)),
                                         (1, 0), (1, 1), (1, rnd.getrandbits(fraction_bits))])
    elif kind == 2:  # largest
        exponent, fraction = rnd.choice([top - 1, top - 2]), rnd.choice([full, full - 1, 0])
    elif kind == 3:  # around the limits of the integer formats
        exponent = bias + rnd.choice([-2, -1, 0, 7, 8, 15, 16, 30, 31, 32, 52, 53, 62, 63, 64])
        fraction = rnd.choice([0, 1, full, full - 1, full >> 1, rnd.getrandbits(fraction_bits)])
        whole = exponent - bias  # a tie: an integer of that many bits, and a half
        if 0 <= whole < fraction_bits and rnd.random() < 0.4:
            low = fraction_bits - whole - 1
            fraction = (rnd.getrandbits(whole) << 1 | 1) << low
    elif kind < 6:  # products and quotients near underflow and overflow
        half = rnd.choice([bias // 2, bias + bias // 2, bias, fraction_bits, top - fraction_bits])
        exponent, fraction = half + rnd.randrange(-3, 4), rnd.getrandbits(fraction_bits)
    elif kind < 8:  # few bits set: ties when rounding
        exponent = bias + rnd.randrange(-3, 4)
        fraction = (1 << rnd.randrange(fraction_bits)) | (1 << rnd.randrange(fraction_bits))
    else:
        exponent, fraction = rnd.randrange(top + 1), rnd.getrandbits(fraction_bits)
    return sign | max(0, min(top, exponent)) << fraction_bits | fraction


def single(rnd):
    bits = floats(rnd, 8, 23)
    return bits | (0xffffffff00000000 if rnd.random() < 0.95 else rnd.getrandbits(32) << 32)


def double(rnd):
    return floats(rnd, 11, 52)


class Pool:
    """512 constants, by kind, at x26 - 2048 ..."""

    def __init__(self, rnd, paging):
        makers = [integers] * 192 + [single] * 160 + [double] * 160
        self.words = [make(rnd) for make in makers]
        self.ranges = {'x': (64, 192), 'F32': (192, 352), 'F64': (352, 512), 'v': (8, 64)}
        if paging:
            self.words[8:64] = paging.addresses(56)

    def offset(self, rnd, kind):
        first, end = self.ranges[kind]
        return 8 * rnd.randrange(first, end) - 2048


# --- Units ---

class Unit:
    """Words before the instruction under test, the instruction, and which results to log."""

    def __init__(self, insn):
        self.insn, self.before, self.word, self.log = insn, [], 0, []
        self.fields, self.base = {}, 0
        self.skip, self.through = 0, None  # jumps: units passed, address register

    def size(self):
        """Most bytes it can take in the program."""
        return 4 * len(self.before) + 12 + sum(8 if r == 'flags' else 4 for r in self.log)


class Generator:
    def __init__(self, table, rnd, chosen, aligned_amo=False, paging=None):
        self.table, self.rnd, self.pool, self.paging = table, rnd, Pool(rnd, paging), paging
        self.aligned_amo = aligned_amo
        self.insns = [i for i in table.insns if i.base.rule not in NEVER and chosen(i)]
        if not self.insns:
            raise ValueError('no instruction is chosen')

    def program(self, count):
        return [self.unit(self.rnd.choice(self.insns)) for _ in range(count)]

    def pick(self, insn):
        """Random operands; results go to registers the harness does not need."""
        rnd, fields = self.rnd, {}
        for name, field in insn.fields.items():
            if field.constant is not None:
                continue
            low, high, step = field.values()
            if name == 'rm':
                value = rnd.choice([7] * 20 + [0, 1, 2, 3, 4] * 8 + [5, 6])
            elif name == 'rd' and 'rd' not in insn.floats:
                value = rnd.choice([r for r in [0] + FREE if low <= r <= high])
            else:
                value = low + step * rnd.randrange((high - low) // step + 1)
            fields[name] = value
        for name, field in insn.fields.items():  # rd and rs1 of compressed forms are one
            if name != 'rd' and 'rd' in fields and field.constant is None and \
                    field.pieces == insn.fields['rd'].pieces:
                fields[name] = fields['rd']
        return fields

    def unit(self, insn):
        unit, rule = Unit(insn), insn.base.rule
        unit.fields = fields = self.pick(insn)
        if rule == 'csr':
            fields['imm'] = CSR[self.rnd.choice(TEST_CSRS)]
        if rule in MEMORY:
            self.address(unit)
        elif rule == 'jalr':
            self.through(unit)
        self.operands(unit)
        unit.word = insn.encode(**fields)
        meant = self.table.decode(unit.word)
        if meant is not insn and meant.rule != 'illegal':
            return self.unit(insn)  # a corner of the pattern that is another instruction
        for name in fields:
            fields[name] = insn.fields[name].get(unit.word)
        if rule in JUMPS:
            unit.skip = self.rnd.randrange(0 if rule != 'branch' else 1, 3 if insn.length == 2 else 5)
            fields.pop('imm', None)
        if rule == 'sc':
            self.reserve(unit)
        self.results(unit)
        return unit

    def address(self, unit):
        """Points the base register into the scratch memory, often across a page or misaligned."""
        rnd, insn, fields = self.rnd, unit.insn, unit.fields
        base = insn.fields['rs1'].constant
        if base is None:
            low, high, _ = insn.fields['rs1'].values()
            base = fields['rs1'] = rnd.choice([r for r in FREE if low <= r <= high])
        unit.base = base
        known = ('sc', 'lr', 'amo') if self.aligned_amo else ('sc', 'lr')
        if self.paging and insn.base.rule not in known and rnd.random() < 0.7:
            where = self.pool.offset(rnd, 'v')
            unit.before.append(self.table.encode('ld', rd=base, rs1=POOL, imm=where))
            if insn.base.rule == 'cbo':  # QEMU 10 aligns tval, against the specification
                unit.before.append(self.table.encode('andi', rd=base, rs1=base, imm=-64))
            if insn.base.rule == 'amo':  # may read, and set A, before it finds that it cannot write
                unit.before.append(self.table.encode('lb', rd=TEMP, rs1=base, imm=0))
            return
        offset = fields.get('imm', 0) if insn.base.rule not in ('lr', 'sc', 'amo') else 0
        delta = rnd.randrange(-1000, 1000)
        if abs(offset) < 1000 and rnd.random() < 0.3:
            delta = rnd.randrange(-9, 9) - offset
        # A misaligned sc may trap or just fail, as it likes: not something to compare.
        aligned = {'sc': 1, 'lr': 0.93, 'amo': 1 if self.aligned_amo else 0.93}.get(insn.base.rule, 0.5)
        if rnd.random() < aligned:
            delta &= ~7
        unit.before.append(self.table.encode('addi', rd=base, rs1=SCRATCH, imm=delta))

    def reserve(self, unit):
        """Gives an sc its reservation, or spends it first: after another lr it may do either."""
        size = unit.insn.name[2:]
        unit.before.append(self.table.encode('lr' + size, rd=TEMP, rs1=unit.base, imm=0))
        if self.rnd.random() < 0.3:
            unit.before.append(self.table.encode('sc' + size, rd=TEMP, rs1=unit.base, rs2=0, imm=0))

    def through(self, unit):
        """jalr goes through a register that holds an address near the target."""
        unit.through = unit.fields['rs1'] = self.rnd.choice(FREE)

    def operands(self, unit):
        """Loads some sources with edge cases; others keep what earlier units left there."""
        insn, rnd = unit.insn, self.rnd
        taken = {unit.base, unit.through or 0}
        for name in ('rs1', 'rs2', 'rs3'):
            if name not in insn.fields or rnd.random() < 0.4:
                continue
            register = unit.fields.get(name, insn.fields[name].constant)
            if name in insn.floats:
                kind = insn.base.args[0] if insn.base.args[:1] in (['F32'], ['F64']) else 'F64'
                load = self.table.encode('fld', rd=register, rs1=POOL, imm=self.pool.offset(rnd, kind))
            elif register in FREE and register not in taken:
                load = self.table.encode('ld', rd=register, rs1=POOL, imm=self.pool.offset(rnd, 'x'))
            else:
                continue
            unit.before.append(load)

    def results(self, unit):
        insn = unit.insn
        destination = unit.fields.get('rd', insn.fields['rd'].constant if 'rd' in insn.fields else None)
        if destination is not None and 'rd' in insn.floats:
            unit.log.append(('f', destination))
        elif destination:
            unit.log.append(('x', destination))
        if insn.base.ext in 'FD' and insn.base.rule not in ('fload', 'fstore'):
            unit.log.append('flags')


# --- Layout ---

class Assembler:
    """Words at growing addresses, with the few idioms the harness needs."""

    def __init__(self, table, base):
        self.table, self.base, self.out = table, base, bytearray()

    @property
    def pc(self):
        return self.base + len(self.out)

    def word(self, word, length=4):
        self.out += struct.pack('<I' if length == 4 else '<H', word)

    def op(self, name, **fields):
        self.word(self.table.encode(name, **fields))

    def address(self, register, target):
        away = target - self.pc
        low = (away & 0xfff) - 0x1000 if away & 0x800 else away & 0xfff
        self.op('auipc', rd=register, imm=away - low)
        self.op('addi', rd=register, rs1=register, imm=low)

    def branch(self, name, target, **fields):
        self.op(name, imm=target - self.pc, **fields)


class Program:
    """Units laid out as a bare ELF. `where` maps a log slot to its unit."""

    def __init__(self, table, pool, units, full, repeat=3, paging=None):
        self.table, self.units, self.repeat, self.paging = table, units, repeat, paging
        self.slots = sum(len(u.log) for u in units)
        self.where, self.pcs = [], []
        code = 0x2000 + 16 * sum(u.size() for u in units) // 10 + 16 * (self.slots // 60 + 4)
        self.data = BASE + (code + 0xfff & ~0xfff)
        self.tables = self.data + 8 * POOL_WORDS
        self.scratch = self.tables + (rvpaging.SIZE if paging else 0)
        self.dump = self.scratch - 4096 if paging else self.scratch  # the leaves' table too
        self.log = self.scratch + SCRATCH_SIZE
        # after the units' slots: 25 + 32 registers and fcsr
        self.log_end = self.log + 8 * (self.slots + 58 + HASH_SLOTS & -HASH_SLOTS)
        self.traps = self.log_end
        self.traps_end = self.traps + TRAP_ROOM * (len(units) + 8)
        self.end = self.traps_end + 8 * HASH_SLOTS & ~(8 * HASH_SLOTS - 1)
        self.image = self.build(pool, full)

    def build(self, pool, full):
        asm = Assembler(self.table, BASE)
        handler = self.prologue(asm)
        self.body(asm)
        self.epilogue(asm, full)
        asm.out += bytes(-len(asm.out) % 4)  # mtvec holds multiples of four
        asm.out[handler[0]:handler[0] + 8] = self.patch(handler, asm)
        self.trap_handler(asm)
        if asm.pc > self.data:
            raise AssertionError('code does not fit its room')
        asm.out += bytes(self.data - asm.pc)
        words = list(pool.words)
        if self.paging:
            p = self.paging
            words[:5] = [p.satp(self.tables), p.menvcfg, p.senvcfg, p.status | p.mode << 11, (1 << 54) - 1]
            words += p.words(self.tables, self.scratch)
        asm.out += b''.join(struct.pack('<Q', w) for w in words)
        rnd = random.Random(len(self.units))
        asm.out += bytes(rnd.getrandbits(8) for _ in range(SCRATCH_SIZE))
        return bytes(asm.out)

    def patch(self, handler, asm):
        """The address of the trap handler, known only now, into the prologue."""
        place = Assembler(self.table, BASE + handler[0])
        place.address(TEMP, asm.pc)
        return place.out

    def prologue(self, asm):
        handler = (len(asm.out),)
        asm.address(TEMP, asm.pc)  # patched
        asm.op('csrrw', rd=0, rs1=TEMP, imm=CSR['mtvec'])
        asm.op('lui', rd=TEMP, imm=0x6000)
        asm.op('csrrs', rd=0, rs1=TEMP, imm=CSR['mstatus'])
        asm.op('csrrw', rd=0, rs1=0, imm=CSR['fcsr'])
        asm.address(POOL, self.data + 2048)
        if self.paging:
            asm.op('lui', rd=SCRATCH, imm=rvpaging.VIRTUAL + 4096 * rvpaging.SAFE[1])
            self.control(asm)
        else:
            asm.address(SCRATCH, self.scratch + SCRATCH_SIZE // 2)
        for register in FREE:
            asm.op('ld', rd=register, rs1=POOL, imm=8 * register - 2048)
        for register in range(32):
            asm.op('fld', rd=register, rs1=POOL, imm=8 * register + 1536)
        for name in ('sscratch', 'scause', 'stval', 'sepc'):
            asm.op('csrrw', rd=0, rs1=0, imm=CSR[name])
        asm.op('addi', rd=TEMP, rs1=0, imm=self.repeat)
        asm.op('csrrw', rd=0, rs1=TEMP, imm=CSR['mscratch'])
        return handler

    def control(self, asm):
        """Registers that let a lower mode run; pmpcfg0: all of memory, read, write, execute."""
        for n, name in enumerate(CONTROL):
            asm.op('ld', rd=TEMP, rs1=POOL, imm=8 * n - 2048)
            asm.op('csrrw', rd=0, rs1=TEMP, imm=CSR[name])
        asm.op('addi', rd=TEMP, rs1=0, imm=0x1f)
        asm.op('csrrw', rd=0, rs1=TEMP, imm=CSR['pmpcfg0'])
        asm.op('sfence.vma', rs1=0, rs2=0)

    def descend(self, asm):
        """To the lower mode, at the next instruction."""
        asm.address(TEMP, asm.pc + 16)
        asm.op('csrrw', rd=0, rs1=TEMP, imm=CSR['mepc'])
        asm.op('mret')

    def barriers(self):
        """Units before which the log pointer moves on; no jump may pass one."""
        found, used = set(), 0
        for n, unit in enumerate(self.units):
            if used + len(unit.log) > SLOTS_A_BASE:
                found.add(n)
                used = 0
            used += len(unit.log)
        return found

    def body(self, asm):
        barriers, used, waiting = self.barriers(), 0, []
        again = asm.pc
        if self.paging:
            self.descend(asm)
        asm.address(TRAPS, self.traps)
        asm.address(LOG, self.log)
        asm.op('addi', rd=TEMP, rs1=0, imm=0)
        asm.op('addi', rd=TEMP2, rs1=0, imm=0)
        for n, unit in enumerate(self.units):
            if n in barriers:
                self.land(asm, waiting, n, True)
                asm.op('addi', rd=LOG, rs1=LOG, imm=8 * used)
                used = 0
            self.land(asm, waiting, n, False)
            for word in unit.before:
                asm.word(word)
            self.pcs.append(asm.pc)
            if unit.insn.base.rule in JUMPS:
                waiting.append(self.jump(asm, unit, n))
                self.land(asm, waiting, n, False)
            else:
                asm.word(unit.word, unit.insn.length)
            for record in unit.log:
                self.record(asm, record, 8 * used)
                self.where.append(n)
                used += 1
        self.land(asm, waiting, len(self.units), True)
        asm.op('addi', rd=LOG, rs1=LOG, imm=8 * used)
        if self.paging:
            asm.op('addi', rd=TEMP, rs1=0, imm=MAGIC)
            asm.op('ecall')
        self.after = asm.pc  # in M mode again
        asm.op('csrrs', rd=TEMP, rs1=0, imm=CSR['mscratch'])
        asm.op('addi', rd=TEMP, rs1=TEMP, imm=-1)
        asm.op('csrrw', rd=0, rs1=TEMP, imm=CSR['mscratch'])
        asm.op('beq', rs1=TEMP, rs2=0, imm=8)
        asm.branch('jal', again, rd=0)

    def jump(self, asm, unit, n):
        """Leaves room for a jump; (unit to land at, place, unit). Patched by land()."""
        if unit.through:
            asm.word(0)
            asm.word(0)
        place = len(asm.out)
        asm.word(0, unit.insn.length)
        return n + unit.skip + (unit.skip > 0), place, unit

    def land(self, asm, waiting, n, everyone):
        """Makes the jumps that wait for unit n (or everyone) arrive here."""
        for entry in [w for w in waiting if everyone or w[0] <= n]:
            waiting.remove(entry)
            _, place, unit = entry
            fields, away = dict(unit.fields), len(asm.out) - place
            if unit.through:
                self.way(asm, unit, place, fields)
            elif 'imm' in unit.insn.fields:
                fields['imm'] = away
            patch = unit.insn.encode(**{k: v for k, v in fields.items() if unit.insn.free(k)})
            size = unit.insn.length
            asm.out[place:place + size] = struct.pack('<I' if size == 4 else '<H', patch)

    def way(self, asm, unit, place, fields):
        """Address for a jalr: auipc and addi before it, part of the way in its immediate."""
        part = 0
        if unit.insn.free('imm'):
            part = fields['imm'] = (7 * place) % 4096 - 2048
        before = Assembler(self.table, BASE + place - 8)
        target = asm.pc - part
        before.address(unit.through, target)
        asm.out[place - 8:place] = before.out

    def record(self, asm, record, offset):
        if record == 'flags':
            asm.op('csrrw', rd=TEMP, rs1=0, imm=CSR['fflags'])
            record = ('x', TEMP)
        kind, register = record
        asm.op('fsd' if kind == 'f' else 'sd', rs1=LOG, rs2=register, imm=offset)

    def epilogue(self, asm, full):
        """Registers into the log, then everything out and off."""
        for n, register in enumerate(FREE):
            asm.op('sd', rs1=LOG, rs2=register, imm=8 * n)
        for register in range(32):
            asm.op('fsd', rs1=LOG, rs2=register, imm=8 * (25 + register))
        asm.op('csrrs', rd=TEMP, rs1=0, imm=CSR['fcsr'])
        asm.op('sd', rs1=LOG, rs2=TEMP, imm=8 * 57)
        asm.op('lui', rd=12, imm=UART)
        self.put(asm, ord('<'))
        asm.address(10, self.dump)
        asm.address(11, self.end)
        (self.send_full if full else self.send_hashes)(asm)
        self.put(asm, ord('>'))
        self.put(asm, ord('\n'))
        asm.op('lui', rd=5, imm=FINISHER)
        asm.op('lui', rd=6, imm=0x5000)
        asm.op('addi', rd=6, rs1=6, imm=0x555)
        asm.op('sw', rs1=5, rs2=6, imm=0)
        asm.op('jal', rd=0, imm=0)

    def put(self, asm, char=None):
        """One character, x14 unless given, when the UART has room."""
        if char is not None:
            asm.op('addi', rd=14, rs1=0, imm=char)
        again = asm.pc
        asm.op('lbu', rd=15, rs1=12, imm=5)
        asm.op('andi', rd=15, rs1=15, imm=0x20)
        asm.branch('beq', again, rs1=15, rs2=0)
        asm.op('sb', rs1=12, rs2=14, imm=0)

    def put_letters(self, asm):
        """x13 as sixteen letters, most significant first; x16 counts."""
        asm.op('addi', rd=16, rs1=0, imm=60)
        again = asm.pc
        asm.op('srl', rd=14, rs1=13, rs2=16)
        asm.op('andi', rd=14, rs1=14, imm=15)
        asm.op('addi', rd=14, rs1=14, imm=ord('a'))
        self.put(asm)
        asm.op('addi', rd=16, rs1=16, imm=-4)
        asm.branch('bge', again, rs1=16, rs2=0)

    def send_full(self, asm):
        again = asm.pc
        asm.op('ld', rd=13, rs1=10, imm=0)
        self.put_letters(asm)
        asm.op('addi', rd=10, rs1=10, imm=8)
        asm.branch('bltu', again, rs1=10, rs2=11)

    def send_hashes(self, asm):
        """One word for every HASH_SLOTS: h = (h rotated by shifts and adds) ^ word."""
        group = asm.pc
        asm.op('addi', rd=13, rs1=0, imm=0)
        asm.op('addi', rd=17, rs1=0, imm=HASH_SLOTS)
        again = asm.pc
        asm.op('slli', rd=18, rs1=13, imm=5)
        asm.op('srli', rd=19, rs1=13, imm=59)
        asm.op('or', rd=18, rs1=18, rs2=19)
        asm.op('add', rd=13, rs1=13, rs2=18)
        asm.op('ld', rd=18, rs1=10, imm=0)
        asm.op('xor', rd=13, rs1=13, rs2=18)
        asm.op('addi', rd=10, rs1=10, imm=8)
        asm.op('addi', rd=17, rs1=17, imm=-1)
        asm.branch('bne', again, rs1=17, rs2=0)
        self.put_letters(asm)
        asm.branch('bltu', group, rs1=10, rs2=11)

    def trap_handler(self, asm):
        """Logs cause, pc and value (where it is not the implementation's choice); skips over."""
        if self.paging:
            asm.op('addi', rd=TEMP2, rs1=TEMP, imm=-MAGIC)
            asm.op('bne', rs1=TEMP2, rs2=0, imm=8)
            asm.branch('jal', self.after, rd=0)
        for n, name in enumerate(('mcause', 'mepc')):
            asm.op('csrrs', rd=TEMP, rs1=0, imm=CSR[name])
            asm.op('sd', rs1=TRAPS, rs2=TEMP, imm=8 * n)
        asm.op('lhu', rd=TEMP2, rs1=TEMP, imm=0)
        asm.op('andi', rd=TEMP2, rs1=TEMP2, imm=3)
        asm.op('sltiu', rd=TEMP2, rs1=TEMP2, imm=3)
        asm.op('slli', rd=TEMP2, rs1=TEMP2, imm=1)
        asm.op('sub', rd=TEMP, rs1=TEMP, rs2=TEMP2)
        asm.op('addi', rd=TEMP, rs1=TEMP, imm=4)
        asm.op('csrrw', rd=0, rs1=TEMP, imm=CSR['mepc'])
        asm.op('csrrs', rd=TEMP, rs1=0, imm=CSR['mcause'])
        asm.op('sltiu', rd=TEMP, rs1=TEMP, imm=4)  # illegal, breakpoint: tval may be anything
        asm.op('addi', rd=TEMP, rs1=TEMP, imm=-1)
        asm.op('csrrs', rd=TEMP2, rs1=0, imm=CSR['mtval'])
        asm.op('and', rd=TEMP, rs1=TEMP, rs2=TEMP2)
        asm.op('addi', rd=TEMP2, rs1=0, imm=0)  # units may read it
        asm.op('sd', rs1=TRAPS, rs2=TEMP, imm=16)
        asm.op('addi', rd=TRAPS, rs1=TRAPS, imm=TRAP_ROOM)
        asm.op('mret')

    def elf(self):
        """ELF64 with one segment, and a symbol table for loaders that ask for one."""
        size = self.end - BASE
        header = struct.pack('<16sHHIQQQIHHHHHH', b'\x7fELF\x02\x01\x01' + bytes(9), 2, 243, 1, BASE,
                             64, 0, 5, 64, 56, 1, 0, 0, 0)
        segment = struct.pack('<IIQQQQQQ', 1, 7, 0x1000, BASE, BASE, len(self.image), size, 0x1000)
        return (header + segment).ljust(0x1000, b'\0') + self.image
