# SPDX-License-Identifier: Apache-2.0
"""What tools need to know about the QEMU they compare with: its extensions and its known errors.

Commands hold {cpu} behind the CPU model; with_extensions() puts there what this QEMU can switch on.
"""
import functools
import re
import shlex
import subprocess

OPTIONS = ('zba', 'zbb', 'zbs', 'zicond', 'zicbom', 'zicboz', 'svinval')
# Errors of old versions that are known and not ours: instructions to leave out, and whether
# misaligned atomics must be left out too.
ERRORS_IN_USER_MODE = ['sfence.w.inval', 'sfence.inval.ir']  # not illegal there, in all versions
ERRORS = {7: (['ctzw'], True)}  # ctzw looks at 64 bits; a misaligned amo traps as a load


def program(command):
    """The words that start this QEMU, chroot and all."""
    return shlex.split(command.split(' -M ')[0])


@functools.lru_cache(None)
def knows(command, option):
    probe = subprocess.run(program(command) + ['-M', 'virt', '-cpu', 'rv64,%s=on' % option, '-S',
                                               '-display', 'none', '-bios', 'none', '-monitor', 'stdio'],
                           input=b'quit\n', stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return b'not found' not in probe.stdout


def lacks(command):
    """Extensions this QEMU does not have, as riscv.decode names them."""
    return [o.capitalize() for o in OPTIONS if not knows(command, o)]


def with_extensions(command):
    return command.replace('{cpu}', ''.join(',%s=on' % o for o in OPTIONS if knows(command, o)))


def errors(command):
    """ERRORS of this QEMU's major version."""
    out = subprocess.run(program(command) + ['-version'], stdout=subprocess.PIPE, text=True, check=False)
    version = re.search(r'version (\d+)', out.stdout)
    return ERRORS.get(int(version[1]), ([], False)) if version else ([], False)
