# SPDX-License-Identifier: Apache-2.0
"""Disks that firmware starts from: GRUB, a kernel and an initrd, as installers and CD images have them."""
import os
import shutil
import struct
import subprocess

import bed

SECTOR, ESP_AT, ESP_SECTORS, ROOT_AT = 512, 2048, 32768, 2048 + 32768
GRUB = {'i386-pc': 'biosdisk', 'x86_64-efi': 'part_gpt'}
EARLY = """serial --unit=0 --speed=115200
terminal_output serial
search --no-floppy --set=root --file /grub.cfg
configfile /grub.cfg
"""
MENU = """echo bed: GRUB on $grub_platform
linux /vmlinuz console=ttyS0 cryptomgr.notests initcall_blacklist=jent_mod_init %s
initrd /initrd
boot
"""


def grub_image(folder, kind):
    """GRUB with all it needs inside, for one kind of firmware."""
    modules = '/usr/lib/grub/' + kind
    if not os.path.isdir(modules):
        raise bed.Missing('no GRUB modules %s here (grub-pc-bin, grub-efi-amd64-bin)' % kind)
    early, out = os.path.join(folder, 'early.cfg'), os.path.join(folder, kind)
    with open(early, 'w', encoding='ascii') as f:
        f.write(EARLY)
    subprocess.run([bed.need('grub-mkimage', 'grub-common'), '-O', kind, '-o', out, '-p', '/grub',
                    '-c', early, GRUB[kind], 'part_msdos', 'ext2', 'fat', 'linux', 'serial',
                    'configfile', 'search', 'search_fs_file', 'echo', 'boot', 'normal'],
                   check=True)
    return out


def partition(kind, start, count):
    return struct.pack('<B3sB3sII', 0x80 if kind == 0x83 else 0, b'\xfe\xff\xff', kind,
                       b'\xfe\xff\xff', start, count)


def make_speaker(path, text):
    """A disk for BIOSes whose boot sector says something on the serial line and stops."""
    code = bytes.fromhex('31c0 8ed8 be217c'      # DS 0; SI: the text behind the code
                         'ac 84c0 7412'          # next: a byte; none: halt
                         '88c4 bafd03 ec a820 74fb' # until the line takes one
                         'baf803 88e0 ee ebe9 f4 ebfd')
    with open(path, 'wb') as f:
        f.write((code + text.encode() + b'\0').ljust(510, b'\0') + b'\x55\xaa')
        f.truncate(1 << 20)


def make_iso(path, folder, kernel, initrd, append):
    """A CD image as Debian's are: for CD drives, and a disk with an MBR and an EFI partition."""
    root = os.path.join(folder, 'iso')
    os.makedirs(root + '/boot/grub')
    shutil.copy(kernel, root + '/vmlinuz')
    shutil.copy(initrd, root + '/initrd')
    with open(root + '/boot/grub/grub.cfg', 'w', encoding='ascii') as f:
        f.write(EARLY.split('search')[0] + MENU % append)
    bed.need('xorriso', 'xorriso')
    subprocess.run([bed.need('grub-mkrescue', 'grub-common'), '-o', path, root], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shutil.rmtree(root)


def make_disk(path, folder, kernel, initrd, append):
    """An MBR disk: GRUB for BIOSes in front, one for UEFI in a FAT partition, kernel in ext4."""
    root, size = os.path.join(folder, 'root'), os.path.getsize(initrd) + (64 << 20)
    count = size // SECTOR
    os.mkdir(root)
    shutil.copy(kernel, root + '/vmlinuz')
    shutil.copy(initrd, root + '/initrd')
    with open(root + '/grub.cfg', 'w', encoding='ascii') as f:
        f.write(MENU % append)
    core, efi = grub_image(folder, 'i386-pc'), grub_image(folder, 'x86_64-efi')
    with open(path, 'wb') as f:
        f.truncate((ROOT_AT + count) * SECTOR)
        with open('/usr/lib/grub/i386-pc/boot.img', 'rb') as b:
            f.write(b.read()[:440].ljust(446, b'\0'))
        f.write(partition(0xef, ESP_AT, ESP_SECTORS) + partition(0x83, ROOT_AT, count))
        f.seek(510)
        f.write(b'\x55\xaa')
        with open(core, 'rb') as c:
            f.write(c.read())
    subprocess.run([bed.need('mke2fs', 'e2fsprogs'), '-q', '-t', 'ext4', '-O', '^has_journal', '-E',
                    'offset=%d' % (ROOT_AT * SECTOR), '-d', root, path, '%dk' % (size >> 10)],
                   check=True, stdout=subprocess.DEVNULL)
    esp = os.path.join(folder, 'esp')
    with open(esp, 'wb') as f:
        f.truncate(ESP_SECTORS * SECTOR)
    subprocess.run([bed.need('mkfs.fat', 'dosfstools'), esp], check=True, stdout=subprocess.DEVNULL)
    for args in (['mmd', '-i', esp, '::EFI', '::EFI/BOOT'],
                 ['mcopy', '-i', esp, efi, '::EFI/BOOT/BOOTX64.EFI']):
        bed.need(args[0], 'mtools')
        subprocess.run(args, check=True)
    with open(path, 'r+b') as f, open(esp, 'rb') as e:
        f.seek(ESP_AT * SECTOR)
        shutil.copyfileobj(e, f)
    for p in (root, esp, core, efi):
        shutil.rmtree(p) if os.path.isdir(p) else os.remove(p)
