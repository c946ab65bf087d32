/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: container/binfmt.h. The header that entries are compared with: ELF-64, gABI ch. 4. */
#include "container/binfmt.h"

#include "base/cleanup.h"
#include "base/endian.h"
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum {
    BINFMT_HEAD = EI_NIDENT + 4, /* up to e_machine's end */
    BINFMT_ENTRY_MAX = 4096,
    BINFMT_PHDRS_MAX = 64,
};

static const struct {
    const char *machine, *emulator;
    uint16_t elf_machine;
} binfmt_machines[] = {
    {"aarch64", "qemu-aarch64", EM_AARCH64},
    {"riscv64", "qemu-riscv64", EM_RISCV},
    {"x86_64", "qemu-x86_64", EM_X86_64},
};

/* --- the emulator --- */

/* In the other root there is no dynamic linker for it. */
static bool binfmt_is_static(const char *path)
{
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    Elf64_Ehdr e;
    Elf64_Phdr p;

    if (fd < 0 || read(fd, &e, sizeof(e)) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
        e.e_phentsize != sizeof(p) || e.e_phnum > BINFMT_PHDRS_MAX)
        return false;
    for (unsigned i = 0; i < e.e_phnum; i++)
        if (pread(fd, &p, sizeof(p), (off_t)(e.e_phoff + i * sizeof(p))) != sizeof(p) ||
            p.p_type == PT_INTERP)
            return false;
    return true;
}

int binfmt_find(const char *machine, struct binfmt *ret, struct err *err)
{
    static const char *const tails[] = {"-static", ""};
    struct binfmt b;

    for (size_t i = 0; i < ARRAY_LEN(binfmt_machines); i++) {
        if (strcmp(machine, binfmt_machines[i].machine) != 0)
            continue;
        b = (struct binfmt){binfmt_machines[i].machine, binfmt_machines[i].elf_machine, ""};
        for (size_t t = 0; t < ARRAY_LEN(tails); t++) {
            (void)snprintf(b.emulator, sizeof(b.emulator), "/usr/bin/%s%s",
                           binfmt_machines[i].emulator, tails[t]);
            if (access(b.emulator, X_OK) < 0 || !binfmt_is_static(b.emulator))
                continue;
            *ret = b;
            return 0;
        }
        return err_set(err, -EOPNOTSUPP,
                       "/usr/bin/%s-static is not there (install Debian's package "
                       "qemu-user-static)",
                       binfmt_machines[i].emulator);
    }
    return err_set(err, -EOPNOTSUPP, "no program here emulates %s", machine);
}

/* --- entries --- */

static void binfmt_head(const struct binfmt *b, uint8_t magic[BINFMT_HEAD],
                        uint8_t mask[BINFMT_HEAD])
{
    static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT};

    memset(magic, 0, BINFMT_HEAD);
    memset(mask, 0, BINFMT_HEAD);
    memcpy(magic, ident, sizeof(ident));
    memset(mask, 0xff, sizeof(ident)); /* whatever ABI it names */
    st_le16(magic + EI_NIDENT, ET_EXEC);
    st_le16(mask + EI_NIDENT, (uint16_t)~1); /* or ET_DYN, which is one more */
    st_le16(magic + EI_NIDENT + 2, b->elf_machine);
    st_le16(mask + EI_NIDENT + 2, 0xffff);
}

void binfmt_line(const struct binfmt *b, char line[BINFMT_LINE])
{
    uint8_t magic[BINFMT_HEAD], mask[BINFMT_HEAD];
    int n = snprintf(line, BINFMT_LINE, ":posada:M::");

    binfmt_head(b, magic, mask);
    for (size_t i = 0; i < BINFMT_HEAD; i++)
        n += snprintf(line + n, (size_t)(BINFMT_LINE - n), "\\x%02x", magic[i]);
    n += snprintf(line + n, (size_t)(BINFMT_LINE - n), ":");
    for (size_t i = 0; i < BINFMT_HEAD; i++)
        n += snprintf(line + n, (size_t)(BINFMT_LINE - n), "\\x%02x", mask[i]);
    /* F: opened now. P: the program's own argv[0], which busybox and others go by. */
    (void)snprintf(line + n, (size_t)(BINFMT_LINE - n), ":%s:PF", b->emulator);
}

