# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the middle of anything: the image stays consistent, what was flushed is there."""
import os
import random
import shutil
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
