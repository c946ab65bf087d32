/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM: a few regions, each a mapping of its own - private and in huge pages, or a memfd
 * where the host has no huge pages for private memory - and one flag byte a page. Contract:
 * src/mem/mem.h.
 *
 * Who writes and who translates may be different threads. The order that makes it safe:
 *   translator: set PAGE_CODE, full fence, read the bytes;
 *   writer:     write the bytes, full fence, read the flags, report when PAGE_CODE is set.
 * So either the translator sees the new bytes or the writer sees the flag.
 */
#include "mem/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MEM_REGIONS_MAX = 8, MEM_ROMS_MAX = 2, HUGE_PAGE = 2 << 20 };

struct mem_region {
    uint64_t start, size;
    uint8_t *host;
    _Atomic uint8_t *flags; /* one a page */
    int fd;
};

struct mem_rom {
    uint64_t start, size;
    uint8_t *host;
    bool shown;
};

struct mem {
    struct mem_region region[MEM_REGIONS_MAX]; /* sorted by start */
    unsigned count;
    uint64_t ram_size;
    struct mem_rom rom[MEM_ROMS_MAX];
    unsigned rom_count;
    void (*rom_changed)(void *arg, unsigned n);
    void *rom_changed_arg;
    struct mem_io io, ports;
    void (*code_write)(void *arg, gpa_t gpa, uint64_t len);
    void *code_write_arg;
};

struct mem *mem_new(void)
{
    return calloc(1, sizeof(struct mem));
}

static void mem_region_done(struct mem_region *r)
{
    if (r->host)
        munmap(r->host, r->size);
    if (r->fd >= 0)
        close(r->fd);
    free((void *)(uintptr_t)r->flags);
}

void mem_free(struct mem *mem)
{
    if (!mem)
        return;
    for (unsigned i = 0; i < mem->count; i++)
        mem_region_done(&mem->region[i]);
    for (unsigned i = 0; i < mem->rom_count; i++)
        munmap(mem->rom[i].host, mem->rom[i].size);
    free(mem);
}

static const struct mem_region *mem_region_of(const struct mem *mem, uint64_t gpa)
{
    for (unsigned i = 0; i < mem->count; i++) {
        const struct mem_region *r = &mem->region[i];

        if (gpa - r->start < r->size)
            return r;
    }
    return NULL;
}

static bool mem_overlaps(const struct mem *mem, uint64_t start, uint64_t size)
{
    for (unsigned i = 0; i < mem->count; i++) {
        const struct mem_region *r = &mem->region[i];

        if (start < r->start + r->size && r->start < start + size)
            return true;
    }
    return false;
}

/* size bytes at a multiple of a huge page, NULL without. Private pages of /dev/zero are anonymous
 * ones in all but the name that /proc shows. */
static uint8_t *mem_map_aligned(int zero_fd, uint64_t size)
{
    uint64_t room = size + HUGE_PAGE, skip;
    uint8_t *p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, zero_fd, 0);

    if (p == MAP_FAILED)
        return NULL;
    skip = -(uint64_t)(uintptr_t)p & (HUGE_PAGE - 1);
    if (skip)
        munmap(p, skip);
    munmap(p + skip + size, HUGE_PAGE - skip);
    return p + skip;
}

/* Private memory in huge pages; NULL where the host has none. With pages of 4 KiB a guest under KVM
 * boots with five times the exits. */
static void *mem_map_huge(uint64_t size)
{
    int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    uint8_t *p = fd < 0 ? NULL : mem_map_aligned(fd, size);

    if (fd >= 0)
        close(fd);
    if (p && madvise(p, size, MADV_HUGEPAGE)) {
        munmap(p, size);
        p = NULL;
    }
    if (p)
        madvise(p, size, MADV_DONTFORK);
    return p;
}

static void *mem_map_shared(struct mem_region *r)
{
    void *host;

    r->fd = memfd_create(MEM_RAM_NAME, MFD_CLOEXEC);
    if (r->fd < 0 || ftruncate(r->fd, (off_t)r->size) < 0)
        return NULL;
    host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, r->fd, 0);
    return host == MAP_FAILED ? NULL : host;
}

/* Backs a region with memory that is taken from the host only when it is first touched. */
static int mem_region_back(struct mem_region *r, struct err *err)
{
    r->flags = calloc(r->size >> GUEST_PAGE_SHIFT, sizeof(*r->flags));
    r->host = r->flags ? mem_map_huge(r->size) : NULL;
    if (r->flags && !r->host)
        r->host = mem_map_shared(r);
    if (!r->host)
        return err_set(err, -ENOMEM, "memory: the host gives no %" PRIu64 " MiB for guest RAM: %s",
                       r->size >> 20, strerror(errno));
    return 0;
}

