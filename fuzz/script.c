/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a fuzz script and the promises checked on the way. Contract: script.h. */
#include "script.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include "base/net_frame.h"
#include "devices/timer/sstc.h"
#include <inttypes.h>
#include <string.h>

enum { TWIN_STEPS = 12 };

static noreturn_fn void broken(const struct rig *rig, const char *promise)
{
    fprintf(stderr, "fuzz: %s: %s\n", rig->type, promise);
    abort();
}

/* --- Register accesses, generated from device_ops.mmio --- */
/* Mostly legal ones: near the start, or near sums of two powers of two, where sparse register files
 * have theirs; sometimes anywhere and of any form. */
static uint64_t pick_offset(struct fuzz_input *s, const struct device_mmio *mmio, unsigned size)
{
    unsigned how = fuzz_byte(s);
    uint64_t off = fuzz_byte(s);

    if (how >= 250)
        return fuzz_take(s, 4) - 8;
    off *= mmio->access_min;
    if (how >= 128)
        off = off % 16 + (UINT64_C(1) << fuzz_byte(s) % 32);
    if (how >= 192)
        off += UINT64_C(1) << fuzz_byte(s) % 32;
    return off % mmio->size / size * size;
}

static unsigned pick_size(struct fuzz_input *s, const struct device_mmio *mmio)
{
    unsigned how = fuzz_byte(s), size = mmio->access_min;

    if (how >= 250)
        return 1u << (how & 3);
    for (how &= 3; how && size < mmio->access_max; how--)
        size *= 2;
    return size;
}

/* Values that registers tend to care about: bits, small numbers, addresses in RAM, anything. */
static uint64_t pick_value(struct fuzz_input *s)
{
    unsigned how = fuzz_byte(s);

    switch (how & 3) {
    case 0: return UINT64_C(1) << (how >> 2);
    case 1: return fuzz_byte(s);
    case 2: return RIG_RAM + fuzz_take(s, 2) * 16;
    default: return fuzz_take(s, 8);
    }
}

static void step_access(struct rig *rig, struct fuzz_input *s, bool write)
{
    const struct rig_region *region = &rig->region[0];
    uint64_t val;
    unsigned size;
    gpa_t at;

    if (!rig->region_count)
        return;
    if (rig->region_count > 1)
        region = &rig->region[fuzz_byte(s) % rig->region_count];
    size = pick_size(s, &region->access);
    at = GPA(region->base + pick_offset(s, &region->access, size));
    if (write)
        (void)mmio_bus_write(rig->bus, at, size, pick_value(s));
    else
        (void)mmio_bus_read(rig->bus, at, size, &val);
}

static void step_read(struct rig *rig, struct fuzz_input *s)
{
    step_access(rig, s, false);
}

static void step_write(struct rig *rig, struct fuzz_input *s)
{
    step_access(rig, s, true);
}

/* --- The world around the device --- */
enum { TIME_STEPWISE = 24 };

/* Short times pass timer by timer. Longer ones pass at once, as on a host that was asleep: days of
 * a timer that ticks at 10 kHz would take hours here. */
static void step_time(struct rig *rig, struct fuzz_input *s)
{
    unsigned shift = fuzz_byte(s) % 40;
    uint64_t ns = fuzz_byte(s) << shift, now = clock_now_ns(rig->clock);

    if (shift < TIME_STEPWISE) {
        clock_advance(rig->clock, ns);
        return;
    }
    clock_set_ns(rig->clock, ns > UINT64_MAX - now ? UINT64_MAX : now + ns);
    (void)clock_run_timers(rig->clock);
}

static void step_memory(struct rig *rig, struct fuzz_input *s)
{
    uint64_t at = RIG_RAM + fuzz_take(s, 2) % 0x2000 * 16;
    uint8_t bytes[16];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)fuzz_byte(s);
    (void)!mem_write(rig->mem, GPA(at), bytes, sizeof(bytes));
}

