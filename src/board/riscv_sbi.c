/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Supervisor Binary Interface. Spec: RISC-V SBI 2.0: base (chapter 4), legacy console, timer and
 * shutdown (5), TIME (6), IPI (7), RFENCE (8), HSM (9), SRST (10), DBCN (12). Each extension is one
 * row of sbi_extensions[]; a function returns the error code and puts a value into ret_value.
 *
 * Remote fences are carried out by the target harts themselves, at their next block boundary, and
 * the call returns when all have done so. Invariant: a function that waits for other harts holds
 * no lock. Harts that are off are included: their TLBs are empty of use, and it costs nothing.
 * Not modelled: hypervisor fences, performance counters, system suspend, non-retentive hart
 * suspend, legacy calls that pass hart masks by pointer.
 */
#include "board/riscv_sbi.h"
#include "base/bits.h"
#include "base/checked.h"
#include "cpu/riscv/riscv.h"
#include "mem/mem.h"
#include <stdatomic.h>
#include <stdlib.h>

enum sbi_error {
    SBI_SUCCESS = 0,
    SBI_FAILED = -1,
    SBI_NOT_SUPPORTED = -2,
    SBI_INVALID_PARAM = -3,
    SBI_INVALID_ADDRESS = -5,
    SBI_ALREADY_AVAILABLE = -6,
};

enum { SBI_SPEC_VERSION = 2 << 24 | 0, SBI_IMPLEMENTATION = 0x504f5344, SBI_IMPL_VERSION = 1 };
enum { REG_A0 = RISCV_SLOT_X + 10, REG_A1, REG_A6 = RISCV_SLOT_X + 16, REG_A7, SBI_ARGS = 6 };
enum { DBCN_CHUNK = 256, DBCN_MAX = 4096 };

enum hart_state { HART_STARTED, HART_STOPPED, HART_START_PENDING };

struct riscv_sbi {
    struct riscv_sbi_config config;
    _Atomic uint32_t hart[VM_CPUS_MAX]; /* enum hart_state; any thread, changed by compare */
};

/* One call on its way. */
struct sbi_call {
    struct riscv_sbi *sbi;
    struct cpu *cpu;
    uint64_t function, arg[SBI_ARGS];
    enum board_action action;
};

struct sbi_extension {
    uint64_t id;
    int64_t (*call)(struct sbi_call *c, uint64_t *ret_value);
    bool legacy; /* one return value in a0, a1 untouched */
};

static const struct sbi_extension *sbi_find(uint64_t id);

static uint64_t sbi_all_harts(const struct riscv_sbi *sbi)
{
    return bits_mask(sbi->config.harts);
}

/* The pair (mask, base) of IPI and RFENCE; false when it names a hart that is not there. */
static bool sbi_hart_mask(const struct riscv_sbi *sbi, uint64_t mask, uint64_t base,
                          uint64_t *ret_mask)
{
    if (base == UINT64_MAX) {
        *ret_mask = sbi_all_harts(sbi);
        return true;
    }
    if (base >= sbi->config.harts || (mask & ~bits_mask((unsigned)(sbi->config.harts - base))))
        return false;
    *ret_mask = mask << base;
    return true;
}

static int64_t sbi_base(struct sbi_call *c, uint64_t *ret_value)
{
    switch (c->function) {
    case 0: *ret_value = SBI_SPEC_VERSION; return SBI_SUCCESS;
    case 1: *ret_value = SBI_IMPLEMENTATION; return SBI_SUCCESS;
    case 2: *ret_value = SBI_IMPL_VERSION; return SBI_SUCCESS;
    case 3: *ret_value = sbi_find(c->arg[0]) != NULL; return SBI_SUCCESS;
    case 4: /* mvendorid, marchid, mimpid: 0, as the CSRs read */
    case 5:
    case 6: return SBI_SUCCESS;
    default: return SBI_NOT_SUPPORTED;
    }
}

