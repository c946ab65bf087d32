/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest-physical memory: RAM regions, a few of ROM, everything else goes to one I/O hook (the
 * board's bus). The map is built before the first vCPU runs; later only ROM comes and goes.
 * Per page it keeps a few flags: PAGE_CODE (translated code was made from this page: a write must
 * be reported), PAGE_DIRTY (written since the flag was last cleared), PAGE_SHARED.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

struct mem;

struct mem_io {
    /* Register space. False: nothing there (the CPU then takes an access fault). Takes the machine
     * lock itself. size is 1, 2, 4 or 8; addresses are naturally aligned. */
    bool (*read)(void *arg, gpa_t gpa, unsigned size, uint64_t *ret_val);
    bool (*write)(void *arg, gpa_t gpa, unsigned size, uint64_t val);
    void *arg;
};

enum mem_access { MEM_READ = 1, MEM_WRITE = 2 };

#define MEM_RAM_NAME "guest-ram" /* of memfds, in /proc/PID/maps; else RAM is /dev/zero there */

struct mem *mem_new(void);
void mem_free(struct mem *mem);
/* Adds size bytes of zeroed RAM at gpa (both page-aligned). -ENOMEM, -EINVAL on overlap. */
int must_use mem_add_ram(struct mem *mem, gpa_t gpa, uint64_t size, struct err *err);
/* Memory that guests read and execute in place while it is shown; their writes to it, and reads
 * while it is not shown, go to the I/O hook. It is no RAM to DMA and to mem_read(), mem_write().
 * Its host memory is zeroed. Software engines do not run code there yet. */
int must_use mem_add_rom(struct mem *mem, gpa_t gpa, uint64_t size, void **ret_host,
                         struct err *err);
/* The n-th region of ROM; false past the last. */
bool mem_rom(const struct mem *mem, unsigned n, gpa_t *ret_gpa, uint64_t *ret_size, void **ret_host,
             bool *ret_shown);
/* Shows or hides the ROM at gpa. Machine lock held. */
void mem_show_rom(struct mem *mem, gpa_t gpa, bool shown);
/* fn(arg, n) runs after the n-th ROM was shown or hidden. Set once, before the first vCPU runs. */
void mem_on_rom(struct mem *mem, void (*fn)(void *arg, unsigned n), void *arg);
/* For loaders: into RAM or ROM; -EFAULT when any byte is neither. */
int must_use mem_load(struct mem *mem, gpa_t gpa, const void *buf, size_t len);
void mem_set_io(struct mem *mem, const struct mem_io *io);
/* The same for x86's port space: addresses below 64 KiB, of any alignment. */
void mem_set_ports(struct mem *mem, const struct mem_io *ports);
/* The n-th region of RAM, in order of address; false past the last. */
bool mem_region(const struct mem *mem, unsigned n, gpa_t *ret_gpa, uint64_t *ret_size,
                void **ret_host);
uint64_t mem_ram_size(const struct mem *mem);
/* True when [gpa, gpa+len) is RAM in full. */
bool mem_is_ram(const struct mem *mem, gpa_t gpa, uint64_t len);

/* DMA and loaders: copies to or from RAM. -EFAULT when any byte of the range is not RAM (nothing is
 * copied then). Writes mark pages dirty and report code pages. */
int must_use mem_read(struct mem *mem, gpa_t gpa, void *buf, size_t len);
int must_use mem_write(struct mem *mem, gpa_t gpa, const void *buf, size_t len);
int must_use mem_fill(struct mem *mem, gpa_t gpa, uint8_t byte, size_t len);

/* Host pointer to a range of RAM for zero-copy I/O, NULL unless all of it is RAM and contiguous.
 * The guest may change the bytes at any time. A range mapped for MEM_WRITE must be given to
 * mem_written() after the bytes are in place. */
void *mem_map(struct mem *mem, gpa_t gpa, uint64_t len, enum mem_access access);
void mem_written(struct mem *mem, gpa_t gpa, uint64_t len);

/* --- For CPUs: one page at a time, no lock. --- */
enum mem_page_flag {
    PAGE_CODE = 1 << 0,
    PAGE_DIRTY = 1 << 1,
    PAGE_SHARED = 1 << 2, /* another thread reads and writes it at any time, beyond all order */
};

/* Host address of the RAM page that holds gpa, NULL when it is not RAM. */
void *mem_page(struct mem *mem, gpa_t gpa);
/* The page's flags (enum mem_page_flag), atomically changed by CPUs; NULL when not RAM. */
_Atomic uint8_t *mem_page_flags(const struct mem *mem, gpa_t gpa);
/* The guest-physical address behind a host pointer into RAM; false when it is none. */
bool mem_host_to_gpa(const struct mem *mem, const void *host, gpa_t *ret_gpa);
/* fn(arg, gpa, len) runs when bytes of a PAGE_CODE page have been written, by any thread, after the
 * bytes are in place. A range never crosses a page. Set once, before the first vCPU runs. */
void mem_on_code_write(struct mem *mem, void (*fn)(void *arg, gpa_t gpa, uint64_t len), void *arg);
void mem_code_written(struct mem *mem, gpa_t gpa, uint64_t len);

/* I/O space access by a CPU: goes to the hook. */
bool mem_io_read(struct mem *mem, gpa_t gpa, unsigned size, uint64_t *ret_val);
bool mem_io_write(struct mem *mem, gpa_t gpa, unsigned size, uint64_t val);
bool mem_port_read(struct mem *mem, uint16_t port, unsigned size, uint64_t *ret_val);
bool mem_port_write(struct mem *mem, uint16_t port, unsigned size, uint64_t val);
