# SPDX-License-Identifier: Apache-2.0
"""Random operations on qcow2 images, with a model of the disk and qemu-img as second opinion."""
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

BUILD = os.environ.get('BUILD', 'build')
DISKOPS = os.path.join(BUILD, 'tests', 'disk', 'diskops')
POSADA = os.path.join(BUILD, 'posada')
SECTOR = 512
# Memory is as good as a disk against kill -9, and does not wait for one.
FOLDER = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None


def qemu_img(*words, codes=(0,)):
    p = subprocess.run(['qemu-img', *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, check=False)
    if p.returncode not in codes:
        raise AssertionError('qemu-img %s: %d\n%s' % (' '.join(words), p.returncode, p.stdout[:400]))
    return p.returncode


def posada(*words):
    p = subprocess.run([POSADA, 'disk', *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, check=False)
    if p.returncode:
        raise AssertionError('posada disk %s: %d\n%s' % (' '.join(words), p.returncode, p.stdout))
    return p.stdout


def pattern(offset, length, seed):
    first = offset // SECTOR
    return b''.join(struct.pack('<II', seed, first + i) * (SECTOR // 8)
                    for i in range(length // SECTOR))


class Ops:
    """diskops at work on one image."""

    def __init__(self, path, backing_dir=None):
        words = [DISKOPS, 'qcow2', path] + ([backing_dir] if backing_dir else [])
        self.p = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *words):
        self.send(*words)
        return self.answer()

    def send(self, *words):
        self.p.stdin.write(words[0] + ' '.join(str(w) for w in words[1:]) + '\n')
        self.p.stdin.flush()

    def answer(self):
        line = self.p.stdout.readline().strip()
        if not line.startswith('ok'):
            raise AssertionError('diskops: %r' % line)
        return line[3:]

    def close(self):
        self.p.stdin.close()
        code = self.p.wait()
        self.p.stdout.close()
        if code:
            raise AssertionError('diskops ended with %d' % code)


class Sequence:
    """One image's life; everything follows from the seed."""

    def __init__(self, seed, folder):
        self.r = random.Random(seed)
        self.dir, self.n, self.seed = folder, 0, 0
        self.bits = self.r.choice([9, 9, 10, 12, 12, 14, 16, 16, 17, 21])
        self.path = os.path.join(folder, '0.qcow2')
        size = self.sectors(1, 16384 if self.bits > 9 else 6000)
        self.model = bytearray(size)
        self.snapshots, self.backed = {}, False
        if self.r.random() < 0.3:  # somebody else's image
            width = self.r.choice([1, 2, 4, 8, 16, 32, 64])
            options = 'cluster_size=%d,refcount_bits=%d' % (1 << self.bits, width)
            if width == 16 and self.r.random() < 0.3:
                options = 'compat=1.1,lazy_refcounts=on,cluster_size=%d' % (1 << self.bits)
            self.narrow = width < 16
            qemu_img('create', '-q', '-f', 'qcow2', '-o', options, self.path, str(size))
        else:
            self.narrow = False
            posada('create', '--cluster-size', str(1 << self.bits), self.path, str(size))
        self.ops = Ops(self.path)

    def sectors(self, low, high):
        return self.r.randint(low, high) * SECTOR

    def span(self):
        size, unit = len(self.model), SECTOR
        if self.r.random() < 0.3:
            unit = max(SECTOR, 1 << self.bits)
        offset = self.r.randrange(size) // unit * unit
        length = min(self.r.choice([1, 1, 3, 16, 100, 500]) * unit, 1 << 21, size - offset)
        return offset, length

    def write(self):
        (offset, length), self.seed = self.span(), self.seed + 1
        self.ops(self.r.choice('wwwW'), offset, length, self.seed)
        self.model[offset:offset + length] = pattern(offset, length, self.seed)

    def zero(self):
        offset, length = self.span()
        self.ops(self.r.choice('zZ'), offset, length)
        self.model[offset:offset + length] = bytes(length)

    def discard(self):
        offset, length = self.span()
        self.ops('d', offset, length)
        cluster, end = 1 << self.bits, offset + length
        first = (offset + cluster - 1) // cluster * cluster
        last = end if end == len(self.model) else end // cluster * cluster
        if first < last:
            self.model[first:last] = bytes(last - first)

    def read(self):
        offset, length = self.span()
        want = zlib.crc32(self.model[offset:offset + length])
        got = int(self.ops('x', offset, length))
        if got != want:
            raise AssertionError('read of %d at %d differs' % (length, offset))

    def flush(self):
        self.ops('f')

    def snapshot(self):
        if self.narrow and self.snapshots:
            return
        self.n += 1
        name = 's%d' % self.n
        self.ops.send('s', name)
        try:
            self.ops.answer()
        except AssertionError:
            if not self.narrow:  # one-bit counts cannot share anything
                raise
            return
        self.snapshots[name] = bytes(self.model)

    def apply(self):
        if self.snapshots:
            name = self.r.choice(sorted(self.snapshots))
            self.ops('a', name)
            self.model = bytearray(self.snapshots[name])

    def forget(self):
        if self.snapshots:
            name = self.r.choice(sorted(self.snapshots))
            self.ops('k', name)
            del self.snapshots[name]

    def resize(self):
        size = max(SECTOR, min(len(self.model) + self.r.randint(-4000, 4000) * SECTOR, 12 << 20))
        self.ops('r', size)
        self.model = self.model[:size] + bytes(max(0, size - len(self.model)))

    def overlay(self):
        """A new image over this one, by us or by them, perhaps of another size."""
        self.close()
        self.check()
        self.n += 1
        self.snapshots, self.narrow, self.backed = {}, False, True
        old, self.bits = self.path, self.r.choice([9, 12, 14, 16])
        self.path = os.path.join(self.dir, '%d.qcow2' % self.n)
        size = len(self.model)
        if self.r.random() < 0.4:
            size = max(SECTOR, size + self.r.randint(-2000, 2000) * SECTOR)
        if self.r.random() < 0.5:
            posada('create', '--cluster-size', str(1 << self.bits), '--backing',
                   os.path.basename(old), '--backing-format', 'qcow2', self.path, str(size))
        else:
            qemu_img('create', '-q', '-f', 'qcow2', '-b', os.path.basename(old), '-F', 'qcow2',
                     '-o', 'cluster_size=%d' % (1 << self.bits), self.path, str(size))
        self.model = self.model[:size] + bytes(max(0, size - len(self.model)))
        self.ops = Ops(self.path, self.dir)

    def reopen(self):
        self.close()
        if self.r.random() < 0.5:
            self.check()
        if not self.snapshots and not self.backed and self.r.random() < 0.3:
            self.pack()
        self.ops = Ops(self.path, self.dir)

    def pack(self):
        """Compressed clusters, which only others write."""
        new = self.path + '.packed'
        kind = self.r.choice(['zlib', 'zstd'])
        self.bits = max(self.bits, 12)
        qemu_img('convert', '-c', '-O', 'qcow2', '-o',
                 'compression_type=%s,cluster_size=%d' % (kind, 1 << self.bits), self.path, new)
        os.rename(new, self.path)
        self.narrow = False

    def close(self):
        """Closes the image; their map of it is ours."""
        self.ops('f')
        ours = self.ops('m').split()
        self.ops.close()
        p = subprocess.run(['qemu-img', 'map', '--output=json', '-f', 'qcow2', self.path],
                           stdout=subprocess.PIPE, check=True)
        theirs = []
        for extent in json.loads(p.stdout):
            # They also look for holes in the file below data when they suspect some; that is no
            # matter of the image, so what counts is where it has data.
            kind, length = 'd' if extent['data'] else 'z', extent['length']
            if theirs and theirs[-1][0] == kind:
                theirs[-1][1] += length
            else:
                theirs.append([kind, length])
        theirs = ['%s:%d' % tuple(t) for t in theirs]
        if ours != theirs:
            raise AssertionError('map: %s, theirs %s' % (ours[:20], theirs[:20]))

    def check(self):
        qemu_img('check', '-q', '-f', 'qcow2', self.path)
        raw = os.path.join(self.dir, 'model')
        with open(raw, 'wb') as f:
            f.write(self.model)
        qemu_img('compare', '-q', '-f', 'qcow2', '-F', 'raw', self.path, raw)

    def check_snapshots(self):
        for name, data in self.snapshots.items():
            raw, out = os.path.join(self.dir, 'model'), os.path.join(self.dir, 'out')
            with open(raw, 'wb') as f:
                f.write(data)
            qemu_img('convert', '-f', 'qcow2', '-O', 'raw', '-l', 'snapshot.name=' + name,
                     self.path, out)
            # qemu-img gives what lies in the snapshot at the disk's present size
            with open(out, 'rb') as f:
                got = f.read()
            n = min(len(got), len(data))
            if got[:n] != data[:n]:
                raise AssertionError('snapshot %s differs' % name)

    def run(self, steps):
        moves = ([self.write] * 10 + [self.zero] * 3 + [self.discard] * 3 + [self.read] * 6 +
                 [self.flush] * 2 + [self.snapshot, self.apply, self.forget, self.resize,
                                     self.overlay, self.reopen])
        for _ in range(steps):
            self.r.choice(moves)()
        if self.ops('c') != '0 0':
            raise AssertionError('our own check finds something')
        self.close()
        self.check()
        self.check_snapshots()


def sequences(first, count, steps):
    """Runs them; the number that failed, with their seeds printed."""
    bad = 0
    for seed in range(first, first + count):
        folder, sequence = tempfile.mkdtemp(prefix='posada-disk-', dir=FOLDER), None
        try:
            sequence = Sequence(seed, folder)
            sequence.run(steps)
        except Exception as e:  # any failure is one
            bad += 1
            print('sequence %d (clusters of %d): %s' %
                  (seed, 1 << sequence.bits if sequence else 0, e), flush=True)
        finally:
            if sequence and sequence.ops.p.poll() is None:
                sequence.ops.p.kill()
                sequence.ops.p.wait()
            if not os.environ.get('KEEP'):
                shutil.rmtree(folder)
    return bad


def need_tools():
    if not shutil.which('qemu-img') or not shutil.which('strace') or not os.path.exists(DISKOPS):
        print('qemu-img (package qemu-utils), strace or diskops is missing')
        sys.exit(77)