static int64_t sbi_time(struct sbi_call *c, uint64_t *ret_value)
{
    if (c->function != 0)
        return SBI_NOT_SUPPORTED;
    riscv_set_timer(c->cpu, c->arg[0]);
    return SBI_SUCCESS;
}

static int64_t sbi_ipi(struct sbi_call *c, uint64_t *ret_value)
{
    const struct riscv_sbi_config *config = &c->sbi->config;
    uint64_t mask;

    if (c->function != 0)
        return SBI_NOT_SUPPORTED;
    if (!sbi_hart_mask(c->sbi, c->arg[0], c->arg[1], &mask))
        return SBI_INVALID_PARAM;
    for (unsigned i = 0; i < config->harts; i++)
        if (mask & BIT(i))
            cpu_irq(config->engine->ops->vcpu(config->engine, i), RISCV_IRQ_SSI, true);
    return SBI_SUCCESS;
}

/* --- RFENCE --- */
struct sbi_fence {
    uint64_t start, size, asid; /* size all ones: everything */
    bool has_asid;
};

static void sbi_fence_code(struct cpu *cpu, void *arg)
{
    cpu_attend(cpu, ATTENTION_FENCE); /* before it runs another instruction */
}

static void sbi_fence_memory(struct cpu *cpu, void *arg)
{
    const struct sbi_fence *fence = (const struct sbi_fence *)arg;

    riscv_fence_vma(cpu, fence->start, fence->size, fence->has_asid, fence->asid);
}

static int64_t sbi_rfence(struct sbi_call *c, uint64_t *ret_value)
{
    const struct board_host *host = &c->sbi->config.host;
    struct sbi_fence fence = {
        .start = c->arg[2], .size = c->arg[3], .has_asid = c->function == 2, .asid = c->arg[4]};
    uint64_t mask, end;

    if (c->function > 2)
        return SBI_NOT_SUPPORTED;
    if (!sbi_hart_mask(c->sbi, c->arg[0], c->arg[1], &mask))
        return SBI_INVALID_PARAM;
    if (c->function == 0) {
        host->call_vcpus(host->arg, c->cpu->index, mask, sbi_fence_code, NULL);
        return SBI_SUCCESS;
    }
    if (fence.size != UINT64_MAX && ckd_add(&end, fence.start, fence.size))
        return SBI_INVALID_ADDRESS;
    host->call_vcpus(host->arg, c->cpu->index, mask, sbi_fence_memory, &fence);
    return SBI_SUCCESS;
}

/* --- HSM --- */
struct sbi_start {
    struct riscv_sbi *sbi;
    uint64_t address, opaque;
};

static void sbi_hart_started(struct cpu *cpu, void *arg)
{
    const struct sbi_start *start = (const struct sbi_start *)arg;

    riscv_boot(cpu, RISCV_S, start->address, cpu->index, start->opaque, true);
    atomic_store(&start->sbi->hart[cpu->index], HART_STARTED);
}

static int64_t sbi_hart_start(struct sbi_call *c, uint64_t hart)
{
    const struct riscv_sbi_config *config = &c->sbi->config;
    struct sbi_start start = {.sbi = c->sbi, .address = c->arg[1], .opaque = c->arg[2]};
    uint32_t stopped = HART_STOPPED;

    if (!is_aligned(start.address, 2) || !mem_is_ram(config->mem, GPA(start.address), 2))
        return SBI_INVALID_ADDRESS;
    if (!atomic_compare_exchange_strong(&c->sbi->hart[hart], &stopped, HART_START_PENDING))
        return SBI_ALREADY_AVAILABLE;
    config->host.call_vcpus(config->host.arg, c->cpu->index, BIT(hart), sbi_hart_started, &start);
    return SBI_SUCCESS;
}

