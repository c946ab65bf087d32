# SPDX-License-Identifier: Apache-2.0
"""A host with AMD-V where there is none: Debian's kernel with kvm-amd inside QEMU's translator,
whose "-cpu max" models SVM with nested paging. Posada, its libraries and its image "tiny" are on a
disk; a script runs there as root and its output comes back.

    bed = Bed(folder)                      # makes initrd and disk; Missing when something is not there
    text = bed.run('posada doctor', 120)   # one boot: a shell script, seconds; its output

POSADA_BED_QEMU names another qemu-system-x86_64 than the host's.
"""
import glob
import hashlib
import io
import json
import lzma
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

TOP = os.environ.get('TOP', os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))
BUILD = os.environ.get('BUILD', os.path.join(TOP, 'build'))
POSADA = os.environ.get('POSADA', os.path.join(BUILD, 'posada'))
CACHE = os.environ.get('POSADA_CACHE_DIR', '/var/cache/posada')
SLIRP = 'libslirp.so.0'
MODULES = ('virt/lib/irqbypass', 'arch/x86/kvm/kvm', 'arch/x86/kvm/kvm-amd')
BEGIN, END = 'bed: the script begins', 'bed: the script ended with '

INIT = """#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /bed; mount -t devpts pts /dev/pts
echo 1 > /proc/sys/kernel/printk
for m in virtio_pci virtio_blk ext4; do modprobe $m; done
for m in irqbypass kvm kvm-amd; do insmod /bed-modules/$m.ko; done
mount -t ext4 /dev/vda /bed
for d in proc sys dev; do mount --bind /$d /bed/$d; done
mount -t tmpfs tmpfs /bed/run; mount -t tmpfs tmpfs /bed/tmp; mount -t debugfs debug /bed/sys/kernel/debug
mount -t tmpfs tmpfs /bed/var/lib/posada/guests
ifconfig lo up
echo '%s'
cd /bed; mount --move . / # no mere chroot: users could make no namespaces there
chroot . /bin/sh /script
echo '%s'$?
poweroff -f
""" % (BEGIN, END)


class Missing(Exception):
    """Something of this machine that the bed needs is not there."""


def need(program, package):
    path = shutil.which(program) or shutil.which('/usr/sbin/' + program)
    if not path:
        raise Missing('no %s here (package %s)' % (program, package))
    return path


