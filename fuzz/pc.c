/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole board x86_pc against a guest that is nothing but accesses: ports, PCI configuration,
 * BARs that it moves about, I/O APIC and local APICs, flash and ROM, rings of nonsense in RAM,
 * time, resets - with and without firmware. No CPU runs; local APICs are the model for engines that
 * have none. What holds: nothing crashes or reads beyond its own, and what the devices are can be
 * saved, loaded into another board, and saved again as the same bytes. As a program of its own:
 * fuzz_pc_random [SEED [INPUTS [BYTES]]].
 */
#include "base/endian.h"
#include "board/x86_pc.h"
#include "cpu/x86/x86.h"
#include "devices/core/device.h"
#include "devices/core/state.h"
#include "devices/irqchip/lapic.h"
#include "input.h"
#include "mem/mem.h"
#include "rig/rig.h"
#include <stdlib.h>
#include <string.h>

enum { CPUS_MAX = 8, MEMORY = 4 << 20, FIRMWARE = 128 << 10, FLASH = 64 << 10, ENTRY = 0x100000 };

struct pc {
    struct engine engine; /* must be first */
    struct rig *back;     /* what is behind the devices, and the clock */
    struct mem *mem;
    struct board *board;
    struct board_boot boot;
    struct x86_cpu *cpu[CPUS_MAX];
    unsigned cpus;
    struct device *lapic;
    void (*eoi)(void *arg, uint8_t vector);
    void *eoi_arg;
    pthread_mutex_t lock;
    uint8_t flash[FLASH];
    bool reset; /* asked for */
};

/* --- An engine that runs nothing --- */
static struct pc *pc_of(struct engine *engine)
{
    return container_of(engine, struct pc, engine);
}

static struct cpu *pc_vcpu(struct engine *engine, unsigned index)
{
    return &pc_of(engine)->cpu[index]->cpu;
}

static void pc_reset_vcpu(struct engine *engine, unsigned index)
{
    x86_cpu_ops.reset(pc_vcpu(engine, index));
    lapic_changed(pc_of(engine)->lapic, index);
}

static void pc_message(struct engine *engine, uint64_t address, uint32_t data)
{
    lapic_message(pc_of(engine)->lapic, address, data);
}

static void pc_route(struct engine *engine, unsigned pin, bool masked, uint64_t address,
                     uint32_t data)
{
}

static void pc_on_eoi(struct engine *engine, void (*fn)(void *arg, uint8_t vector), void *arg)
{
    pc_of(engine)->eoi = fn;
    pc_of(engine)->eoi_arg = arg;
}

static const struct engine_apic_ops pc_apic_ops = {pc_message, pc_route, pc_on_eoi};
static const struct engine_ops pc_engine_ops = {
    .name = "none", .vcpu = pc_vcpu, .reset = pc_reset_vcpu, .apic = &pc_apic_ops};

/* --- Local APICs --- */
static void pc_nothing(void *arg, unsigned cpu)
{
}

static void pc_init_cpu(void *arg, unsigned cpu)
{
    struct pc *pc = arg;

    x86_reset_lapic(pc->cpu[cpu]);
    lapic_changed(pc->lapic, cpu);
}

static void pc_startup(void *arg, unsigned cpu, uint8_t vector)
{
}

static void pc_ended(void *arg, uint8_t vector)
{
    struct pc *pc = arg;

    pc->eoi(pc->eoi_arg, vector);
}

static uint8_t pc_extint(void *arg)
{
    struct pc *pc = arg;

    return pc->cpu[0]->acknowledge(pc->cpu[0]->acknowledge_arg);
}

static uint64_t pc_tsc_delay(void *arg, unsigned cpu, uint64_t tsc)
{
    uint64_t now = clock_now_ns(((struct pc *)arg)->back->clock);

    return tsc > now ? tsc - now : 0;
}

