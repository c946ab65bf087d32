# SPDX-License-Identifier: Apache-2.0
"""kill -9 at many points of every verb that changes something: nothing is stuck, nothing stays.

The command line is killed at chosen system calls (strace injects the signal), its keeper and its
monitor a short while after they appear. Afterwards whatever is left must be one of the states a
guest can honestly be in, every verb must answer, and rm -f must take all of it away.
"""
import glob
import os
import random
import shutil
import signal
import subprocess
import time

from house import FAKE, House, equal, has

# Verbs with the guests that have to be there: {name: started?}.
VERBS = [
    (('create', '--name', 'a', '--kernel', '@', 'sleep', '60'), {}),
    (('run', '-d', '--name', 'a', '--kernel', '@', 'sleep', '60'), {}),
    (('run', '--rm', '--name', 'a', '--kernel', '@', 'sleep', '0.4'), {}),
    (('run', '-d', '--name', 'a', '--restart', 'always', '--kernel', '@', 'false'), {}),
    (('start', 'a'), {'a': False}),
    (('stop', '-t', '1', 'a'), {'a': True}),
    (('restart', '-t', '1', 'a'), {'a': True}),
    (('kill', 'a'), {'a': True}),
    (('rename', 'a', 'b'), {'a': False}),
    (('set', '--memory', '256M', 'a'), {'a': False}),
    (('rm', 'a'), {'a': False}),
    (('rm', '-f', 'a'), {'a': True}),
]
# Before these many system calls a program is only being loaded.
LOADED = 240


class Trial:
    def __init__(self, words, guests):
        self.h = House()
        self.words = [self.h.file('kernel') if w == '@' else w for w in words]
        for name, started in guests.items():
            self.h('create', '--name', name, '--kernel', self.h.file('kernel'), 'sleep', '60')
            if started:
                equal(self.h('start', name)[0], 0)

    def close(self):
        self.h.close()

    def count_calls(self):
        """How many system calls the verb makes (once; about)."""
        log = self.h.file('calls')
        p = subprocess.Popen(['strace', '-qq', '-o', log, FAKE, *self.words], env=self.h.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            p.wait(3)
        except subprocess.TimeoutExpired:
            p.send_signal(signal.SIGINT)
            p.wait(10)
        with open(log, encoding='ascii', errors='replace') as f:
            return sum(1 for _ in f)

    def kill_at_call(self, n):
        p = subprocess.Popen(['strace', '-qq', '-o', '/dev/null', '-e',
                              'inject=all:signal=KILL:when=%d' % n, FAKE, *self.words],
                             env=self.h.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        try:
            p.wait(2)
        except subprocess.TimeoutExpired:  # in the foreground, and past that call
            p.kill()
            p.wait()

    def kill_process(self, role, delay):
        """role: posada-keeper or posada-guest, so long after it is seen."""
        p = self.h.start(*self.words)
        end = time.time() + 1
        while time.time() < end:
            pids = self.find(role)
            if pids:
                time.sleep(delay)
                for pid in pids:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except OSError:
                        pass
                break
        try:
            p.communicate(timeout=2)
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()

    def find(self, role):
        found = []
        for pid in self.h.processes():
            try:
                with open('/proc/%d/comm' % pid, encoding='ascii') as f:
                    if f.read().strip() == role:
                        found.append(pid)
            except OSError:
                pass
        return found

    def check(self, about):
        """Honest, not stuck, and all of it can be removed."""
        h = self.h
        code, out, err = h('ps', '-a', '--format', '{name} {state}')
        equal(code, 0, (about, err))
        for line in out.splitlines():
            name, state = line.split()
            equal(name in 'ab', True, (about, line))
            equal(state in ('created', 'starting', 'running', 'stopping', 'stopped', 'failed'),
                  True, (about, line))
        code, _, err = h('rm', '-f', 'a', 'b')
        equal(code, 0, (about, err))
        equal(h.leftovers(), [], about)
        left = [n for n in glob.glob(h.dir + '/data/guests/*') + glob.glob(h.dir + '/run/*/*')]
        equal(left, [], about)
        with open('/proc/self/mounts', encoding='utf-8') as f:
            equal(h.dir in f.read(), False, about)
        with open('/proc/net/unix', encoding='utf-8') as f:
            equal(h.dir in f.read(), False, about)
        # The name is free again.
        equal(h('create', '--name', 'a', '--kernel', h.file('kernel'), 'true')[0], 0, about)
        equal(h('rm', 'a')[0], 0, about)
        seqs = [int(s) for s in h('events', '--no-stream')[1].replace('{"seq":', '\n')
                .replace(',', '\n').split('\n') if s.isdigit()]
        equal(seqs, list(range(1, len(seqs) + 1)), about)


def one(words, guests, act, about):
    trial = Trial(words, guests)
    try:
        act(trial)
        trial.check(about)
    finally:
        trial.close()


def cli_points(count, rng):
    """count points a verb."""
    done = 0
    for words, guests in VERBS:
        trial = Trial(words, guests)
        calls = max(trial.count_calls(), LOADED + 20)
        trial.close()
        for k in range(count):
            # One in each stretch of the verb's life.
            low = LOADED + (calls - LOADED) * k // count
            n = rng.randrange(low, max(low + 1, LOADED + (calls - LOADED) * (k + 1) // count))
            one(words, guests, lambda t, n=n: t.kill_at_call(n), (words[:3], 'call', n))
            done += 1
    return done


def process_points(count, rng):
    done = 0
    for words, guests in VERBS:
        if words[0] in ('create', 'rename', 'set') or words == ('rm', 'a'):
            continue
        for role in ('posada-keeper', 'posada-guest'):
            for _ in range(count):
                delay = rng.choice([0, 0.001, 0.003, 0.01, 0.03])
                one(words, guests, lambda t, r=role, d=delay: t.kill_process(r, d),
                    (words[:3], role, delay))
                done += 1
    return done


def interrupts(count, rng):
    """Ctrl-C at any point of a start: the guest is gone or can be removed, never stuck."""
    for k in range(count):
        words, guests = VERBS[1:5][k % 4]
        sig = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[k % 3]

        def act(trial, sig=sig):
            p = trial.h.start(*trial.words)
            time.sleep(rng.random() * 0.08)
            p.send_signal(sig)
            p.communicate(timeout=15)

        one(words, guests, act, (words[:3], sig.name))
    return count


def main(points, seed):
    if not shutil.which('strace') or not os.path.exists(FAKE):
        print('strace or posada-fake is missing')
        raise SystemExit(77)
    rng = random.Random(seed)
    for name, fn, count in (('command_line', cli_points, points),
                            ('keeper_and_monitor', process_points, max(1, points // 2)),
                            ('interrupts', interrupts, points * 4)):
        try:
            done = fn(count, rng)
            has(str(done > 9), 'True')
            print('ok %s: %d points' % (name, done), flush=True)
        except AssertionError as e:
            print('%s\nnot ok %s' % (e, name), flush=True)