/* A plausible descriptor in one of the queues that prepare() made, offered in its ring. */
static void step_ring(struct rig *rig, struct fuzz_input *s)
{
    uint64_t queue = fuzz_byte(s) % 16, shape = fuzz_take(s, 2);
    uint64_t area = RIG_RAM + queue * 0x1000, avail = area + 0x400;
    uint8_t desc[16], index[2];

    st_le64(desc, RIG_RAM + 0x40000 + fuzz_byte(s) * 64);
    st_le32(desc + 8, (uint32_t)(fuzz_byte(s) << (shape & 7)));
    st_le16(desc + 12, (uint16_t)(shape >> 3 & 7));
    st_le16(desc + 14, (uint16_t)(shape >> 6 & 7));
    (void)!mem_write(rig->mem, GPA(area + (shape >> 9 & 7) * 16), desc, sizeof(desc));
    if (mem_read(rig->mem, GPA(avail + 2), index, 2))
        return;
    st_le16(index, (uint16_t)(ld_le16(index) + 1));
    (void)!mem_write(rig->mem, GPA(avail + 2), index, 2);
    st_le16(index, (uint16_t)(shape >> 12 & 7));
    (void)!mem_write(rig->mem, GPA(avail + 4 + (shape >> 13 & 7) * 2), index, 2);
    if (rig->region_count)
        (void)mmio_bus_write(rig->bus, GPA(rig->region[0].base + 0x3000 + queue * 4), 2, queue);
}

static void step_line(struct rig *rig, struct fuzz_input *s)
{
    unsigned how = fuzz_byte(s), line = how % RIG_LINES;
    uint8_t bytes[32];
    size_t len = fuzz_byte(s) % sizeof(bytes);

    if (how & 2) {
        rig_line_room(rig, line, how & 4 ? SIZE_MAX : len);
        rig->line[line].out_len = 0;
        return;
    }
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)fuzz_byte(s);
    rig_type(rig, line, bytes, len);
}

static void step_disk(struct rig *rig, struct fuzz_input *s)
{
    (void)rig_disk_complete(rig, fuzz_byte(s) & 7 ? 0 : -5);
}

static void step_net(struct rig *rig, struct fuzz_input *s)
{
    unsigned how = fuzz_byte(s);
    uint8_t header[NET_HEADER_SIZE], data[512] = {0};

    if (how & 1) {
        rig_net_full(rig, how & 2);
        return;
    }
    for (size_t i = 0; i < sizeof(header); i++)
        header[i] = how & 2 ? (uint8_t)fuzz_byte(s) : 0;
    (void)rig_net_frame(rig, header, data, NET_FRAME_MIN + fuzz_byte(s) * 2);
}

static void step_share(struct rig *rig, struct fuzz_input *s)
{
    unsigned n = fuzz_byte(s);
    uint8_t data[64] = {0};

    (void)rig_share_complete(rig, n, data, fuzz_byte(s) % sizeof(data));
}

static void step_input(struct rig *rig, struct fuzz_input *s)
{
    unsigned pin = fuzz_byte(s);
    bool level = fuzz_byte(s) & 1;

    if (rig->dev->ops->input)
        rig->dev->ops->input(rig->dev, pin, level);
    if (rig->dev->ops == &sstc_ops)
        sstc_set(rig->dev, pin & 1, clock_now_ns(rig->clock) / 100 + fuzz_take(s, 2));
}

static void step_reset(struct rig *rig, struct fuzz_input *s)
{
    rig_reset(rig);
    if (rig->prepare)
        rig->prepare(rig);
}

/* --- Promises --- */
static void levels(struct rig *rig, bool level[RIG_IRQS])
{
    memset(level, 0, RIG_IRQS);
    for (unsigned i = 0; i < rig_irq_count(rig) && i < RIG_IRQS; i++)
        level[i] = rig_irq(rig, i);
}

static void save(struct rig *rig, uint8_t **ret_data, size_t *ret_len)
{
    struct err err;

    if (device_set_save(&rig->set, rig->clock, ret_data, ret_len, &err))
        broken(rig, err.text);
}

static void step_settle(struct rig *rig, struct fuzz_input *s)
{
    bool before[RIG_IRQS], after[RIG_IRQS];

    levels(rig, before);
    device_settle_all(&rig->set);
    levels(rig, after);
    if (memcmp(before, after, sizeof(before)))
        broken(rig, "settle() is not idempotent: an output changed");
}

/* A new device with the state of this one, and the same things around it. */
static struct rig *make_twin(struct rig *rig, const uint8_t *data, size_t len)
{
    struct rig *twin;
    struct err err;