static void pc_add_lapics(struct pc *pc)
{
    const struct lapic_sink sink = {pc_nothing, pc_init_cpu,  pc_startup, pc_ended,
                                    pc_extint,  pc_tsc_delay, pc};
    struct lapic_cpu cpus[CPUS_MAX];

    pc->lapic = device_new(&lapic_ops, "lapic");
    for (unsigned i = 0; i < pc->cpus; i++) {
        struct x86_cpu *x = aligned_alloc(64, (sizeof(*x) + 63) & ~(size_t)63);

        if (!x)
            fuzz_die("out of memory");
        memset(x, 0, sizeof(*x));
        x->cpu.index = i;
        x->cpu.ops = &x86_cpu_ops;
        pc->cpu[i] = x;
        x86_cpu_ops.reset(&x->cpu);
        cpus[i] = (struct lapic_cpu){x->lapic, &x->apic_base, &x->msr.tsc_deadline,
                                     &x->lapic_count_ns, &x->lapic_errors};
    }
    if (!pc->lapic)
        fuzz_die("out of memory");
    pc->lapic->clock = pc->back->clock;
    if (lapic_setup(pc->lapic, cpus, pc->cpus, &sink, NULL) || device_init(pc->lapic, NULL))
        fuzz_die("no local APICs");
}

/* --- The board --- */
static void pc_power(void *arg, enum power_action action, unsigned code)
{
    ((struct pc *)arg)->reset = true;
}

static uint64_t pc_random(void)
{
    return 4; /* repeatable */
}

static void pc_configure(struct pc *pc, bool firmware, struct board_config *config)
{
    struct rig *back = pc->back;

    *config = (struct board_config){
        .engine = &pc->engine,
        .mem = pc->mem,
        .clock = back->clock,
        .cpus = pc->cpus,
        .memory = MEMORY,
        .firmware_size = firmware ? FIRMWARE : 0,
        .host = {.lock = &pc->lock},
        .power = {.request = pc_power, .arg = pc},
        .random = pc_random,
        .console = &back->line[0].chardev,
        .virtio_console = &back->line[1].chardev,
        .disk = {&back->disk.blockdev},
        .disk_queues = {2},
        .disk_count = 1,
        .net = {{.backend = &back->net.netdev, .mac = {2, 0, 0, 0, 0, 1}}},
        .net_count = 1,
        .share = {&back->share.fsdev},
        .share_count = 1,
        .vsock = &back->vsock.vsockdev,
        .vsock_cid = 3,
    };
    if (firmware)
        config->flash = (struct board_flash){.contents = pc->flash, .size = FLASH};
}

static void pc_new(struct pc *pc, unsigned cpus, bool firmware)
{
    pthread_mutexattr_t attributes;
    struct board_config config;
    struct err err = {0};

    *pc = (struct pc){.engine.ops = &pc_engine_ops, .cpus = cpus};
    pthread_mutexattr_init(&attributes); /* an APIC's call leads back into the board */
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&pc->lock, &attributes);
    if (rig_new("isa-debug-exit", 1, &pc->back, NULL) || !(pc->mem = mem_new()))
        fuzz_die("out of memory");
    pc_add_lapics(pc);
    pc_configure(pc, firmware, &config);
    if (x86_pc_ops.create(&config, &pc->board, &err))
        fuzz_die(err.text);
    pc->boot = (struct board_boot){.bare = true, .append = "", .entry = ENTRY};
    pc->boot.kernel.kind = firmware ? BOARD_IMAGE_NONE : BOARD_IMAGE_ELF;
    pc->boot.kernel.pvh_entry = ENTRY;
    if (firmware)
        pc->boot.firmware_at = PC_HIGH - FIRMWARE;
    if (x86_pc_ops.reset(pc->board, &pc->boot, &err))
        fuzz_die(err.text);
}

static void pc_free(struct pc *pc)
{
    x86_pc_ops.destroy(pc->board);
    device_free(pc->lapic);
    mem_free(pc->mem);
    rig_free(pc->back);
    for (unsigned i = 0; i < pc->cpus; i++)
        free(pc->cpu[i]);
    pthread_mutex_destroy(&pc->lock);
}

/* --- Accesses --- */
static uint64_t some_value(struct fuzz_input *in)
{
    unsigned how = fuzz_byte(in);

    switch (how & 3) {
    case 0: return UINT64_C(1) << (how >> 2);
    case 1: return fuzz_byte(in);
    case 2: return (fuzz_take(in, 2) * 16) % MEMORY; /* an address in RAM */
    default: return fuzz_take(in, 8);
    }
}

