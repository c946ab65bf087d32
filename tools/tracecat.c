/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracecat: prints a trace ring (posada/trace.h) as text, oldest record first.
 *     tracecat [--last N] [--class LIST] [--isa ISA] FILE
 * An instruction is disassembled and the registers it changed follow indented, named after --isa
 * (riscv64). The file may be of a process that was killed, or that is still running: a record that
 * was being written is skipped.
 */
#include "base/bits.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "base/trace_ring.h"
#include "cpu/riscv/riscv.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct trace_info {
    const char *name;
    uint32_t cls;
    const char *arg[5];
};

#define TRACE_INFO(id, ev, cls, a, b, c, d, e) [id] = {#ev, cls, {a, b, c, d, e}},
static const struct trace_info infos[] = {TRACE_EVENTS(TRACE_INFO)};

struct tracecat {
    const struct trace_header *header;
    const struct trace_record *record;
    const struct cpu_ops *cpu_ops; /* disassembler and register names; NULL: numbers */
    uint32_t classes;
    uint64_t last;
    uint64_t start_ns;
};

static int fail(const char *path, const char *why)
{
    fprintf(stderr, "tracecat: %s: %s\n", path, why);
    return 1;
}

static int map_ring(struct tracecat *t, const char *path)
{
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void *map;

    if (fd < 0 || fstat(fd, &st))
        return fail(path, strerror(errno));
    if (st.st_size < TRACE_HEADER_SIZE)
        return fail(path, "not a trace ring: too short");
    map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return fail(path, strerror(errno));
    t->header = map;
    t->record = (const void *)((const char *)map + TRACE_HEADER_SIZE);
    if (t->header->magic != TRACE_MAGIC || t->header->record_size != sizeof(struct trace_record))
        return fail(path, "not a trace ring of this version");
    if (!t->header->records || (t->header->records & (t->header->records - 1)) ||
        (uint64_t)t->header->records * sizeof(struct trace_record) >
            (uint64_t)st.st_size - TRACE_HEADER_SIZE)
        return fail(path, "cut short");
    return 0;
}

/* The disassembler knows the length best; without one, the record's. */
static void print_insn(const struct tracecat *t, const struct trace_record *r)
{
    unsigned len = 0, recorded = r->arg[2] < 8 ? (unsigned)r->arg[2] : 8;
    uint8_t bytes[8];
    char text[128] = "?";

    st_le64(bytes, r->arg[1]);
    if (t->cpu_ops && t->cpu_ops->disassemble)
        len = t->cpu_ops->disassemble(bytes, sizeof(bytes), r->arg[0], text, sizeof(text));
    len = len ? len : recorded;
    printf("%016" PRIx64 "  %*s%0*" PRIx64 "  %s  [%" PRIx64 "]\n", r->arg[0],
           len < 4 ? 8 - (int)len * 2 : 0, "", (int)len * 2, r->arg[1] & bits_mask(len * 8), text,
           r->arg[3]);
}

static void print_register(const struct tracecat *t, const struct trace_record *r)
{
    if (t->cpu_ops && r->arg[0] < t->cpu_ops->global_count)
        printf("    %s = 0x%" PRIx64 "\n", t->cpu_ops->globals[r->arg[0]], r->arg[1]);
    else
        printf("    slot %" PRIu64 " = 0x%" PRIx64 "\n", r->arg[0], r->arg[1]);
}

static void print_record(const struct tracecat *t, const struct trace_record *r)
{
    const struct trace_info *info = &infos[r->event];

    if (r->event == TRACE_EV_reg) {
        print_register(t, r);
        return;
    }
    printf("%12.6f ms ", (double)(r->time_ns - t->start_ns) / 1e6);
    if (r->vcpu == TRACE_NO_VCPU)
        printf("-  ");
    else
        printf("%-2u ", r->vcpu);
    if (r->event == TRACE_EV_insn) {
        print_insn(t, r);
        return;
    }
    printf("%-11s", info->name);
    for (unsigned i = 0; i < ARRAY_LEN(info->arg) && info->arg[i][0]; i++)
        printf(" %s 0x%" PRIx64, info->arg[i], r->arg[i]);
    putchar('\n');
}

static bool wanted(const struct tracecat *t, const struct trace_record *r, uint64_t number)
{
    return r->seq == (uint32_t)number && r->event < ARRAY_LEN(infos) && infos[r->event].name &&
           (infos[r->event].cls & t->classes);
}

static void print_all(struct tracecat *t)
{
    uint64_t next = t->header->next, first = 0;

    if (next > t->header->records)
        first = next - t->header->records;
    if (next - first > t->last)
        first = next - t->last;
    for (uint64_t n = first; n < next; n++) {
        struct trace_record r = t->record[n & (t->header->records - 1)];

        if (!t->start_ns)
            t->start_ns = r.time_ns;
        if (wanted(t, &r, n))
            print_record(t, &r);
    }
}

static const struct cpu_ops *find_isa(const char *name)
{
    static const struct cpu_ops *const all[] = {&riscv_cpu_ops};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (!strcmp(all[i]->isa, name))
            return all[i];
    }
    return NULL;
}

static int usage(void)
{
    fprintf(stderr, "usage: tracecat [--last N] [--class insn,mem,irq,mmio,mmu,block] "
                    "[--isa riscv64|none] FILE\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"last", required_argument, NULL, 'n'},
                                            {"class", required_argument, NULL, 'c'},
                                            {"isa", required_argument, NULL, 'i'},
                                            {0}};
    struct tracecat t = {.classes = UINT32_MAX, .last = UINT64_MAX, .cpu_ops = &riscv_cpu_ops};
    struct err err;
    int o;

    while ((o = getopt_long(argc, argv, "n:c:i:", options, NULL)) != -1) {
        if (o == 'n')
            t.last = strtoull(optarg, NULL, 0);
        else if (o == 'i')
            t.cpu_ops = find_isa(optarg);
        else if (o != 'c' || trace_parse_classes(optarg, &t.classes, &err))
            return usage();
    }
    if (optind + 1 != argc)
        return usage();
    if (map_ring(&t, argv[optind]))
        return 1;
    print_all(&t);
    return 0;
}