int mem_add_ram(struct mem *mem, gpa_t gpa, uint64_t size, struct err *err)
{
    struct mem_region r = {.start = gpa.v, .size = size, .fd = -1};
    unsigned at = mem->count;
    int rc;

    if (!size || (gpa.v | size) % GUEST_PAGE_SIZE || gpa.v + size < gpa.v)
        return err_set(err, -EINVAL,
                       "memory: RAM of 0x%" PRIx64 " bytes at 0x%" PRIx64
                       " is not whole pages inside the address space",
                       size, gpa.v);
    if (mem->count == MEM_REGIONS_MAX || mem_overlaps(mem, gpa.v, size))
        return err_set(err, -EINVAL, "memory: RAM at 0x%" PRIx64 " overlaps other RAM", gpa.v);
    rc = mem_region_back(&r, err);
    if (rc < 0) {
        mem_region_done(&r);
        return rc;
    }
    for (; at > 0 && mem->region[at - 1].start > gpa.v; at--)
        mem->region[at] = mem->region[at - 1];
    mem->region[at] = r;
    mem->count++;
    mem->ram_size += size;
    return 0;
}

/* --- ROM --- */
int mem_add_rom(struct mem *mem, gpa_t gpa, uint64_t size, void **ret_host, struct err *err)
{
    struct mem_rom *rom = &mem->rom[mem->rom_count];
    void *host;

    if (!size || (gpa.v | size) % GUEST_PAGE_SIZE || gpa.v + size < gpa.v ||
        mem->rom_count == MEM_ROMS_MAX || mem_overlaps(mem, gpa.v, size))
        return err_set(err, -EINVAL,
                       "memory: ROM of 0x%" PRIx64 " bytes at 0x%" PRIx64 " finds no place", size,
                       gpa.v);
    host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (host == MAP_FAILED)
        return err_set(err, -ENOMEM, "memory: the host gives no %" PRIu64 " KiB for ROM: %s",
                       size >> 10, strerror(errno));
    *rom = (struct mem_rom){.start = gpa.v, .size = size, .host = host, .shown = true};
    mem->rom_count++;
    *ret_host = host;
    return 0;
}

bool mem_rom(const struct mem *mem, unsigned n, gpa_t *ret_gpa, uint64_t *ret_size, void **ret_host,
             bool *ret_shown)
{
    if (n >= mem->rom_count)
        return false;
    *ret_gpa = GPA(mem->rom[n].start);
    *ret_size = mem->rom[n].size;
    *ret_host = mem->rom[n].host;
    *ret_shown = mem->rom[n].shown;
    return true;
}

void mem_show_rom(struct mem *mem, gpa_t gpa, bool shown)
{
    for (unsigned i = 0; i < mem->rom_count; i++) {
        if (mem->rom[i].start != gpa.v || mem->rom[i].shown == shown)
            continue;
        mem->rom[i].shown = shown;
        if (mem->rom_changed)
            mem->rom_changed(mem->rom_changed_arg, i);
    }
}

void mem_on_rom(struct mem *mem, void (*fn)(void *arg, unsigned n), void *arg)
{
    mem->rom_changed_arg = arg;
    mem->rom_changed = fn;
}

int mem_load(struct mem *mem, gpa_t gpa, const void *buf, size_t len)
{
    for (unsigned i = 0; i < mem->rom_count; i++) {
        const struct mem_rom *rom = &mem->rom[i];

        if (gpa.v < rom->start || gpa.v - rom->start > rom->size ||
            len > rom->size - (gpa.v - rom->start))
            continue;
        memcpy(rom->host + (gpa.v - rom->start), buf, len);
        return 0;
    }
    return mem_write(mem, gpa, buf, len);
}

void mem_set_io(struct mem *mem, const struct mem_io *io)
{
    mem->io = *io;
}

void mem_set_ports(struct mem *mem, const struct mem_io *ports)
{
    mem->ports = *ports;
}

bool mem_region(const struct mem *mem, unsigned n, gpa_t *ret_gpa, uint64_t *ret_size,
                void **ret_host)
{
    if (n >= mem->count)
        return false;
    *ret_gpa = GPA(mem->region[n].start);
    *ret_size = mem->region[n].size;
    *ret_host = mem->region[n].host;
    return true;
}

uint64_t mem_ram_size(const struct mem *mem)
{
    return mem->ram_size;
}

/* The region of gpa and how many of len bytes lie in it; NULL when gpa is not RAM. */
static const struct mem_region *mem_piece(const struct mem *mem, uint64_t gpa, uint64_t len,
                                          uint64_t *ret_len)
{
    const struct mem_region *r = mem_region_of(mem, gpa);
    uint64_t room;

    if (!r)
        return NULL;
    room = r->size - (gpa - r->start);
    *ret_len = len < room ? len : room;
    return r;
}

bool mem_is_ram(const struct mem *mem, gpa_t gpa, uint64_t len)
{
    uint64_t at = gpa.v, piece;

    if (gpa.v + len < gpa.v)
        return false;
    for (; len; at += piece, len -= piece)
        if (!mem_piece(mem, at, len, &piece))
            return false;
    return true;
}