static void use_port(struct pc *pc, struct fuzz_input *in)
{
    static const uint16_t known[] = {0x20,  0xa0,  0x40,  0x42,  0x43,  0x60,  0x61,  0x64,
                                     0x70,  0x92,  0xf4,  0x3f8, 0x4d0, 0x505, 0x510, 0x514,
                                     0x600, 0x604, 0x608, 0xb2,  0xcf8, 0xcf9, 0xcfc, 0xcfe};
    unsigned about = fuzz_byte(in), pick = fuzz_byte(in);
    uint16_t port = known[pick % ARRAY_LEN(known)];
    unsigned size = 1u << (about & 3) % 3;
    uint64_t val;

    if (about & 0x40)
        port = (uint16_t)(port + (pick >> 5));
    if (about >= 0xf0)
        port = (uint16_t)fuzz_take(in, 2);
    if (about & 0x20)
        (void)mem_port_read(pc->mem, port, size, &val);
    else
        (void)mem_port_write(pc->mem, port, size, some_value(in));
}

/* Where something may be: its base, and how far it is worth looking. */
static uint64_t some_address(struct fuzz_input *in)
{
    static const struct {
        uint64_t base, size;
    } places[] = {
        {PC_ECAM, 8 << 15},
        {PC_PCI_WINDOW, 1 << 20},
        {PC_FIRMWARE_WINDOW, 1 << 20},
        {0xb0000000, 8 << 15}, /* where firmware puts the ECAM */
        {PC_IOAPIC, 0x100},
        {PC_HIGH - FIRMWARE - FLASH, FLASH},
        {PC_HIGH - FIRMWARE, FIRMWARE},
        {MEMORY - 64, 128},
    };
    unsigned place = fuzz_byte(in) % (ARRAY_LEN(places) + 1);

    if (place == ARRAY_LEN(places))
        return fuzz_take(in, 5);
    return places[place].base + fuzz_take(in, 3) % places[place].size;
}

static void use_memory(struct pc *pc, struct fuzz_input *in)
{
    unsigned about = fuzz_byte(in), size = 1u << (about & 3);
    uint64_t at = some_address(in) / size * size, val;

    if (about & 0x20)
        (void)mem_io_read(pc->mem, GPA(at), size, &val);
    else
        (void)mem_io_write(pc->mem, GPA(at), size, some_value(in));
}

static void use_lapic(struct pc *pc, struct fuzz_input *in)
{
    unsigned about = fuzz_byte(in), cpu = about % pc->cpus;
    uint32_t reg = (uint32_t)fuzz_byte(in);
    uint64_t val;

    switch (about >> 5) {
    case 0: (void)lapic_read(pc->lapic, cpu, reg * 16); break;
    case 1: (void)!lapic_read_msr(pc->lapic, cpu, 0x800 + reg, &val); break;
    case 2: (void)!lapic_write_msr(pc->lapic, cpu, 0x800 + reg, some_value(in)); break;
    case 3: (void)!lapic_write_msr(pc->lapic, cpu, reg & 1 ? 0x1b : 0x6e0, some_value(in)); break;
    case 4: (void)lapic_acknowledge(pc->lapic, cpu); break;
    case 5: lapic_set_cr8(pc->lapic, cpu, (uint8_t)reg); break;
    default: lapic_write(pc->lapic, cpu, reg * 16, (uint32_t)some_value(in)); break;
    }
}

/* What a driver does: a function's BARs, bus mastering, four of its queues with rings in RAM. */
static void use_function(struct pc *pc, struct fuzz_input *in)
{
    unsigned slot = fuzz_byte(in) % 10, about = fuzz_byte(in);
    uint64_t config = PC_ECAM + ((uint64_t)slot << 15), bar = PC_PCI_WINDOW + slot * 0x10000u;
    uint64_t ring = 0x200000 + (fuzz_take(in, 1) << 12);

    (void)mem_io_write(pc->mem, GPA(config + 0x10), 4, bar);
    (void)mem_io_write(pc->mem, GPA(config + 0x14), 4, bar + 0x8000);
    (void)mem_io_write(pc->mem, GPA(config + 0x04), 2, 6);
    for (unsigned status = 0; status <= 3; status = status * 2 + 1)
        (void)mem_io_write(pc->mem, GPA(bar + 0x14), 1, status);
    (void)mem_io_write(pc->mem, GPA(bar + 0x08), 4, 1);
    (void)mem_io_write(pc->mem, GPA(bar + 0x0c), 4, about & 1 ? 5 : 1); /* VERSION_1, packed */
    (void)mem_io_write(pc->mem, GPA(bar + 0x14), 1, 0xb);
    for (unsigned i = 0, queue = fuzz_byte(in) % 18; i < 4; i++, queue++) {
        (void)mem_io_write(pc->mem, GPA(bar + 0x16), 2, queue);
        (void)mem_io_write(pc->mem, GPA(bar + 0x18), 2, 8);
        for (unsigned area = 0; area < 3; area++)
            (void)mem_io_write(pc->mem, GPA(bar + 0x20 + area * 8), 4, ring + area * 0x400);
        (void)mem_io_write(pc->mem, GPA(bar + 0x1c), 2, 1);
        ring += 0x1000;
    }
    (void)mem_io_write(pc->mem, GPA(bar + 0x14), 1, 0xf);
}

