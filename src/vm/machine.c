/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A running machine: board, engine, vCPU threads, guest time, and what a guest may do to itself.
 * Contract: machine.h.
 *
 * A power request only asks the vCPUs to park and posts the rest to the loop, because it comes
 * from a vCPU thread or from inside a device: the loop waits for the vCPUs, resets, tells the
 * owner. Guest time stands still while the machine is paused for any reason.
 */
#include "vm/machine.h"
#include "base/cleanup.h"
#include "base/net_frame.h"
#include "block/block.h"
#include "board/board.h"
#include "host/file.h"
#include "host/loop.h"
#include "host/sandbox_thread.h"
#include "mem/mem.h"
#include "vm/boot.h"
#include "vm/doorbell.h"
#include "vm/gdb.h"
#include "vm/machine_debug.h"
#include "vm/tohost.h"
#include "vm/vcpu.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

enum { CPU_RECORD_CAP = 1 << 16 };

struct machine {
    const struct vm_config *config;
    struct loop *loop;
    struct machine_events events;
    struct mem *mem;
    struct clock *clock;
    struct loop_timer *timer; /* fires the guest clock's timers */
    struct engine *engine;
    struct doorbells doorbells;
    struct board *board;
    struct vcpus *vcpus;
    struct boot boot;
    struct blockdev *disk[VM_DISKS_MAX];
    struct firmware_vars *vars;
    struct tohost *tohost;
    struct gdb *gdb;
    bool started, power_pending, ended;
    enum power_action power_action;
    unsigned power_code;
    pthread_mutex_t *lock;
};

static uint64_t machine_host_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t machine_wall_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t machine_random(void)
{
    uint64_t value = 0;

    while (getrandom(&value, sizeof(value), 0) < 0 && errno == EINTR)
        ;
    return value;
}

/* --- Guest time --- */
static void machine_timers(void *arg)
{
    struct machine *m = (struct machine *)arg;

    loop_timer_set(m->timer, clock_run_timers(m->clock));
}

static void machine_rearm(void *arg)
{
    struct machine *m = (struct machine *)arg;

    loop_timer_set(m->timer, clock_next_ns(m->clock));
}

/* Time runs exactly while no reason to pause is left. */
static void machine_settle_time(struct machine *m)
{
    if (vcpus_paused(m->vcpus))
        clock_pause(m->clock);
    else
        clock_resume(m->clock);
    machine_rearm(m);
}

void machine_pause_for(struct machine *m, enum vcpu_pause reason)
{
    vcpus_pause(m->vcpus, reason);
    machine_settle_time(m);
}

void machine_resume_from(struct machine *m, enum vcpu_pause reason)
{
    if (m->ended)
        return;
    vcpus_resume(m->vcpus, reason);
    machine_settle_time(m);
}

/* --- Power --- */
static int machine_reset(struct machine *m, struct err *err)
{
    int r = boot_write(&m->boot, m->mem, err);

    return r ? r : m->board->ops->reset(m->board, &m->boot.board, err);
}

static void machine_fail(struct machine *m, const struct err *err)
{
    m->ended = true;
    if (m->events.failed)
        m->events.failed(m->events.arg, err);
}

/* On the loop: carries out what a guest has asked for. */
static void machine_power(void *arg)
{
    struct machine *m = (struct machine *)arg;
    struct err err = {0};

    if (!m->power_pending || m->ended)
        return;
    machine_pause_for(m, VCPU_PAUSE_POWER);
    m->power_pending = false;
    if (m->power_action == POWER_RESET && machine_reset(m, &err)) {
        machine_fail(m, &err);
        return;
    }
    m->ended = m->power_action == POWER_OFF;
    if (m->ended && m->gdb)
        gdb_exited(m->gdb, m->power_code);
    if (m->events.power)
        m->events.power(m->events.arg, m->power_action, m->power_code);
    if (m->power_action != POWER_OFF)
        machine_resume_from(m, VCPU_PAUSE_POWER);
}

/* The first request stands. */
void machine_request_power(struct machine *m, enum power_action action, unsigned code)
{
    if (m->power_pending || m->ended)
        return;
    m->power_pending = true;
    m->power_action = action;
    m->power_code = code;
    vcpus_ask_pause(m->vcpus, VCPU_PAUSE_POWER);
    if (loop_post(m->loop, machine_power, m))
        abort(); /* out of memory for a few bytes: the machine could never be told to end */
}

