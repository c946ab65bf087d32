/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files a machine starts from: kernels, bare programs, firmware and initial RAM disks. Opening
 * reads and checks a file in full; writing it into guest RAM lets go of its bytes and keeps the
 * descriptor, so that a guest's reset can load the file again after the sandbox has closed the file
 * system, and no copy of it takes memory meanwhile. A file that has changed by then is refused.
 * Every file is hostile: all offsets are checked and all sizes capped.
 *
 * Errors: -ENOENT no such file, -EACCES not readable, -ENOEXEC not what it should be (empty,
 * truncated, corrupt, of another architecture), -EFBIG above the cap; err says it in a sentence.
 */
#pragma once

#include <posada/err.h>
#include <posada/vm.h>
#include <stdbool.h>
#include <sys/stat.h>

struct mem;

enum { LOADER_SEGMENTS_MAX = 16 };
#define LOADER_KERNEL_MAX (UINT64_C(512) << 20) /* bytes, also after decompression */
#define LOADER_INITRD_MAX (UINT64_C(4) << 30)

enum loader_kind {
    LOADER_LINUX, /* position-independent Image: placed by the board, entered at its start */
    LOADER_ELF,   /* segments at physical addresses of their own */
    LOADER_RAW,   /* bytes for the board to place */
};

enum loader_role { LOADER_KERNEL, LOADER_FIRMWARE, LOADER_INITRD };

struct loader_bytes {
    uint8_t *data; /* NULL while only the descriptor is kept; len stays */
    uint64_t len;
};

struct loader_segment {
    uint64_t address;         /* physical; from the image's start for LINUX and RAW */
    uint64_t offset, len;     /* in loader_image.bytes */
    uint64_t memory_len;      /* at least len; the rest is zeroed */
    uint64_t virtual_address; /* ELF */
};

enum { LOADER_SETUP_MAX = 256 };

struct loader_image {
    enum loader_kind kind;
    const char *what; /* "kernel", "firmware", "initrd": for messages */
    const char *path; /* the caller's */
    enum loader_role role;
    enum vm_arch arch;
    bool open;                 /* fd is */
    int fd;                    /* to read the file again; owned */
    struct stat stamp;         /* of the file as it was read */
    struct loader_bytes bytes; /* owned */
    uint64_t entry;            /* physical; from the image's start for LINUX and RAW */
    uint64_t text_offset;      /* LINUX: wanted offset from a 2 MiB boundary */
    uint64_t memory_size;      /* bytes of memory it occupies from its start */
    struct loader_segment segment[LOADER_SEGMENTS_MAX];
    unsigned segment_count;
    /* x86; see struct board_image. */
    uint8_t setup[LOADER_SETUP_MAX];
    uint32_t setup_len;
    uint64_t alignment, pvh_entry;
    bool narrow, multiboot;
    bool has_tohost; /* ELF with riscv-tests' symbol of that name */
    uint64_t tohost; /* its physical address */
};

/* A Linux Image (plain, gzip, EFI zboot with gzip), an x86 bzImage, or an ELF file of this
 * architecture (for x86_64 also one of 32 bits with a Multiboot header). */
int must_use loader_open_kernel(struct loader_image *ret_image, const char *path, enum vm_arch arch,
                                struct err *err);
/* Which architecture a kernel or firmware file is for, by its first bytes (enum vm_arch); -1: none
 * to be seen.
 */
int loader_kernel_arch(const char *path);
/* An ELF file or a raw binary. */
int must_use loader_open_firmware(struct loader_image *ret_image, const char *path,
                                  enum vm_arch arch, struct err *err);
/* One or more cpio archives, plain or compressed; plain and gzip'd ones are checked to the end. */
int must_use loader_open_initrd(struct loader_image *ret_image, const char *path, struct err *err);
void loader_close(struct loader_image *image); /* a zeroed one is fine */

/* Copies the image into guest RAM, `base` added to every address, and lets go of its bytes. Reads
 * the file again if they are gone: -ESTALE when it is not the same any more. */
int must_use loader_write(struct loader_image *image, struct mem *mem, uint64_t base,
                          struct err *err);

/* --- Parts, for the loader's own files and tests --- */
/* Inflates one gzip stream of `in`; ret_used: bytes consumed. ret_out NULL: only checks it.
 * -ENOEXEC corrupt or truncated, -EFBIG above max. */
int must_use loader_gunzip(const uint8_t *in, uint64_t len, uint64_t max,
                           struct loader_bytes *ret_out, uint64_t *ret_used);
bool loader_is_gzip(const uint8_t *data, uint64_t len);
bool loader_is_elf(const struct loader_bytes *b);
int loader_elf_arch(const struct loader_bytes *b); /* -1: none that Posada knows */
/* x86: an ELF program of 32 bits with a Multiboot header; the PVH note of one of 64 bits. */
bool loader_is_multiboot(const struct loader_bytes *b);
int must_use loader_parse_multiboot(struct loader_image *image, struct err *err);
void loader_find_pvh(struct loader_image *image);
int must_use loader_parse_bzimage(struct loader_image *image, struct err *err);
int must_use loader_parse_linux(struct loader_image *image, enum vm_arch arch, struct err *err);
int must_use loader_parse_elf(struct loader_image *image, enum vm_arch arch, struct err *err);
int must_use loader_check_initrd(const struct loader_image *image, struct err *err);