/* The value of a line "KEY VALUE" of an entry; NULL: none. */
static const char *binfmt_value(const char *text, const char *key)
{
    size_t len = strlen(key);

    for (; text; text = strchr(text, '\n')) {
        text += *text == '\n';
        if (strncmp(text, key, len) == 0)
            return text + len;
    }
    return NULL;
}

/* Byte i of hexadecimal digits; -1: past them. */
static int binfmt_byte(const char *digits, size_t i)
{
    char two[3] = {0}, *end;
    long byte;

    if (!digits || strspn(digits, "0123456789abcdef") < 2 * i + 2)
        return -1;
    memcpy(two, digits + 2 * i, 2);
    byte = strtol(two, &end, 16);
    return (int)byte;
}

bool binfmt_entry_fits(const struct binfmt *b, const char *text)
{
    const char *flags = binfmt_value(text, "flags: "), *magic = binfmt_value(text, "magic ");
    const char *mask = binfmt_value(text, "mask "), *offset = binfmt_value(text, "offset ");
    uint8_t head[BINFMT_HEAD], ignored[BINFMT_HEAD];

    if (strncmp(text, "enabled\n", 8) != 0 || !flags || !memchr(flags, 'F', strcspn(flags, "\n")) ||
        !offset || strtoul(offset, NULL, 10) != 0 || binfmt_byte(magic, BINFMT_HEAD - 1) < 0)
        return false;
    binfmt_head(b, head, ignored);
    for (size_t i = 0; i < BINFMT_HEAD; i++) {
        int wanted = binfmt_byte(magic, i), bits = mask ? binfmt_byte(mask, i) : 0xff;

        if (bits < 0 || ((head[i] ^ wanted) & bits))
            return false;
    }
    return true;
}

/* The host's; an entry that a namespace has not made itself counts in there too. */
static bool binfmt_host_has(const struct binfmt *b)
{
    CLEANUP(fd) int dir = open("/proc/sys/fs/binfmt_misc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = dir < 0 ? NULL : fdopendir(dup(dir));
    const struct dirent *e;
    bool found = false;

    while (list && !found && (e = readdir(list)) != NULL) {
        CLEANUP(fd) int fd = openat(dir, e->d_name, O_RDONLY | O_CLOEXEC);
        char text[BINFMT_ENTRY_MAX];
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

        if (n <= 0)
            continue;
        text[n] = '\0';
        found = binfmt_entry_fits(b, text);
    }
    if (list)
        (void)closedir(list);
    return found;
}

/* An instance of the caller's user namespace, mounted nowhere: a descriptor. */
static int binfmt_instance(void)
{
    CLEANUP(fd) int fs = fsopen("binfmt_misc", FSOPEN_CLOEXEC);
    int fd;

    if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return fd < 0 ? -errno : fd;
}

static int binfmt_register(const struct binfmt *b, int instance)
{
    CLEANUP(fd) int fd = openat(instance, "register", O_WRONLY | O_CLOEXEC);
    char line[BINFMT_LINE];

    binfmt_line(b, line);
    return fd < 0 || write(fd, line, strlen(line)) < 0 ? -errno : 0;
}

int binfmt_enter(const struct binfmt *b, struct err *err)
{
    CLEANUP(fd) int instance = binfmt_instance();
    int r = instance < 0 ? instance : binfmt_register(b, instance);

    if (r == 0)
        return take_fd(&instance);
    if (instance < 0 && binfmt_host_has(b))
        return open("/dev/null", O_RDONLY | O_CLOEXEC); /* the host keeps its entry itself */
    return err_set(err, -EOPNOTSUPP,
                   "%s programs need Linux 6.7 with binfmt_misc, or an entry for them on the host "
                   "(install Debian's package binfmt-support): %s",
                   b->machine, strerror(-r));
}