/* From a device or the SBI, lock held. */
static void machine_power_request(void *arg, enum power_action action, unsigned code)
{
    machine_request_power((struct machine *)arg, action, code);
}

/* --- vCPUs' callbacks --- */
static enum board_action machine_hypercall(void *arg, struct cpu *cpu)
{
    const struct machine *m = (const struct machine *)arg;

    return m->board->ops->hypercall(m->board, cpu);
}

static bool machine_vcpu_on(void *arg, unsigned index)
{
    const struct machine *m = (const struct machine *)arg;

    return m->board->ops->vcpu_on(m->board, index);
}

static void machine_debug_hit(void *arg, unsigned index)
{
    struct machine *m = (struct machine *)arg;

    if (m->gdb)
        gdb_stopped(m->gdb, index);
}

static void machine_vcpu_failed(void *arg, unsigned index, const struct err *err)
{
    machine_fail((struct machine *)arg, err);
}

static void machine_call_vcpus(void *arg, unsigned caller, uint64_t mask,
                               void (*fn)(struct cpu *cpu, void *fn_arg), void *fn_arg)
{
    vcpus_call(((struct machine *)arg)->vcpus, caller, mask, fn, fn_arg);
}

/* --- Building --- */
static int machine_find_engine(const struct vm_config *config, const struct cpu_ops *cpu_ops,
                               const struct engine_ops **ret_ops, struct err *err)
{
    const struct engine_wish wish = {
        .technique =
            config->technique == TECHNIQUE_AUTO ? NULL : vm_technique_name(config->technique),
        .name = config->engine,
        .cpu_ops = cpu_ops,
    };

    return engine_choose(&wish, ret_ops, err);
}

/* What the guest sees of the processor is settled when it is first started, and kept from then on:
 * another host shows the same or refuses. A guest that goes with its end needs no record. */
static int machine_record_cpu(const struct machine *m, const char *before, int dir_fd,
                              struct err *err)
{
    const struct engine_ops *ops = m->engine->ops;
    const char *now = ops->cpu_record ? ops->cpu_record(m->engine) : NULL;

    if (!now || dir_fd < 0 || m->config->auto_remove || (before && !strcmp(before, now)))
        return 0;
    return file_write(dir_fd, "cpu", now, strlen(now), 0600, err);
}

/* NULL: there is none. */
static int machine_read_cpu(const struct machine *m, int dir_fd, char **ret_record, struct err *err)
{
    int r = dir_fd < 0 ? 0 : file_read(dir_fd, "cpu", CPU_RECORD_CAP, ret_record, NULL, err);

    return r == -ENOENT ? 0 : r;
}

static int machine_make_engine(struct machine *m, const struct cpu_ops *cpu_ops, int dir_fd,
                               struct err *err)
{
    CLEANUP(free) char *record = NULL;
    struct engine_config config = {
        .mem = m->mem,
        .clock = m->clock,
        .cpu_ops = cpu_ops,
        .cpu_model = m->config->cpu_model[0] ? m->config->cpu_model : "max",
        .vcpus = m->config->cpus,
        .stress = m->config->stress,
        .perf_map = m->config->perf_map,
        .symbols = m->config->symbols,
    };
    const struct engine_ops *ops = NULL;
    int r = machine_find_engine(m->config, cpu_ops, &ops, err);

    if (!r)
        r = machine_read_cpu(m, dir_fd, &record, err);
    config.cpu_record = record;
    if (!r)
        r = ops->create(&config, &m->engine, err);
    return r ? r : machine_record_cpu(m, record, dir_fd, err);
}

static int machine_make_vcpus(struct machine *m, struct err *err)
{
    const struct vcpus_config config = {
        .engine = m->engine,
        .count = m->config->cpus,
        .lock = m->lock,
        .hypercall = machine_hypercall,
        .keep_wedged = m->config->gdb_port != 0,
        .on = machine_vcpu_on,
        .debug = machine_debug_hit,
        .failed = machine_vcpu_failed,
        .arg = m,
    };

    return vcpus_new(&config, &m->vcpus, err);
}

