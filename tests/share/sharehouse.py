# SPDX-License-Identifier: Apache-2.0
"""Guests with shares in directories of their own."""
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

POSADA = os.environ['POSADA']


def skip(reason):
    print('skip: ' + reason)
    sys.exit(77)


def has(text, *words):
    for word in words:
        if word not in text:
            raise AssertionError('%r not in %r' % (word, text))


def equal(got, wanted, about=''):
    if got != wanted:
        raise AssertionError('%s: got %r, wanted %r' % (about, got, wanted))


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest() if hasattr(hashlib, 'file_digest') else \
            hashlib.sha256(f.read()).hexdigest()


class House:
    """Guests of one user; images come from the user's own directory."""

    def __init__(self, uid=None):
        self.folder = tempfile.mkdtemp(prefix='posada-share-', dir='/var/tmp' if uid else None)
        self.uid = uid
        self.shared = os.path.join(self.folder, 'shared')
        os.mkdir(self.shared)
        self.env = dict(os.environ, POSADA_DATA_DIR=self.folder + '/data', POSADA_RUN_DIR=self.folder + '/run',
                        HOME=self.folder)
        if uid:
            for path in (self.folder, self.shared):
                os.chown(path, uid, uid)

    def demote(self):
        if self.uid:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)

    def __call__(self, *words, timeout=240, stdin=subprocess.DEVNULL):
        p = subprocess.run([POSADA, *words], env=self.env, stdin=stdin, timeout=timeout, cwd=self.folder,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, preexec_fn=self.demote)
        return p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')

    def popen(self, *words):
        return subprocess.Popen([POSADA, *words], env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, cwd=self.folder, preexec_fn=self.demote)

    def build(self):
        code, _, err = self('image', 'build', '--arch', 'riscv64', 'tiny', timeout=600)
        if code:
            skip('no image: ' + err.strip()[-200:])

    def take_images(self, other):
        """Those another house has built."""
        data = self.env['POSADA_DATA_DIR']
        shutil.copytree(other.env['POSADA_DATA_DIR'] + '/images', data + '/images')
        subprocess.run(['chown', '-R', '%d:%d' % (self.uid, self.uid), data], check=True)

    def start(self, name, *words):
        code, _, err = self('run', '-d', '--name', name, '--arch', 'riscv64', *words, 'tiny')
        if code:
            raise AssertionError('%s does not start: %s' % (name, err))

    def sh(self, name, command, timeout=240):
        return self('exec', name, 'sh', '-c', command, timeout=timeout)

    def file(self, name):
        return os.path.join(self.shared, name)

    def write(self, name, data):
        with open(self.file(name), 'wb') as f:
            f.write(data)

    def read(self, name):
        with open(self.file(name), 'rb') as f:
            return f.read()

    def processes(self, word):
        found, mark = [], ('POSADA_DATA_DIR=' + self.env['POSADA_DATA_DIR']).encode()
        for path in glob.glob('/proc/[0-9]*'):
            try:
                with open(path + '/environ', 'rb') as f:
                    ours = mark in f.read().split(b'\0')
                with open(path + '/cmdline', 'rb') as f:
                    line = f.read().split(b'\0')
            except OSError:
                continue
            if ours and word.encode() in line:
                found.append(int(path[6:]))
        return found

    def log(self, name):
        with open(os.path.join(self.env['POSADA_DATA_DIR'], 'guests', name, 'monitor.log'), encoding='utf-8') as f:
            return f.read()

    def end(self):
        for name in self('ps', '-a', '-q')[1].split():
            self('kill', name)
            self('rm', name)
        shutil.rmtree(self.folder, ignore_errors=True)