def posada(*args):
    return subprocess.run([POSADA] + list(args), check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout


def image():
    """Kernel, initrd and manifest of tiny for amd64, made when it is not there."""
    subprocess.run([POSADA, 'image', 'build', 'tiny', '--arch', 'amd64'], check=False,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        manifest = json.loads(posada('image', 'inspect', 'tiny', '--arch', 'amd64'))
    except subprocess.CalledProcessError as e:
        raise Missing('image tiny for amd64 cannot be made: ' + e.stderr.strip()) from e
    data = os.environ.get('POSADA_DATA_DIR', '/var/lib/posada')
    objects = os.path.join(data, 'images', 'objects')
    return (os.path.join(objects, manifest['kernel']['sha256']),
            os.path.join(objects, manifest['initrd']['sha256']), manifest)


def package_of(manifest):
    """The kernel's Debian package, as the image build has fetched it."""
    names = [p['name'] for p in manifest['packages'] if p['name'].startswith('linux-image')]
    found = glob.glob(os.path.join(CACHE, 'apt', '*-amd64', 'debs', names[0] + '_*.deb'))
    if not found:
        raise Missing('the package %s is no longer in %s' % (names[0], CACHE))
    return found[0]


def elf_symbol(data, name):
    """Offset in a relocatable ELF64 file of a function's first byte; None without it."""
    shoff, = struct.unpack_from('<Q', data, 40)
    count, = struct.unpack_from('<H', data, 60)
    sections = [struct.unpack_from('<IIQQQQIIQQ', data, shoff + 64 * i) for i in range(count)]
    for section in sections:
        if section[1] != 2: # SHT_SYMTAB
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            n, _, _, index, value, _ = struct.unpack_from('<IBBHQQ', data, at)
            end = data.index(b'\0', names + n)
            if data[names + n:end] == name and 0 < index < count:
                return sections[index][4] + value
    return None


def intercept_cr8(module):
    """kvm-amd that never stops intercepting writes to CR8, as it does at first. QEMU's translator (6.2
    to 11.1 at least) dies of an assertion when a nested guest writes CR8 while an interrupt window
    is asked for, and OVMF writes it in every interrupt. The function that would stop returns."""
    at = elf_symbol(module, b'svm_update_cr8_intercept')
    if at is None:
        raise Missing('this kvm-amd has no svm_update_cr8_intercept')
    if module[at:at + 4] == b'\xf3\x0f\x1e\xfa': # endbr64
        at += 4
    if module[at:at + 1] != b'\xe8': # the call that tracers use
        raise Missing('this kvm-amd begins its functions in another way')
    module = module[:at + 5] + b'\xc3' + module[at + 6:]
    mark = b'~Module signature appended~\n'
    if module.endswith(mark): # a module without one is accepted, one with a wrong one is not
        module = module[:-len(mark) - 12 - struct.unpack('>I', module[-len(mark) - 4:-len(mark)])[0]]
    return module


def kvm_modules(manifest):
    """{name: bytes} of the modules in MODULES."""
    tar = subprocess.run(['dpkg-deb', '--fsys-tarfile', package_of(manifest)], check=True,
                         stdout=subprocess.PIPE).stdout
    out = {}
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        for member in t:
            for name in MODULES:
                if member.name.endswith('/kernel/%s.ko.xz' % name):
                    out[os.path.basename(name) + '.ko'] = lzma.decompress(
                        t.extractfile(member).read())
    if len(out) != len(MODULES):
        raise Missing('this kernel has no kvm-amd module')
    out['kvm-amd.ko'] = intercept_cr8(out['kvm-amd.ko'])
    return out


def cpio(files):
    """A newc archive of {path: (mode, bytes)}; parents are the caller's."""
    out = io.BytesIO()

    def entry(path, mode, data, number):
        name = path.encode() + b'\0'
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        out.write(b'070701' + b''.join(b'%08x' % f for f in fields) + name)
        out.write(b'\0' * (-out.tell() % 4))
        out.write(data)
        out.write(b'\0' * (-out.tell() % 4))

    for number, (path, (mode, data)) in enumerate(files.items()):
        entry(path, mode, data, number + 1)
    entry('TRAILER!!!', 0, b'', 0)
    return out.getvalue()


def busybox():
    """The static busybox of the image."""
    deb = glob.glob(os.path.join(CACHE, 'apt', '*-amd64', 'debs', 'busybox-static_*_amd64.deb'))
    if not deb:
        raise Missing('the package busybox-static is no longer in ' + CACHE)
    tar = subprocess.run(['dpkg-deb', '--fsys-tarfile', deb[0]], check=True,
                         stdout=subprocess.PIPE).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as t:
        return t.extractfile(next(m for m in t if m.name.endswith('/bin/busybox'))).read()


def libraries(program):
    text = subprocess.run(['ldd', program], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout
    return sorted(set(re.findall(r'(/[^ ]+) \(0x', text)))


class Bed:
    """extra: {path in the bed: path here}, programs among them with their libraries. megabytes: of
    the bed's disk."""

    def __init__(self, folder, extra=None, megabytes=512):
        self.folder, self.megabytes = folder, megabytes
        self.qemu = os.environ.get('POSADA_BED_QEMU') or need('qemu-system-x86_64',
                                                              'qemu-system-x86')
        mke2fs = need('mke2fs', 'e2fsprogs')
        self.kernel, self.initrd, self.manifest = image()
        self._make_initrd()
        self._make_disk(mke2fs, extra or {})

    def _make_initrd(self):
        files = {'bed-modules': (0o40755, b'')}
        for name, data in kvm_modules(self.manifest).items():
            files['bed-modules/' + name] = (0o100644, data)
        files['init'] = (0o100755, INIT.encode())
        with open(self.initrd, 'rb') as f:
            base = f.read()
        base += b'\0' * (-len(base) % 512)
        self.own_initrd = os.path.join(self.folder, 'bed.initrd')
        with open(self.own_initrd, 'wb') as f:
            f.write(base + cpio(files))

    def _copy(self, source, target):
        path = os.path.join(self.root, target.lstrip('/'))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(os.path.realpath(source), path)

    def _make_root(self, extra):
        root = self.root = os.path.join(self.folder, 'root')
        for d in ('proc', 'sys', 'dev', 'run', 'tmp', 'root', 'bin', 'etc', 'var/lib/posada/guests',
                  'var/lib/posada/images/objects', 'var/lib/posada/images/x86_64',
                  'var/lib/posada/images/riscv64', 'var/lib/posada/images/aarch64',
                  'var/lib/posada/images/tmp', 'var/cache/posada'):
            os.makedirs(os.path.join(root, d))
        self._copy(POSADA, '/posada/posada')
        for arch in ('x86_64', 'riscv64', 'aarch64'):
            for program in ('init', 'agent'):
                path = os.path.join(BUILD, 'guest', '%s.%s' % (program, arch))
                if os.path.exists(path):
                    self._copy(path, '/posada/guest/%s.%s' % (program, arch))
        shutil.copytree(os.path.join(BUILD, 'share'), root + '/posada/share', dirs_exist_ok=True)
        for path in (self.kernel, self.initrd):
            os.link(path, '%s/var/lib/posada/images/objects/%s' % (root, os.path.basename(path))) \
                if os.stat(path).st_dev == os.stat(root).st_dev else \
                self._copy(path, '/var/lib/posada/images/objects/' + os.path.basename(path))
        with open(root + '/var/lib/posada/images/x86_64/tiny.json', 'w', encoding='utf-8') as f:
            json.dump(self.manifest, f)
        with open(root + '/etc/passwd', 'w', encoding='utf-8') as f:
            f.write('root:x:0:0:root:/root:/bin/sh\n')
        for target, source in extra.items():
            self._copy(source, target)
        programs = [POSADA] + [s for s in extra.values() if os.access(s, os.X_OK)]
        slirp = glob.glob('/usr/lib/x86_64-linux-gnu/' + SLIRP) # found by name, not linked
        for library in slirp:
            self._copy(library, library)
        for program in programs + slirp:
            for library in self._libraries_or_none(program):
                self._copy(library, library)
        self._busybox()

    @staticmethod
    def _libraries_or_none(program):
        try:
            return libraries(program)
        except subprocess.CalledProcessError: # a static one
            return []

    def _busybox(self):
        """The image's, its applets as links."""
        path = self.root + '/bin/busybox'
        with open(path, 'wb') as f:
            f.write(busybox())
        os.chmod(path, 0o755)
        applets = subprocess.run([path, '--list'], check=True, stdout=subprocess.PIPE,
                                 text=True).stdout.split()
        for applet in applets:
            if applet != 'busybox':
                os.symlink('busybox', os.path.join(self.root, 'bin', applet))

    def _make_disk(self, mke2fs, extra):
        self._make_root(extra)
        self.disk = os.path.join(self.folder, 'bed.img')
        subprocess.run([mke2fs, '-q', '-t', 'ext4', '-O', '^has_journal', '-d', self.root,
                        self.disk, '%dM' % self.megabytes], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(self.root)

    def _put_script(self, script):
        debugfs = need('debugfs', 'e2fsprogs')
        path = os.path.join(self.folder, 'script')
        with open(path, 'w', encoding='utf-8') as f:
            f.write('export PATH=/posada:/bin HOME=/root\n' + script + '\n')
        subprocess.run([debugfs, '-w', '-R', 'rm /script', self.disk], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run([debugfs, '-w', '-R', 'write %s script' % path, self.disk], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def command(self, memory, cpus):
        return [self.qemu, '-machine', 'q35', '-cpu', 'max', '-accel', 'tcg', '-smp', str(cpus),
                '-m', str(memory), '-kernel', self.kernel, '-initrd', self.own_initrd, '-append',
                'console=ttyS0 quiet cryptomgr.notests mitigations=off nokaslr '
                'initcall_blacklist=jent_mod_init no_timer_check clocksource=tsc tsc=reliable '
                'tsc_early_khz=%d panic=-1' % tsc_khz(),
                '-drive', 'file=%s,if=virtio,format=raw' % self.disk, '-display', 'none', '-serial',
                'stdio', '-monitor', 'none', '-no-reboot', '-nic', 'none', '-nodefaults']

    def _boot(self, seconds, memory, cpus):
        p = subprocess.Popen(self.command(memory, cpus), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            out, _ = p.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            p.kill()
            out, _ = p.communicate()
        return out.decode(errors='replace').replace('\r', '')

    def run(self, script, seconds, memory=1536, cpus=1):
        """Output of the script; RuntimeError with all there was when it does not come to its end.
        With several CPUs QEMU's translator now and then runs the bed's kernel into half of an
        instruction that the other one patches: then once more."""
        self._put_script(script)
        if cpus > 1:
            shutil.copyfile(self.disk, self.disk + '.first')
        text = self._boot(seconds, memory, cpus)
        if cpus > 1 and END not in text and 'Kernel panic - not syncing: Fatal exception' in text:
            print('# the bed panicked, once more: ' +
                  ' '.join(re.findall(r'RIP: \S+ (\S+)', text)[:1]), flush=True)
            os.replace(self.disk + '.first', self.disk)
            text = self._boot(seconds, memory, cpus)
        self.last = text
        found = re.search(re.escape(BEGIN) + r'\n(.*)' + re.escape(END) + r'(\d+)', text, re.S)
        if not found:
            raise RuntimeError('the bed did not finish within %d s:\n%s' % (seconds, text[-4000:]))
        return found[1]


def tsc_khz():
    """Of QEMU's guest: its translator shows the host's TSC. Told, because measuring it takes for
    ever on a busy host."""
    first = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    with open('/proc/cpuinfo', encoding='utf-8') as f:
        found = re.search(r'^cpu MHz\s*: ([\d.]+)', f.read(), re.M)
    return int(float(found[1]) * 1000) if found else 1000000 + first % 1


def parts(text):
    found = re.split(r'^== (\w+)\n', text, flags=re.M)
    return dict(zip(found[1::2], found[2::2]))


class Checks:
    def __init__(self, text):
        self.part, self.failed = parts(text), False

    def check(self, name, good, part):
        if not good:
            self.failed = True
        print('%s %s%s' % ('ok' if good else 'not ok', name,
                           '' if good else ': ' + repr(self.part.get(part, 'no output'))[-600:]))

    def text(self, part):
        return self.part.get(part, '')

    def equal(self, name, part, want):
        self.check(name, self.part.get(part, '').strip() == want, part)

    def number(self, name, part, low, high):
        text = self.part.get(part, '').strip()
        self.check(name, text.isdigit() and low <= int(text) <= high, part)


def main(works, seconds, extra=None, megabytes=512):
    """Runs each script of `works` in a boot of its own and judges what it said; the exit code.
    megabytes: of the bed's disk."""
    if os.environ.get('POSADA_SKIP_BED'):
        print('POSADA_SKIP_BED is set')
        return 77
    failed, folder = False, tempfile.mkdtemp(prefix='posada-bed-')
    try:
        b = Bed(folder, extra, megabytes)
        for work in works:
            text = b.run(work['script'], seconds, work.get('memory', 1536), work.get('cpus', 1))
            if '-v' in sys.argv:
                print(text)
            c = Checks(text)
            work['judge'](c)
            failed = failed or c.failed
    except Missing as e:
        print(e)
        return 77
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0