static int machine_open_disks(struct machine *m, struct err *err)
{
    for (unsigned i = 0; i < m->config->disk_count; i++) {
        const struct vm_disk *disk = &m->config->disk[i];
        struct blk_source source = {
            .format = disk->format ? disk->format : "raw",
            .path = disk->path,
            .backing_dir = disk->backing_dir,
            .read_only = disk->read_only,
        };
        int r = disk->cache ? blk_source_set_cache(&source, disk->cache, err) : 0;

        if (!r && disk->aio)
            r = blk_source_set_aio(&source, disk->aio, err);
        if (!r)
            r = blockdev_open(&source, m->loop, &m->disk[i], err);
        if (r)
            return r;
    }
    return 0;
}

static int machine_make_board(struct machine *m, const struct board_ops *ops,
                              const struct machine_io *io, struct err *err)
{
    struct board_config config = {
        .engine = m->engine,
        .mem = m->mem,
        .clock = m->clock,
        .cpus = m->config->cpus,
        .memory = m->config->memory,
        .firmware_size = m->boot.board.firmware_at ? m->boot.firmware.memory_size : 0,
        .flash = firmware_vars_flash(m->vars),
        .host = {.lock = m->lock,
                 .call_vcpus = machine_call_vcpus,
                 .arg = m,
                 .doorbells = doorbells_init(&m->doorbells, m->loop, m->engine)},
        .power = {.request = machine_power_request, .arg = m},
        .random = machine_random,
        .console = io->console,
        .virtio_console = io->virtio_console,
        .agent = io->agent,
        .disk_count = m->config->disk_count,
        .net_count = m->config->net_count,
        .share_count = m->config->share_count,
        .vsock = io->vsock,
        .vsock_cid = m->config->vsock_cid,
    };

    memcpy(config.disk, m->disk, sizeof(config.disk));
    for (unsigned i = 0; i < m->config->disk_count; i++) {
        const struct vm_disk *disk = &m->config->disk[i];

        config.disk_queues[i] = disk->queues ? disk->queues : m->config->cpus;
        config.disk_split[i] = disk->split_rings;
    }
    memcpy(config.share, io->share, sizeof(config.share));
    for (unsigned i = 0; i < m->config->net_count; i++) {
        config.net[i].backend = io->net[i];
        if (!net_mac_parse(m->config->net[i].mac, config.net[i].mac))
            return err_set(err, -EINVAL, "MAC address '%s': expected such as 02:00:5e:10:00:01",
                           m->config->net[i].mac);
    }
    return ops->create(&config, &m->board, err);
}

static int machine_check(const struct vm_config *config, const struct board_ops **ret_ops,
                         struct err *err)
{
    const struct board_ops *ops = board_find(config->arch);

    if (!ops)
        return err_set(err, -EOPNOTSUPP, "architecture %s: Posada has no board for it yet",
                       vm_arch_name(config->arch));
    if (!config->cpus || config->cpus > ops->cpus_max)
        return err_set(err, -EINVAL, "%u vCPUs: between 1 and %u are possible", config->cpus,
                       ops->cpus_max);
    if (!config->memory || config->memory % GUEST_PAGE_SIZE || config->memory > ops->memory_max)
        return err_set(
            err, -EINVAL, "%llu bytes of memory: give a multiple of 4 KiB, at most %llu GiB",
            (unsigned long long)config->memory, (unsigned long long)(ops->memory_max >> 30));
    *ret_ops = ops;
    return 0;
}

static int machine_make_clock(struct machine *m, struct err *err)
{
    m->mem = mem_new();
    m->clock = clock_new(machine_host_ns);
    m->timer = loop_timer_new(m->loop, machine_timers, m);
    if (!m->mem || !m->clock || !m->timer)
        return err_set(err, -ENOMEM, "no memory for the machine");
    clock_set_wall_ns(m->clock, machine_wall_ns());
    clock_on_rearm(m->clock, machine_rearm, m);
    return 0;
}

static int machine_make_watchers(struct machine *m, const struct machine_io *io, struct err *err)
{
    int r = 0;

    if (m->boot.has_tohost) {
        const struct tohost_config config = {.loop = m->loop,
                                             .mem = m->mem,
                                             .address = m->boot.tohost,
                                             .console = io->console,
                                             .power = {machine_power_request, m}};

        r = tohost_new(&config, &m->tohost, err);
    }
    if (!r && m->config->gdb_port)
        r = gdb_new(m, m->loop, m->config->gdb_port, &m->gdb, err);
    return r;
}