static int64_t sbi_hsm(struct sbi_call *c, uint64_t *ret_value)
{
    uint64_t hart = c->arg[0];

    switch (c->function) {
    case 0: return hart < c->sbi->config.harts ? sbi_hart_start(c, hart) : SBI_INVALID_PARAM;
    case 1:
        atomic_store(&c->sbi->hart[c->cpu->index], HART_STOPPED);
        c->action = BOARD_HALT;
        return SBI_SUCCESS;
    case 2:
        if (hart >= c->sbi->config.harts)
            return SBI_INVALID_PARAM;
        *ret_value = atomic_load(&c->sbi->hart[hart]);
        return SBI_SUCCESS;
    case 3:
        if (c->arg[0] != 0) /* only the default retentive suspend: a WFI */
            return c->arg[0] == 0x80000000 ? SBI_NOT_SUPPORTED : SBI_INVALID_PARAM;
        c->action = BOARD_HALT;
        return SBI_SUCCESS;
    default: return SBI_NOT_SUPPORTED;
    }
}

/* --- SRST --- */
static void sbi_power(const struct sbi_call *c, enum power_action action, unsigned code)
{
    const struct riscv_sbi_config *config = &c->sbi->config;

    pthread_mutex_lock(config->host.lock);
    config->power.request(config->power.arg, action, code);
    pthread_mutex_unlock(config->host.lock);
}

static int64_t sbi_srst(struct sbi_call *c, uint64_t *ret_value)
{
    enum { SHUTDOWN, COLD_REBOOT, WARM_REBOOT, TYPES };
    enum { NO_REASON, SYSTEM_FAILURE, REASONS };
    uint32_t type = (uint32_t)c->arg[0], reason = (uint32_t)c->arg[1];

    if (c->function != 0)
        return SBI_NOT_SUPPORTED;
    if (type >= TYPES || reason >= REASONS)
        return SBI_INVALID_PARAM;
    sbi_power(c, type == SHUTDOWN ? POWER_OFF : POWER_RESET, reason == SYSTEM_FAILURE);
    c->action = BOARD_HALT;
    return SBI_SUCCESS;
}

/* --- DBCN and the legacy console --- */
static bool sbi_put(const struct riscv_sbi *sbi, uint8_t byte)
{
    return sbi->config.put(sbi->config.arg, byte);
}

/* Writes or reads up to one chunk; fewer than `len` done means: full, or nothing typed. */
static uint64_t dbcn_chunk(const struct riscv_sbi *sbi, bool write, uint8_t *buf, uint64_t len)
{
    uint64_t done = 0;

    pthread_mutex_lock(sbi->config.host.lock);
    while (done < len) {
        int byte = write ? buf[done] : sbi->config.get(sbi->config.arg);

        if (byte < 0 || (write && !sbi_put(sbi, (uint8_t)byte)))
            break;
        buf[done++] = (uint8_t)byte;
    }
    pthread_mutex_unlock(sbi->config.host.lock);
    return done;
}

static int64_t dbcn_transfer(const struct sbi_call *c, bool write, uint64_t *ret_value)
{
    struct mem *mem = c->sbi->config.mem;
    uint64_t left = c->arg[0], at = c->arg[1], done = 0;
    uint8_t buf[DBCN_CHUNK];

    if (c->arg[2] || !mem_is_ram(mem, GPA(at), left))
        return SBI_INVALID_PARAM;
    if (left > DBCN_MAX)
        left = DBCN_MAX; /* the guest asks again for the rest */
    while (done < left) {
        uint64_t want = left - done < DBCN_CHUNK ? left - done : DBCN_CHUNK, n;

        if (write && mem_read(mem, GPA(at + done), buf, want))
            return SBI_INVALID_PARAM;
        n = dbcn_chunk(c->sbi, write, buf, want);
        if (!write && mem_write(mem, GPA(at + done), buf, n))
            return SBI_INVALID_PARAM;
        done += n;
        if (n < want)
            break;
    }
    *ret_value = done;
    return SBI_SUCCESS;
}

