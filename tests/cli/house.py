# SPDX-License-Identifier: Apache-2.0
"""A house of its own for tests of the command line: fake machines, real everything else."""
import fcntl
import glob
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from realhouse import Logs  # pylint: disable=wrong-import-position

BUILD = os.environ.get('BUILD', 'build')
FAKE = os.path.join(BUILD, 'tests', 'cli', 'posada-fake')
AGENT = os.path.join(BUILD, 'guest', 'agent.%s' % os.uname().machine)


class House:
    """Directories of their own, and posada-fake in them."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='posada-test-')
        self.logs = Logs(self.dir)
        self.env = dict(os.environ, POSADA_DATA_DIR=self.dir + '/data', POSADA_FAKE_AGENT=AGENT,
                        POSADA_RUN_DIR=self.dir + '/run', POSADA_CACHE_DIR=self.dir + '/cache')
        self.env.pop('POSADA_DETACH_KEYS', None)
        os.chmod(self.dir, 0o755)
        for kind in ('kernel', 'broken', 'mute', 'panic', 'crash', 'ends', 'sulk', 'late', 'quote',
                     'reset', 'fatal'):
            with open(self.file(kind), 'w', encoding='ascii') as f:
                f.write('no kernel\n')

    def file(self, name):
        return os.path.join(self.dir, name)

    def start(self, *words, **popen):
        popen.setdefault('stdin', subprocess.DEVNULL)
        return subprocess.Popen([FAKE, *words], env=self.env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **popen)

    def __call__(self, *words, stdin=b'', timeout=20):
        """Exit code, standard output, standard error of one command."""
        self.logs.keep()
        p = subprocess.run([FAKE, *words], env=self.env, input=stdin, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout, check=False)
        return p.returncode, p.stdout.decode(errors='replace'), p.stderr.decode(errors='replace')

    def run(self, *words, kind='kernel', **more):
        return self('run', '--kernel', self.file(kind), *words, **more)

    def state(self, name):
        for row in json.loads(self('ps', '-a', '--format', 'json')[1]):
            if row['name'] == name:
                return row
        return None

    def processes(self):
        """What runs in this house: keepers, monitors, agents and their commands."""
        found, mark = [], ('POSADA_DATA_DIR=' + self.env['POSADA_DATA_DIR']).encode()
        for path in glob.glob('/proc/[0-9]*'):
            try:
                with open(path + '/environ', 'rb') as f:
                    ours = mark in f.read().split(b'\0')
                with open(path + '/stat', encoding='ascii', errors='replace') as f:
                    zombie = f.read().rsplit(') ', 1)[1][0] == 'Z'
            except OSError:
                continue
            if ours and not zombie and int(path[6:]) != os.getpid():
                found.append(int(path[6:]))
        return found

    def leftovers(self):
        """Files and processes of guests that should be gone; waits a little for the last ones."""
        for _ in range(100):
            left = [n for part in ('data', 'run')
                    for n in glob.glob('%s/%s/guests/*' % (self.dir, part))]
            left += glob.glob(self.dir + '/data/guests/.new-*')
            left += glob.glob(self.dir + '/data/guests/.dead-*') + self.processes()
            if not left:
                return []
            time.sleep(0.05)
        return left

    def close(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        shutil.rmtree(self.dir, ignore_errors=True)


class Terminal:
    """posada-fake on a terminal of its own."""

    def __init__(self, house, *words, rows=33, columns=111):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(FAKE, [FAKE, *words], house.env)
        self.resize(rows, columns)
        self.seen = b''

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def raw(self):
        return not termios.tcgetattr(self.fd)[3] & termios.ICANON

    def type(self, text):
        os.write(self.fd, text)

    def until(self, what, seconds=10):
        """Reads until `what` was seen; all that was seen since the last call."""
        end = time.time() + seconds
        while what not in self.seen:
            if time.time() > end or not self._read(0.1):
                raise AssertionError('%r not in %r' % (what, self.seen))
        at = self.seen.index(what) + len(what)
        text, self.seen = self.seen[:at], self.seen[at:]
        return text

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def wait(self, seconds=10):
        """The exit code (negative: signal) and whether the terminal was left raw."""
        end = time.time() + seconds
        while time.time() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            self._read(0.05)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError('still running; seen %r' % self.seen)


def equal(got, wanted, about=''):
    if got != wanted:
        raise AssertionError('%s: got %r, wanted %r' % (about, got, wanted))


def has(text, *words):
    for word in words:
        if word not in text:
            raise AssertionError('%r not in %r' % (word, text))


def main(tests):
    """Runs functions of one House each; the runner's verdict lines."""
    bad = 0
    if not os.path.exists(FAKE) or not os.path.exists(AGENT):
        print('posada-fake or the agent for this machine has not been built')
        sys.exit(77)
    for test in tests:
        house = House()
        try:
            test(house)
            house.logs.check()
            print('ok %s' % test.__name__, flush=True)
        except Exception:  # a test may fail in any way
            traceback.print_exc(file=sys.stdout)
            for log in glob.glob(house.dir + '/data/guests/*/monitor.log'):
                with open(log, encoding='utf-8', errors='replace') as f:
                    print(f.read())
            print('not ok %s' % test.__name__, flush=True)
            bad += 1
        finally:
            house.close()
    sys.exit(1 if bad else 0)