static int machine_build(struct machine *m, const struct machine_io *io, struct err *err)
{
    const struct board_ops *ops = NULL;
    int r = machine_check(m->config, &ops, err);

    if (!r)
        r = boot_open(&m->boot, m->config, ops, err);
    if (!r)
        r = machine_make_clock(m, err);
    if (!r)
        r = machine_open_disks(m, err);
    if (!r)
        r = firmware_vars_open(&m->boot.firmware_files, io->dir_fd, m->loop, &m->vars, err);
    if (!r)
        r = machine_make_engine(m, ops->cpu_ops, io->dir_fd, err);
    if (!r)
        r = machine_make_vcpus(m, err);
    if (!r)
        r = machine_make_board(m, ops, io, err);
    if (!r && m->engine->ops->map)
        r = m->engine->ops->map(m->engine, err);
    if (!r)
        r = machine_make_watchers(m, io, err);
    return r ? r : machine_reset(m, err);
}

int machine_new(const struct vm_config *config, struct loop *loop, pthread_mutex_t *lock,
                const struct machine_io *io, const struct machine_events *events,
                struct machine **ret_machine, struct err *err)
{
    struct machine *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return err_set(err, -ENOMEM, "no memory for the machine");
    m->config = config;
    m->loop = loop;
    m->lock = lock;
    m->events = *events;
    r = machine_build(m, io, err);
    if (r) {
        machine_free(m);
        return r;
    }
    *ret_machine = m;
    return 0;
}

/* --- Life --- */
/* Their threads are born here, for a vCPU's thread may not be allowed to make any. */
static int machine_begin_disks(struct machine *m, struct err *err)
{
    for (unsigned i = 0; i < m->config->disk_count; i++) {
        struct blockdev *dev = m->disk[i];
        int r = dev && dev->ops->begin ? dev->ops->begin(dev) : 0;

        if (r)
            return err_set(err, r, "disk '%s': cannot start its threads: %s", dev->name,
                           strerror(-r));
    }
    return 0;
}

int machine_start(struct machine *m, struct err *err)
{
    int r = machine_begin_disks(m, err);

    if (r)
        return r;
    m->started = true; /* also when this fails: some threads may be there by now */
    r = vcpus_start(m->vcpus, err);
    if (r)
        return r;
    /* All threads are there, and no guest code has run: time for this one's own list. */
    r = sandbox_enter_thread(SANDBOX_MAIN);
    if (r)
        return err_set(err, r, "the main thread cannot be locked in: %s", strerror(-r));
    machine_resume_from(m, VCPU_PAUSE_START);
    return 0;
}

void machine_pause(struct machine *m)
{
    machine_pause_for(m, VCPU_PAUSE_USER);
}

void machine_resume(struct machine *m)
{
    machine_resume_from(m, VCPU_PAUSE_USER);
}

bool machine_paused(const struct machine *m)
{
    return vcpus_paused(m->vcpus) & VCPU_PAUSE_USER;
}

void machine_stop(struct machine *m)
{
    m->ended = true;
    vcpus_stop(m->vcpus);
    machine_settle_time(m);
}

void machine_free(struct machine *m)
{
    if (!m)
        return;
    if (m->started)
        machine_stop(m);
    gdb_free(m->gdb);
    tohost_free(m->tohost);
    firmware_vars_close(m->vars);
    if (m->board)
        m->board->ops->destroy(m->board);
    doorbells_done(&m->doorbells);
    vcpus_free(m->vcpus);
    if (m->engine)
        m->engine->ops->destroy(m->engine);
    for (unsigned i = 0; i < VM_DISKS_MAX; i++)
        blockdev_close(m->disk[i]);
    loop_timer_free(m->timer);
    clock_free(m->clock);
    mem_free(m->mem);
    boot_close(&m->boot);
    free(m);
}

const char *machine_engine_name(const struct machine *m)
{
    return m->engine->ops->name;
}

struct engine *machine_engine(struct machine *m)
{
    return m->engine;
}

struct clock *machine_clock(struct machine *m)
{
    return m->clock;
}

struct vcpus *machine_vcpus(struct machine *m)
{
    return m->vcpus;
}

unsigned machine_vcpu_count(const struct machine *m)
{
    return m->config->cpus;
}

unsigned machine_stats(struct machine *m, struct engine_stat *stats, unsigned room)
{
    unsigned n = m->engine->ops->stats ? m->engine->ops->stats(m->engine, stats, room) : 0;

    if (n < room)
        stats[n++] = (struct engine_stat){.name = "vcpu_cpu_ns", .value = vcpus_cpu_ns(m->vcpus)};
    return n;
}