    if (rig_new(rig->type, 1, &twin, &err))
        broken(rig, err.text);
    for (unsigned i = 0; i < RIG_LINES; i++)
        twin->line[i].room = rig->line[i].room;
    twin->net.full = rig->net.full;
    if (device_set_load(&twin->set, twin->clock, data, len, &err))
        broken(rig, err.text);
    for (unsigned i = 0; i < RIG_LINES; i++) {
        rig_type(twin, i, rig->line[i].in, rig->line[i].in_len);
        rig_type(rig, i, NULL, 0); /* a new line offers what waits; so does the old one */
    }
    return twin;
}

static void check_same(struct rig *rig, struct rig *twin)
{
    CLEANUP(free) uint8_t *here = NULL;
    CLEANUP(free) uint8_t *there = NULL;
    bool level_here[RIG_IRQS], level_there[RIG_IRQS];
    size_t here_len, there_len;

    levels(rig, level_here);
    levels(twin, level_there);
    if (memcmp(level_here, level_there, sizeof(level_here)))
        broken(rig, "a new device loaded with its state drives other outputs");
    save(rig, &here, &here_len);
    save(twin, &there, &there_len);
    if (here_len != there_len || memcmp(here, there, here_len))
        broken(rig, "a new device loaded with its state became another");
}

/* The twin must not only look the same but live the same: both run the next steps. */
static void check_twin(struct rig *rig, struct fuzz_input *s, const uint8_t *data, size_t len)
{
    struct fuzz_input same = *s;
    struct rig *twin = make_twin(rig, data, len);

    check_same(rig, twin);
    rig->has_twin = twin->has_twin = true;
    (void)script_run(twin, &same, TWIN_STEPS);
    (void)script_run(rig, s, TWIN_STEPS);
    check_same(rig, twin);
    rig->has_twin = false;
    rig_free(twin);
}

/* Into the same device: nothing changes. Into a new one: its outputs are the same. */
static void step_save_load(struct rig *rig, struct fuzz_input *s)
{
    CLEANUP(free) uint8_t *first = NULL;
    CLEANUP(free) uint8_t *second = NULL;
    bool before[RIG_IRQS], after[RIG_IRQS];
    size_t first_len, second_len;
    struct err err;

    save(rig, &first, &first_len);
    levels(rig, before);
    if (device_set_load(&rig->set, rig->clock, first, first_len, &err))
        broken(rig, err.text);
    levels(rig, after);
    if (memcmp(before, after, sizeof(before)))
        broken(rig, "a load of its own state changed an output");
    save(rig, &second, &second_len);
    if (first_len != second_len || memcmp(first, second, first_len)) {
        (void)!state_dump(first, first_len, stderr, NULL);
        (void)!state_dump(second, second_len, stderr, NULL);
        broken(rig, "a load of its own state changed it");
    }
    if (!rig->has_twin && !rig->prepare) /* a twin has neither RAM nor work in flight */
        check_twin(rig, s, second, second_len);
}

static void (*const steps[])(struct rig *, struct fuzz_input *) = {
    step_time,  step_memory, step_line, step_disk, step_net,
    step_share, step_input,  step_ring, step_ring, step_settle,
};

unsigned script_run(struct rig *rig, struct fuzz_input *s, unsigned limit)
{
    unsigned accesses = 0;

    for (; s->left && limit; limit--) {
        unsigned op = fuzz_byte(s);

        if (op < 96)
            step_write(rig, s);
        else if (op < 192)
            step_read(rig, s);
        else if (op < 252)
            steps[op % ARRAY_LEN(steps)](rig, s);
        else if (op < 255)
            step_save_load(rig, s);
        else
            step_reset(rig, s);
        accesses += op < 192;
    }
    return accesses;
}

/* --- The fuzzers --- */
static struct rig *make_rig(const char *type)
{
    struct rig *rig;
    struct err err;

    if (rig_new(type, 1, &rig, &err)) {
        fprintf(stderr, "fuzz: %s: %s\n", type, err.text);
        exit(1);
    }
    return rig;
}

unsigned fuzz_registers(const char *type, const uint8_t *data, size_t len)
{
    struct rig *rig = make_rig(type);
    struct fuzz_input s = {data, len};
    unsigned accesses;

    if (rig->prepare && (fuzz_byte(&s) & 3))
        rig->prepare(rig);
    accesses = script_run(rig, &s, UINT32_MAX);
    rig_free(rig);
    return accesses;
}
