# SPDX-License-Identifier: Apache-2.0
"""Page tables for random programs that run in S or U mode, with permissions of every kind.

Code, pool and log are reached by an identity gigapage. Scratch memory is seen at VIRTUAL through
sixteen 4 KiB pages, most with something missing - a permission, the accessed or dirty bit, validity,
the right user bit - and through superpages that are read-only or not aligned. All of the tables
that the CPU may change (A and D bits) are dumped with the scratch memory.
"""
VIRTUAL, PAGES = 0x40000000, 16
TABLES = 5  # 57-bit root, 48-bit root, 39-bit root, middle, leaves: in this order, 4 KiB each
SIZE = 4096 * TABLES
V, R, W, X, U, G, A, D = (1 << n for n in range(8))
SAFE = (7, 8)  # always all right: where the scratch pointer points, for sc and for progress
MODES = {'s': 1, 'u': 0}


class Paging:
    """What one program's page tables and control registers are, from its random numbers."""

    def __init__(self, rnd, mode, hardware_ad=False):
        self.mode, self.levels = MODES[mode], rnd.choice([3, 3, 4, 5])
        self.user = U if mode == 'u' else 0
        self.leaves = [self.leaf(rnd, n) for n in range(PAGES)]
        self.asid = rnd.getrandbits(16)
        # SUM and MXR; which cbo are allowed below M; whether the CPU sets A and D itself (ADUE)
        self.status = rnd.choice([0, 1 << 18, 1 << 19, 3 << 18]) | 0x6000
        cbo = [rnd.choice([0, 1, 3]) << 4 | rnd.getrandbits(2) << 6 for _ in range(2)]
        self.menvcfg = cbo[0] | (1 << 61 if hardware_ad or rnd.random() < 0.6 else 0)
        self.senvcfg = cbo[1]
        self.superpage = V | R | A | self.user | rnd.choice([0, X, A | D])
        self.rnd = rnd

    def leaf(self, rnd, n):
        """Permission bits of page n."""
        right = V | R | W | A | D | self.user
        if n in SAFE or rnd.random() < 0.25:
            return right
        bits = V | self.user | rnd.choice([R, R | W, R | X, R | W | X, X, W, 0, R | W, R | W])
        bits |= rnd.choice([A | D, A | D, A, D, 0]) | rnd.choice([0, G])
        if rnd.random() < 0.1:
            bits ^= rnd.choice([U, V, 1 << 54])
        return bits

    def addresses(self, count):
        """Virtual addresses worth trying: any page, ends of pages, superpages, holes."""
        rnd, found = self.rnd, []
        for _ in range(count):
            page = VIRTUAL + 4096 * rnd.randrange(PAGES)
            found.append(rnd.choice([
                page + 8 * rnd.randrange(512), page + 8 * rnd.randrange(512), page + rnd.randrange(4096),
                page + 4096 - rnd.randrange(1, 9), page + 64 * rnd.randrange(64),
                VIRTUAL + (1 << 21) + 8 * rnd.randrange(512), VIRTUAL + (2 << 21) + rnd.randrange(64),
                VIRTUAL + 4096 * PAGES, page | 1 << rnd.randrange(38, 64)]))
        return found

    def words(self, at, scratch):
        """The tables as a list of 64-bit words, for tables at physical `at`."""
        tables = [[0] * 512 for _ in range(TABLES)]
        for n in range(2):
            tables[n][0] = (at + 4096 * (n + 1)) >> 12 << 10 | V
        tables[2][1] = (at + 4096 * 3) >> 12 << 10 | V
        tables[2][2] = 0x80000000 >> 12 << 10 | V | R | W | X | A | D | self.user
        tables[3][0] = (at + 4096 * 4) >> 12 << 10 | V
        tables[3][1] = 0x80000000 >> 12 << 10 | self.superpage
        tables[3][2] = 0x80001000 >> 12 << 10 | V | R | W | A | D | self.user  # not aligned
        for n, bits in enumerate(self.leaves):
            tables[4][n] = (scratch + 4096 * (n % 2)) >> 12 << 10 | bits
        return [word for table in tables for word in table]

    def satp(self, at):
        root = at + 4096 * (5 - self.levels)
        return (self.levels + 5) << 60 | self.asid << 44 | root >> 12