/* --- The rest of the world --- */
static void write_ram(struct pc *pc, struct fuzz_input *in)
{
    uint64_t at = 0x200000 + fuzz_take(in, 2) * 8;
    uint8_t bytes[16];

    st_le64(bytes, some_value(in));
    st_le64(bytes + 8, some_value(in));
    (void)!mem_write(pc->mem, GPA(at), bytes, sizeof(bytes));
}

static void world_acts(struct pc *pc, struct fuzz_input *in)
{
    uint8_t bytes[64] = {0};
    unsigned how = fuzz_byte(in);

    for (unsigned i = 0; i < how % 16; i++)
        bytes[i] = (uint8_t)fuzz_byte(in);
    switch (how >> 5) {
    case 0: rig_type(pc->back, how & 1, bytes, how % 16); break;
    case 1: rig_line_room(pc->back, how & 1, how % 16); break;
    case 2: (void)rig_disk_complete(pc->back, how & 1 ? -5 : 0); break;
    case 3: (void)rig_share_complete(pc->back, how % 4, bytes, how % 64); break;
    case 4: rig_net_full(pc->back, how & 1); break;
    case 5: (void)rig_net_frame(pc->back, bytes, bytes + 12, 40); break;
    default: clock_advance(pc->back->clock, UINT64_C(1) << how % 32); break;
    }
}

/* Saved, loaded into another board, saved again. */
static void save_and_load(struct pc *pc, bool firmware)
{
    struct device_set *set = (struct device_set *)(uintptr_t)x86_pc_ops.devices(pc->board), *other;
    uint8_t *first = NULL, *second = NULL;
    size_t first_len, second_len;
    struct err err = {0};
    struct pc twin;

    pc_new(&twin, pc->cpus, firmware);
    for (unsigned i = 0; i < RIG_LINES; i++) /* what is behind it is no part of a machine */
        twin.back->line[i].room = pc->back->line[i].room;
    twin.back->net.full = pc->back->net.full;
    other = (struct device_set *)(uintptr_t)x86_pc_ops.devices(twin.board);
    clock_pause(pc->back->clock);
    clock_pause(twin.back->clock);
    if (device_set_save(set, pc->back->clock, &first, &first_len, &err) ||
        device_set_load(other, twin.back->clock, first, first_len, &err) ||
        device_set_save(other, twin.back->clock, &second, &second_len, &err))
        fuzz_die(err.text);
    if (first_len != second_len || memcmp(first, second, first_len))
        fuzz_die("what was loaded is not what was saved");
    clock_resume(pc->back->clock);
    pc_free(&twin);
    free(first);
    free(second);
}

static void pc_step(struct pc *pc, struct fuzz_input *in, bool firmware)
{
    unsigned what = fuzz_byte(in);

    if (what < 90)
        use_port(pc, in);
    else if (what < 170)
        use_memory(pc, in);
    else if (what < 190)
        use_lapic(pc, in);
    else if (what < 200)
        use_function(pc, in);
    else if (what < 225)
        write_ram(pc, in);
    else if (what < 255 || fuzz_byte(in) > 16)
        world_acts(pc, in);
    else
        save_and_load(pc, firmware);
    if (pc->reset && x86_pc_ops.reset(pc->board, &pc->boot, NULL))
        fuzz_die("no reset");
    pc->reset = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    unsigned about = fuzz_byte(&in);
    static struct pc pc; /* too large for a stack */

    pc_new(&pc, 1 + (about >> 1) % CPUS_MAX, about & 1);
    while (in.left)
        pc_step(&pc, &in, about & 1);
    pc_free(&pc);
    return 0;
}
