# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of anything: the image stays consistent, what was flushed is there."""
import os
import random
import shutil
import subprocess
import tempfile
import time

import disks
from disks import SECTOR, Ops, pattern, posada, qemu_img

SIZE = 4 << 20


def script(r, count):
    """Lines for diskops; whole clusters only for what drops data, so that the model is exact."""
    ops, names = [], []
    for n in range(count):
        kind = r.choice('wwwwwwzZdffWsk')
        offset = r.randrange(SIZE // 4096) * 4096
        length = min(r.choice([4096, 16384, 65536]), SIZE - offset)
        if kind == 's':
            names.append('n%d' % n)
            ops.append(('s', names[-1]))
        elif kind == 'k':
            if names:
                ops.append(('k', names.pop(0)))
        elif kind == 'f':
            ops.append(('f',))
        else:
            ops.append((kind, offset, length, n + 1))
    return ops


def contents(op):
    return pattern(*op[1:]) if op[0] in 'wW' else bytes(op[2])


def verify(path, ops, acked, raw):
    qemu_img('convert', '-f', 'qcow2', '-O', 'raw', path, raw)
    with open(raw, 'rb') as f:
        got = f.read()
    firm = max([i + 1 for i in range(acked) if ops[i][0] in 'fWsk'], default=0)
    allowed = {}
    for i, op in enumerate(ops):
        if op[0] not in 'wWzZd':
            continue
        data = contents(op)
        for at in range(0, op[2], SECTOR):
            sector = (op[1] + at) // SECTOR
            if i < firm:
                allowed[sector] = [data[at:at + SECTOR]]
            else:
                allowed.setdefault(sector, [bytes(SECTOR)]).append(data[at:at + SECTOR])
    for sector, values in allowed.items():
        if got[sector * SECTOR:(sector + 1) * SECTOR] not in values:
            raise AssertionError('sector %d is not what was flushed' % sector)


def one(seed, folder):
    r, path = random.Random(seed), os.path.join(folder, 'd.qcow2')
    posada('create', '--cluster-size', '4096', path, str(SIZE))
    ops = script(r, 120)
    image, acked = Ops(path), 0
    image.p.stdin.write(''.join(op[0] + ' '.join(map(str, op[1:])) + '\n' for op in ops))
    image.p.stdin.flush()
    time.sleep(r.random() * 0.06)
    image.p.kill()
    image.p.wait()
    acked = sum(line == 'ok\n' for line in image.p.stdout)
    image.p.stdout.close()
    try:
        image.p.stdin.close()
    except BrokenPipeError:
        pass
    leaks = qemu_img('check', '-q', '-f', 'qcow2', path, codes=(0, 3))
    verify(path, ops, acked, os.path.join(folder, 'raw'))
    if leaks:  # space only; and gone when asked
        posada('check', '--repair', path)
        qemu_img('check', '-q', '-f', 'qcow2', path)
        verify(path, ops, acked, os.path.join(folder, 'raw'))
    return bool(leaks), acked


def kills(first, count):
    bad = leaky = done = 0
    for seed in range(first, first + count):
        folder = tempfile.mkdtemp(prefix='posada-kill-', dir=disks.FOLDER)
        try:
            leaks, acked = one(seed, folder)
            leaky += leaks
            done += acked
        except Exception as e:  # any failure is one
            bad += 1
            print('kill %d: %s' % (seed, e), flush=True)
        finally:
            shutil.rmtree(folder)
    print('%d operations were answered; %d images had leaks' % (done, leaky))
    return bad


# --- Verbs of the command line, killed before each of their calls that change anything ---
CALLS = ('pwrite64', 'pwritev', 'pwritev2', 'write', 'ftruncate', 'fallocate', 'fdatasync', 'fsync', 'linkat',
         'link', 'rename', 'renameat2', 'unlink', 'unlinkat')


class Point:
    """One verb on a fresh folder, killed when it makes a system call for the n-th time."""

    def __init__(self, folder, template):
        self.folder, self.template = folder, template
        self.image, self.new = os.path.join(folder, 'd.qcow2'), os.path.join(folder, 'new')

    def run(self, call, n, words):
        """False: it came to its end before."""
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))
        shutil.copy(self.template, self.image)
        words = [w.format(image=self.image, new=self.new) for w in words]
        p = subprocess.run(['strace', '-f', '-o', '/dev/null', '-e', 'trace=' + call, '-e',
                            'inject=%s:signal=KILL:when=%d' % (call, n), disks.POSADA, 'disk', *words],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
        if p.returncode not in (0, -9, 137):
            raise AssertionError('exit code %d: %s' % (p.returncode, p.stderr.decode()))
        return p.returncode != 0

    def contents(self, path, size):
        out = path + '.raw'
        qemu_img('convert', '-f', 'qcow2', '-O', 'raw', path, out)
        with open(out, 'rb') as f:
            data = f.read()
        os.unlink(out)
        if len(data) not in size:
            raise AssertionError('size %d' % len(data))
        return data

    def verify(self, sizes, may_go, models):
        """The image is sound and holds what it held; what is new is there in full or not at all."""
        names = set(os.listdir(self.folder)) - {'d.qcow2', 'new'}
        if names:
            raise AssertionError('left behind: %s' % names)
        if not os.path.exists(self.image):
            if not may_go:
                raise AssertionError('the image is gone')
        else:
            qemu_img('check', '-q', '-f', 'qcow2', self.image, codes=(0, 3))
            data = self.contents(self.image, sizes)
            if not any(data[:len(m)] == m[:len(data)] and not data[len(m):].strip(b'\0') for m in models):
                raise AssertionError('its contents have changed')
            posada('check', '--repair', self.image)
            qemu_img('check', '-q', '-f', 'qcow2', self.image)
        if os.path.lexists(self.new):
            with open(self.new, 'rb') as f:
                if f.read(4) == b'QFI\xfb':
                    qemu_img('check', '-q', '-f', 'qcow2', self.new)
                    self.contents(self.new, (SIZE,))
                elif os.path.getsize(self.new) != SIZE:
                    raise AssertionError('new file of %d bytes' % os.path.getsize(self.new))


def template(folder):
    """An image with data and two snapshots; what a reader of it and of the first snapshot sees."""
    path = os.path.join(folder, 'template')
    posada('create', '--cluster-size', '4096', path, str(SIZE))
    image = Ops(path)
    for i in range(12):
        image('w', i * 300000 // 512 * 512, 20480, i + 1)
        if i in (4, 8):
            image('s', 'n%d' % i)
    image.close()
    raw, models = os.path.join(folder, 'raw'), []
    for words in ([], ['-l', 'snapshot.name=n4']):
        qemu_img('convert', '-f', 'qcow2', '-O', 'raw', *words, path, raw)
        with open(raw, 'rb') as f:
            models.append(f.read())
    return path, models


VERBS = (  # words, sizes that may come of it, the image may be gone
    (('create', '{new}', str(SIZE)), (SIZE,), False),
    (('create', '-f', 'raw', '{new}', str(SIZE)), (SIZE,), False),
    (('create', '-b', 'd.qcow2', '-F', 'qcow2', '{new}'), (SIZE,), False),
    (('convert', '{image}', '{new}'), (SIZE,), False),
    (('convert', '-O', 'raw', '{image}', '{new}'), (SIZE,), False),
    (('snapshot', '{image}', 'another'), (SIZE,), False),
    (('forget', '{image}', 'n4'), (SIZE,), False),
    (('restore', '{image}', 'n4'), (SIZE,), False),
    (('resize', '{image}', str(SIZE * 3)), (SIZE, SIZE * 3), False),
    (('resize', '{image}', '1G'), (SIZE, 1 << 30), False),
    (('resize', '--shrink', '{image}', str(SIZE // 2)), (SIZE, SIZE // 2), False),
    (('check', '--repair', '{image}'), (SIZE,), False),
    (('rm', '{image}'), (SIZE,), True),
)


def kill_verb(point, call, step, case, models):
    """Points tried, failures. step 1: every one; else about one in step."""
    words, sizes, may_go = case
    n, points = 1 + (len(words[-1]) + len(call)) % step, 0
    try:
        while point.run(call, n, words):
            point.verify(sizes, may_go, models if words[0] == 'restore' else models[:1])
            points += 1
            n += step
    except Exception as e:  # any failure is one
        print('%s killed at %s %d: %s' % (' '.join(words), call, n, e), flush=True)
        return points, 1
    return points, 0


def verb_kills(step):
    """Points tried, failures."""
    folder = tempfile.mkdtemp(prefix='posada-kill-', dir=disks.FOLDER)
    os.mkdir(os.path.join(folder, 'work'))
    points = bad = 0
    try:
        path, models = template(folder)
        point = Point(os.path.join(folder, 'work'), path)
        for case in VERBS:
            for call in CALLS:
                tried, failed = kill_verb(point, call, step, case, models)
                points, bad = points + tried, bad + failed
    finally:
        shutil.rmtree(folder)
    return points, bad