static int64_t sbi_dbcn(struct sbi_call *c, uint64_t *ret_value)
{
    uint8_t byte = (uint8_t)c->arg[0];

    switch (c->function) {
    case 0: return dbcn_transfer(c, true, ret_value);
    case 1: return dbcn_transfer(c, false, ret_value);
    case 2: return dbcn_chunk(c->sbi, true, &byte, 1) ? SBI_SUCCESS : SBI_FAILED;
    default: return SBI_NOT_SUPPORTED;
    }
}

static int64_t sbi_legacy_timer(struct sbi_call *c, uint64_t *ret_value)
{
    riscv_set_timer(c->cpu, c->arg[0]);
    return SBI_SUCCESS;
}

static int64_t sbi_legacy_putchar(struct sbi_call *c, uint64_t *ret_value)
{
    uint8_t byte = (uint8_t)c->arg[0];

    (void)dbcn_chunk(c->sbi, true, &byte, 1); /* the old call cannot say that it was full */
    return SBI_SUCCESS;
}

static int64_t sbi_legacy_getchar(struct sbi_call *c, uint64_t *ret_value)
{
    uint8_t byte;

    return dbcn_chunk(c->sbi, false, &byte, 1) ? byte : SBI_FAILED;
}

static int64_t sbi_legacy_shutdown(struct sbi_call *c, uint64_t *ret_value)
{
    sbi_power(c, POWER_OFF, 0);
    c->action = BOARD_HALT;
    return SBI_SUCCESS;
}

static const struct sbi_extension sbi_extensions[] = {
    {0x00, sbi_legacy_timer, true},
    {0x01, sbi_legacy_putchar, true},
    {0x02, sbi_legacy_getchar, true},
    {0x08, sbi_legacy_shutdown, true},
    {0x10, sbi_base, false},
    {0x54494d45 /* TIME */, sbi_time, false},
    {0x735049 /* sPI */, sbi_ipi, false},
    {0x52464e43 /* RFNC */, sbi_rfence, false},
    {0x48534d /* HSM */, sbi_hsm, false},
    {0x53525354 /* SRST */, sbi_srst, false},
    {0x4442434e /* DBCN */, sbi_dbcn, false},
};

static const struct sbi_extension *sbi_find(uint64_t id)
{
    for (size_t i = 0; i < ARRAY_LEN(sbi_extensions); i++)
        if (sbi_extensions[i].id == id)
            return &sbi_extensions[i];
    return NULL;
}

enum board_action riscv_sbi_call(struct riscv_sbi *sbi, struct cpu *cpu)
{
    const struct sbi_extension *extension = sbi_find(cpu->slot[REG_A7]);
    struct sbi_call c = {.sbi = sbi, .cpu = cpu, .function = cpu->slot[REG_A6]};
    uint64_t value = 0;
    int64_t error = SBI_NOT_SUPPORTED;

    for (unsigned i = 0; i < SBI_ARGS; i++)
        c.arg[i] = cpu->slot[REG_A0 + i];
    if (extension)
        error = extension->call(&c, &value);
    cpu->slot[REG_A0] = (uint64_t)error;
    if (!extension || !extension->legacy)
        cpu->slot[REG_A1] = value;
    return c.action;
}

/* --- Life --- */
struct riscv_sbi *riscv_sbi_new(const struct riscv_sbi_config *config)
{
    struct riscv_sbi *sbi = calloc(1, sizeof(*sbi));

    if (!sbi)
        return NULL;
    sbi->config = *config;
    riscv_sbi_reset(sbi);
    return sbi;
}

void riscv_sbi_free(struct riscv_sbi *sbi)
{
    free(sbi);
}

void riscv_sbi_reset(struct riscv_sbi *sbi)
{
    for (unsigned i = 0; i < sbi->config.harts; i++)
        atomic_store(&sbi->hart[i], i ? HART_STOPPED : HART_STARTED);
}

bool riscv_sbi_hart_on(const struct riscv_sbi *sbi, unsigned hart)
{
    return atomic_load(&sbi->hart[hart]) == HART_STARTED;
}
