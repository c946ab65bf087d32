/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace ring: a file mapped shared. Contract: include/posada/trace.h; layout: trace_ring.h.
 * Writers claim a record by one atomic increment and fill it; nobody waits. The file is allocated
 * in full at the start, so that a full disk is an error at open and not a SIGBUS later.
 */
#include "base/cleanup.h"
#include "base/trace_ring.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

uint32_t trace_mask;

static struct {
    struct trace_header *header;
    struct trace_record *record;
    size_t size;
} trace_ring;

static const struct {
    const char *name;
    enum trace_class cls;
} trace_classes[] = {
    {"insn", TRACE_INSN}, {"mem", TRACE_MEM}, {"irq", TRACE_IRQ},
    {"mmio", TRACE_MMIO}, {"mmu", TRACE_MMU}, {"block", TRACE_BLOCK},
};

void trace_put(enum trace_event event, unsigned vcpu, uint64_t a, uint64_t b, uint64_t c,
               uint64_t d, uint64_t e)
{
    struct trace_header *header = trace_ring.header;
    struct trace_record *record;
    struct timespec now;
    uint64_t number;

    if (!header)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    number = atomic_fetch_add_explicit(&header->next, 1, memory_order_relaxed);
    record = &trace_ring.record[number & (header->records - 1)];
    *record = (struct trace_record){
        .time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
        .seq = (uint32_t)number,
        .event = (uint16_t)event,
        .vcpu = (uint16_t)vcpu,
        .arg = {a, b, c, d, e},
    };
}

static int trace_class_bit(const char *name, size_t len, uint32_t *ret_bit)
{
    for (size_t i = 0; i < ARRAY_LEN(trace_classes); i++) {
        if (strlen(trace_classes[i].name) == len && !memcmp(trace_classes[i].name, name, len)) {
            *ret_bit = trace_classes[i].cls;
            return 0;
        }
    }
    return -EINVAL;
}

int trace_parse_classes(const char *list, uint32_t *ret_mask, struct err *err)
{
    uint32_t mask = 0, bit;

    for (const char *p = list;; p++) {
        size_t len = strcspn(p, ",");

        if (trace_class_bit(p, len, &bit))
            return err_set(err, -EINVAL,
                           "trace class '%.*s' is unknown; use a list of insn, mem, irq, mmio, "
                           "mmu, block",
                           (int)len, p);
        mask |= bit;
        p += len;
        if (!*p)
            break;
    }
    *ret_mask = mask;
    return 0;
}

static int trace_map(const char *path, size_t size, void **ret_map, struct err *err)
{
    CLEANUP(fd) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return err_set(err, -errno, "trace file '%s': cannot create: %s", path, strerror(errno));
    r = posix_fallocate(fd, 0, (off_t)size);
    if (r)
        return err_set(err, -r, "trace file '%s': no room for %zu MiB: %s", path, size >> 20,
                       strerror(r));
    *ret_map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (*ret_map == MAP_FAILED)
        return err_set(err, -errno, "trace file '%s': cannot map: %s", path, strerror(errno));
    return 0;
}

int trace_open(const char *path, const char *classes, uint32_t records, struct err *err)
{
    uint32_t mask = 0, rounded = 1;
    void *map = NULL;
    int r;

    r = trace_parse_classes(classes, &mask, err);
    if (r)
        return r;
    if (!records || records > TRACE_RECORDS_MAX)
        return err_set(err, -EINVAL, "trace file '%s': %u records; 1 to %d are possible", path,
                       records, TRACE_RECORDS_MAX);
    while (rounded < records)
        rounded *= 2;
    trace_close();
    trace_ring.size = TRACE_HEADER_SIZE + (size_t)rounded * sizeof(struct trace_record);
    r = trace_map(path, trace_ring.size, &map, err);
    if (r)
        return r;
    trace_ring.header = map;
    trace_ring.record = (void *)((char *)map + TRACE_HEADER_SIZE);
    trace_ring.header->record_size = sizeof(struct trace_record);
    trace_ring.header->records = rounded;
    trace_ring.header->magic = TRACE_MAGIC;
    trace_mask = mask;
    return 0;
}

void trace_close(void)
{
    trace_mask = 0;
    if (!trace_ring.header)
        return;
    (void)munmap(trace_ring.header, trace_ring.size);
    trace_ring.header = NULL;
}
