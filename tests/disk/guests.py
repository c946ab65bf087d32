# SPDX-License-Identifier: Apache-2.0
"""A guest with its root on a qcow2 overlay, killed with -9 in the middle of writing, again and
again: the image stays sound, the file system too, and what the guest was told is written is there."""
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import disks
from disks import qemu_img

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..'))
from realhouse import Logs  # pylint: disable=wrong-import-position

CC = 'riscv64-linux-gnu-gcc'
INIT = '''#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
modprobe virtio_pci; modprobe virtio_blk; modprobe ext4
while [ ! -b /dev/vda ]; do sleep 0.05; done
mount -t ext4 -o discard /dev/vda /mnt && exec switch_root /mnt /proof
echo FAILED mount; poweroff -f
'''


class Guest:
    """One run of the guest; what it says is read by a thread."""

    def __init__(self, house, option):
        self.house, self.acked, self.have, self.failed, self.lines = house, 0, None, None, []
        self.p = subprocess.Popen(
            [house.posada, 'run', '--rm', '--memory', '256M', '--kernel', house.kernel, '--initrd', house.initrd,
             '--append', 'console=ttyS0 quiet cryptomgr.notests rdinit=/root.init panic=-1',
             '--disk', house.image + ',format=qcow2,backing=%s%s' % (house.folder, option)],
            env=house.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for raw in self.p.stdout:
            line = raw.decode('latin1').strip()
            self.lines.append(line)
            word, _, rest = line.partition(' ')
            if word == 'ACK':
                self.acked = int(rest)
            elif word == 'HAVE':
                self.have = int(rest)
            elif 'FAILED' in line or 'rror' in line or 'panic' in line:
                self.failed = line

    def wait(self, what, seconds):
        end = time.time() + seconds
        while not what():
            self.house.logs.keep()
            if self.failed or time.time() > end or self.p.poll() is not None:
                raise AssertionError('guest: %s %r' % (self.failed, self.lines[-8:]))
            time.sleep(0.002)

    def kill(self):
        """Kills the process that has the image open."""
        target = os.path.realpath(self.house.image)
        found = set()
        for link in glob.glob('/proc/[0-9]*/fd/*'):
            try:
                if os.readlink(link) == target:
                    found.add(int(link.split('/')[2]))
            except OSError:
                pass
        if not found:
            raise AssertionError('nobody has the image open')
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        self.p.wait(timeout=60)
        self.thread.join(timeout=10)


class House:
    def __init__(self, folder):
        self.folder, self.posada = folder, disks.POSADA
        self.env = dict(os.environ, POSADA_DATA_DIR=folder + '/data', POSADA_RUN_DIR=folder + '/run')
        self.env.pop('POSADA_DEBUG', None)
        self.image = os.path.join(folder, 'root.qcow2')
        self.logs = Logs(folder)

    def build(self):
        """False with a reason where the guest cannot be made."""
        p = subprocess.run([self.posada, 'image', 'build', 'tiny'], env=self.env, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if p.returncode:
            return p.stdout.strip().splitlines()[-1]
        images = os.path.join(self.folder, 'data', 'images')
        with open(os.path.join(images, 'riscv64', 'tiny.json'), encoding='utf-8') as f:
            record = json.load(f)
        self.kernel, initrd = (os.path.join(images, 'objects', record[k]['sha256']) for k in ('kernel', 'initrd'))
        self.initrd = os.path.join(self.folder, 'initrd')
        with open(os.path.join(self.folder, 'root.init'), 'w', encoding='ascii') as f:
            f.write(INIT)
        os.chmod(f.name, 0o755)
        os.mkdir(os.path.join(self.folder, 'mnt'))
        with open(self.initrd, 'wb') as out:
            with open(initrd, 'rb') as f:
                out.write(f.read())
            subprocess.run(['cpio', '-o', '-H', 'newc', '--quiet'], cwd=self.folder, stdout=out, check=True,
                           input=b'root.init\nmnt\n')
        self.make_root()
        return None

    def make_root(self):
        root, raw = os.path.join(self.folder, 'tree'), os.path.join(self.folder, 'root.raw')
        for name in ('', 'proc', 'sys', 'dev'):
            os.mkdir(os.path.join(root, name))
        subprocess.run([CC, '-static', '-O2', '-o', os.path.join(root, 'proof'), os.path.join(HERE, 'proof.c')],
                       check=True)
        subprocess.run(['mkfs.ext4', '-q', '-d', root, '-b', '4096', raw, '48M'], check=True,
                       stdout=subprocess.DEVNULL)
        disks.posada('convert', '-f', 'raw', raw, os.path.join(self.folder, 'base.qcow2'))
        os.unlink(raw)
        disks.posada('create', '-b', 'base.qcow2', '-F', 'qcow2', self.image, '48M')

    def checked(self):
        """The image by qemu-img, then by us, then the file system in it."""
        leaks = qemu_img('check', '-q', '-f', 'qcow2', self.image, codes=(0, 3))
        raw = os.path.join(self.folder, 'check.raw')
        qemu_img('convert', '-f', 'qcow2', '-O', 'raw', self.image, raw)
        p = subprocess.run(['e2fsck', '-fy', raw], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           check=False)
        os.unlink(raw)
        if p.returncode not in (0, 1):  # 1: orphans of the last moment were freed
            raise AssertionError('e2fsck: %d\n%s' % (p.returncode, p.stdout))
        return bool(leaks)

    def leftovers(self):
        """Processes and guests that should be gone; waits a little for the last ones."""
        mark = ('POSADA_DATA_DIR=' + self.env['POSADA_DATA_DIR']).encode()
        for _ in range(100):
            found = glob.glob(self.folder + '/data/guests/[!.]*') + glob.glob(self.folder + '/run/guests/*')
            for path in glob.glob('/proc/[0-9]*'):
                try:
                    with open(path + '/environ', 'rb') as f:
                        found += [path] if mark in f.read().split(b'\0') else []
                except OSError:
                    pass
            if not found:
                break
            time.sleep(0.05)
        return found


def second_is_refused(house):
    """Another guest on the same image, and what changes images: one sentence each, exit code 4."""
    for words in (['run', '--kernel', house.kernel, '--disk', house.image + ',format=qcow2,backing=' + house.folder],
                  ['disk', 'resize', house.image, '64M'], ['disk', 'rm', house.image],
                  ['disk', 'resize', os.path.join(house.folder, 'base.qcow2'), '64M']):
        p = subprocess.run([house.posada, *words], env=house.env, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        if p.returncode != 4 or 'in use' not in p.stderr or len(p.stderr.splitlines()) != 1:
            raise AssertionError('%s: %d %s%s' % (words[:2], p.returncode, p.stdout, p.stderr))
    info = subprocess.run([house.posada, 'disk', 'info', '--format', 'json', house.image], env=house.env,
                          stdout=subprocess.PIPE, check=True)
    if not json.loads(info.stdout)['in_use']:
        raise AssertionError('not said to be in use')


def kills(count, seed=1):
    """Reason to skip, or the number of failures."""
    if not shutil.which(CC) or not shutil.which('mkfs.ext4') or not shutil.which('cpio'):
        return 'riscv64 compiler, e2fsprogs or cpio is missing'
    r, bad, acked, leaky = random.Random(seed), 0, 0, 0
    folder = tempfile.mkdtemp(prefix='posada-guest-')
    os.chmod(folder, 0o755)
    try:
        house = House(folder)
        why = house.build()
        if why:
            return why
        for n in range(count):
            option = r.choice([',cache=none', '', ',cache=writethrough', ',aio=threads', ',rings=split'])
            guest = Guest(house, option)
            try:
                guest.wait(lambda: guest.have is not None, 60)
                if guest.have < acked:
                    raise AssertionError('%d was acknowledged, %d is there' % (acked, guest.have))
                if not n:
                    second_is_refused(house)
                stop = guest.have + r.randint(1, 40 if count > 5 else 10)
                guest.wait(lambda: guest.acked >= stop, 60)
                time.sleep(r.random() * 0.05)
                house.logs.check()
            except AssertionError as e:
                bad += 1
                print('kill %d%s: %s' % (n, option, e), flush=True)
            guest.kill()
            acked = max(acked, guest.acked)
            leaky += house.checked()
            left = house.leftovers()
            if left:
                bad += 1
                print('kill %d%s: left behind: %s' % (n, option, left), flush=True)
            if bad:
                break
        print('%d kills, %d files acknowledged and there; leaks (space only) after %d' % (count, acked, leaky))
    finally:
        shutil.rmtree(folder)
    return bad