int mem_read(struct mem *mem, gpa_t gpa, void *buf, size_t len)
{
    uint8_t *to = buf;
    uint64_t at = gpa.v, piece;

    if (!mem_is_ram(mem, gpa, len))
        return -EFAULT;
    for (; len; at += piece, to += piece, len -= piece) {
        const struct mem_region *r = mem_piece(mem, at, len, &piece);

        memcpy(to, r->host + (at - r->start), piece);
    }
    return 0;
}

int mem_write(struct mem *mem, gpa_t gpa, const void *buf, size_t len)
{
    const uint8_t *from = buf;
    uint64_t at = gpa.v, left = len, piece;

    if (!mem_is_ram(mem, gpa, len))
        return -EFAULT;
    for (; left; at += piece, from += piece, left -= piece) {
        const struct mem_region *r = mem_piece(mem, at, left, &piece);

        memcpy(r->host + (at - r->start), from, piece);
    }
    mem_written(mem, gpa, len);
    return 0;
}

int mem_fill(struct mem *mem, gpa_t gpa, uint8_t byte, size_t len)
{
    uint64_t at = gpa.v, left = len, piece;

    if (!mem_is_ram(mem, gpa, len))
        return -EFAULT;
    for (; left; at += piece, left -= piece) {
        const struct mem_region *r = mem_piece(mem, at, left, &piece);

        memset(r->host + (at - r->start), byte, piece);
    }
    mem_written(mem, gpa, len);
    return 0;
}

void *mem_map(struct mem *mem, gpa_t gpa, uint64_t len, enum mem_access access)
{
    uint64_t piece;
    const struct mem_region *r = mem_piece(mem, gpa.v, len, &piece);

    (void)access; /* a write is noted when it has happened: mem_written() */
    return r && piece == len ? r->host + (gpa.v - r->start) : NULL;
}

void mem_written(struct mem *mem, gpa_t gpa, uint64_t len)
{
    uint64_t end = gpa.v + len, at = gpa.v, next;

    atomic_thread_fence(memory_order_seq_cst); /* bytes before flags: see the top */
    for (; at < end; at = next) {
        _Atomic uint8_t *flags = mem_page_flags(mem, GPA(at));

        next = (at | (GUEST_PAGE_SIZE - 1)) + 1;
        if (next > end)
            next = end;
        if (!flags)
            continue;
        if (!(atomic_load_explicit(flags, memory_order_relaxed) & PAGE_DIRTY))
            atomic_fetch_or(flags, PAGE_DIRTY);
        if (atomic_load_explicit(flags, memory_order_relaxed) & PAGE_CODE)
            mem_code_written(mem, GPA(at), next - at);
    }
}

void *mem_page(struct mem *mem, gpa_t gpa)
{
    const struct mem_region *r = mem_region_of(mem, gpa.v);
    uint64_t page = gpa.v & ~(uint64_t)(GUEST_PAGE_SIZE - 1);

    return r ? r->host + (page - r->start) : NULL;
}

_Atomic uint8_t *mem_page_flags(const struct mem *mem, gpa_t gpa)
{
    const struct mem_region *r = mem_region_of(mem, gpa.v);

    return r ? &r->flags[(gpa.v - r->start) >> GUEST_PAGE_SHIFT] : NULL;
}

bool mem_host_to_gpa(const struct mem *mem, const void *host, gpa_t *ret_gpa)
{
    for (unsigned i = 0; i < mem->count; i++) {
        const struct mem_region *r = &mem->region[i];
        uint64_t offset = (uint64_t)((uintptr_t)host - (uintptr_t)r->host);

        if (offset < r->size) {
            *ret_gpa = GPA(r->start + offset);
            return true;
        }
    }
    return false;
}

void mem_on_code_write(struct mem *mem, void (*fn)(void *arg, gpa_t gpa, uint64_t len), void *arg)
{
    mem->code_write_arg = arg;
    mem->code_write = fn;
}

void mem_code_written(struct mem *mem, gpa_t gpa, uint64_t len)
{
    if (mem->code_write)
        mem->code_write(mem->code_write_arg, gpa, len);
}

bool mem_io_read(struct mem *mem, gpa_t gpa, unsigned size, uint64_t *ret_val)
{
    return mem->io.read && mem->io.read(mem->io.arg, gpa, size, ret_val);
}

bool mem_io_write(struct mem *mem, gpa_t gpa, unsigned size, uint64_t val)
{
    return mem->io.write && mem->io.write(mem->io.arg, gpa, size, val);
}

bool mem_port_read(struct mem *mem, uint16_t port, unsigned size, uint64_t *ret_val)
{
    return mem->ports.read && mem->ports.read(mem->ports.arg, GPA(port), size, ret_val);
}

bool mem_port_write(struct mem *mem, uint16_t port, unsigned size, uint64_t val)
{
    return mem->ports.write && mem->ports.write(mem->ports.arg, GPA(port), size, val);
}
