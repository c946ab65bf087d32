# SPDX-License-Identifier: Apache-2.0
"""What the machine tests share: building RISC-V programs, running build/tools/boot."""
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get('BUILD') or os.path.join(os.path.dirname(os.path.dirname(HERE)), 'build')
BOOT = os.path.join(BUILD, 'tools', 'boot')
CC = 'riscv64-linux-gnu-gcc'
OBJCOPY = 'riscv64-linux-gnu-objcopy'
FIRMWARE = '/usr/lib/riscv64-linux-gnu/opensbi/generic'


def need(*programs):
    """Skips the whole test when a program is not installed."""
    for program in programs:
        if not (shutil.which(program) or os.path.exists(program)):
            print('%s is not installed' % program)
            sys.exit(77)


def link(source, at, out):
    """Assembles one file of ours and links it at an address: an ELF program."""
    subprocess.run([CC, '-march=rv64gc', '-mabi=lp64d', '-nostdlib', '-static', '-no-pie',
                    '-Wl,--build-id=none,--no-warn-rwx-segments', '-Wl,-n', '-Wl,-Ttext=%#x' % at, '-o', out,
                    os.path.join(HERE, source)], check=True)
    return out


def flat(elf, out):
    subprocess.run([OBJCOPY, '-O', 'binary', elf, out], check=True)
    return out


def boot(*args, timeout=60, stdin=subprocess.DEVNULL):
    """Runs a machine to its end: (exit code, what it printed)."""
    run = subprocess.run([BOOT, *args], stdin=stdin, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=timeout, check=False)
    return run.returncode, run.stdout.decode(errors='replace')


def verdict(name, good, text=''):
    print('%s %s' % ('ok' if good else 'not ok', name), flush=True)
    if not good:
        print(text)
    return good
