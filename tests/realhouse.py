# SPDX-License-Identifier: Apache-2.0
"""Real guests in directories of their own: what the tests of networks, shares and cycles have in common."""
import glob
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

POSADA = os.environ.get('POSADA', 'build/posada')


def skip(reason):
    print(reason)
    sys.exit(77)


def has(text, *words):
    for word in words:
        if word not in text:
            raise AssertionError('%r not in %r' % (word, text))


def equal(got, wanted, about=''):
    if got != wanted:
        raise AssertionError('%s: got %r, wanted %r' % (about, got, wanted))


def until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise AssertionError('in vain')
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha256').hexdigest() if hasattr(hashlib, 'file_digest') else \
            hashlib.sha256(f.read()).hexdigest()


class Logs:
    """The monitors' logs of a folder, kept also when their guests are removed: a system call that was
    refused there is a path that the lists of src/host/sandbox_calls.c do not know."""

    def __init__(self, folder):
        self.folder, self.kept, self.told = folder, folder + '/logs', []
        os.mkdir(self.kept)

    def keep(self):
        """Called again and again while there are guests: run --rm takes its guest's log along."""
        for path in glob.glob(self.folder + '/data/guests/*/monitor.log'):
            try:
                os.link(path, '%s/%d' % (self.kept, os.stat(path).st_ino))
            except OSError:
                pass  # it is kept already, or has gone just now

    def check(self):
        self.keep()
        refused = []
        for path in glob.glob(self.kept + '/*'):
            with open(path, encoding='utf-8', errors='replace') as f:
                refused += [line for line in f if 'was refused: its sandbox' in line]
        new, self.told = [line for line in refused if line not in self.told], refused
        if new:
            raise AssertionError(''.join(new))


class House:
    """Guests of one user: data and run files of their own, the user's cache."""

    def __init__(self, kind, uid=None):
        self.folder = tempfile.mkdtemp(prefix='posada-%s-' % kind, dir='/var/tmp' if uid else None)
        os.chmod(self.folder, 0o755)
        self.logs = Logs(self.folder)
        self.uid = uid
        self.env = dict(os.environ, POSADA_DATA_DIR=self.folder + '/data', POSADA_RUN_DIR=self.folder + '/run')
        self.env.pop('POSADA_DEBUG', None)

    def demote(self):
        if self.uid:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)

    def popen(self, *words, **more):
        for stream in ('stdin', 'stdout', 'stderr'):
            more.setdefault(stream, subprocess.PIPE)
        return subprocess.Popen([POSADA, *words], env=self.env, cwd=self.folder, preexec_fn=self.demote, **more)

    def __call__(self, *words, timeout=240, stdin=subprocess.DEVNULL):
        """Exit code, standard output, standard error of one command."""
        self.logs.keep()
        end = time.monotonic() + timeout
        with self.popen(*words, stdin=stdin) as p:
            while True:
                try:
                    out, err = p.communicate(timeout=0.1)
                    break
                except subprocess.TimeoutExpired:
                    self.logs.keep()
                    if time.monotonic() > end:
                        raise
        return p.returncode, out.decode(errors='replace'), err.decode(errors='replace')

    def build(self):
        """Makes tiny; where it cannot be made the test is skipped."""
        code, _, err = self('image', 'build', '--arch', 'riscv64', 'tiny', timeout=600)
        if code:
            skip('tiny cannot be built: ' + (err.splitlines() or [''])[-1])

    def start(self, name, *words):
        code, _, err = self('run', '-d', '--name', name, '--arch', 'riscv64', *words, 'tiny')
        if code:
            raise AssertionError('%s does not start: %s' % (name, err))

    def sh(self, name, command, timeout=240):
        """On a busy machine exec says that it waits for a guest to start: no word of the command's."""
        code, out, err = self('exec', name, 'sh', '-c', command, timeout=timeout)
        return code, out, ''.join(line for line in err.splitlines(True) if not line.endswith('s at most\n'))

    def processes(self, word=None):
        """Processes of this house, zombies left out; those whose command line has that word."""
        found, mark = [], ('POSADA_DATA_DIR=' + self.env['POSADA_DATA_DIR']).encode()
        for path in glob.glob('/proc/[0-9]*'):
            try:
                with open(path + '/environ', 'rb') as f:
                    ours = mark in f.read().split(b'\0')
                with open(path + '/cmdline', 'rb') as f:
                    line = f.read().split(b'\0')
            except OSError:
                continue
            if ours and line != [b''] and (not word or word.encode() in line):
                found.append(int(path[6:]))
        return found

    def kill(self, word, sig=9):
        """Ends the processes of that name; those that come in their place."""
        old = self.processes(word)
        for pid in old:
            os.kill(pid, sig)
        for _ in range(200):
            new = [pid for pid in self.processes(word) if pid not in old]
            if old and len(new) == len(old):
                return new
            time.sleep(0.05)
        raise AssertionError('no other %s: %s were, %s are' % (word, old, new))

    def log(self, name):
        with open('%s/data/guests/%s/monitor.log' % (self.folder, name), encoding='utf-8', errors='replace') as f:
            return f.read()

    def leftovers(self):
        """Processes and files that should be gone with all guests; waits for the last ones."""
        for _ in range(100):
            left = self.processes() + glob.glob(self.folder + '/run/*/*') + glob.glob(self.folder + '/run/*/.*.lock')
            if not left:
                break
            time.sleep(0.05)
        return left

    def end(self):
        for name in self('ps', '-a', '-q')[1].split():
            self('rm', '-f', name)
        shutil.rmtree(self.folder, ignore_errors=True)
