/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed virtqueues, device side (virtio 1.2, 2.8): one ring of descriptors that driver and device
 * both write, and two event suppression structures.
 * q->next and q->used are slots below q->size; the wrap flags flip when they pass the end.
 * Our own event structure asks for the next slot when there is nothing left (with event index), or
 * stays at its "always notify" zero. Not modelled: in-order use.
 */
#include "base/bits.h"
#include "base/endian.h"
#include "mem/mem.h"
#include "ring.h"
#include "virtio.h"

#include <stdatomic.h>

enum { DESC_AVAIL = 1 << 7, DESC_USED = 1 << 15, DESC_LEN = 8, DESC_FLAGS = 14 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2, EVENT_SIZE = 4, EVENT_WRAP = 1 << 15 };

static bool packed_layout_ok(const struct virtq *q)
{
    const struct mem *mem = q->v->dev.mem;

    return q->size && q->size <= q->size_max && is_aligned(q->desc, 16) &&
           is_aligned(q->driver, 4) && is_aligned(q->device, 4) &&
           mem_is_ram(mem, GPA(q->desc), (uint64_t)DESC_SIZE * q->size) &&
           mem_is_ram(mem, GPA(q->driver), EVENT_SIZE) &&
           mem_is_ram(mem, GPA(q->device), EVENT_SIZE);
}

static uint64_t packed_slot(const struct virtq *q, unsigned slot)
{
    return q->desc + (uint64_t)slot * DESC_SIZE;
}

static bool packed_read_desc(struct virtq *q, uint64_t addr, struct virtq_desc *ret_d)
{
    uint8_t raw[DESC_SIZE];

    if (!ring_read(q, addr, raw, sizeof(raw)))
        return false;
    *ret_d = (struct virtq_desc){.addr = ld_le64(raw),
                                 .len = ld_le32(raw + 8),
                                 .id = ld_le16(raw + 12),
                                 .flags = ld_le16(raw + 14)};
    return true;
}

/* The driver made the slot available in this round when AVAIL equals and USED differs from our
 * wrap flag. */
static bool packed_next_available(struct virtq *q)
{
    uint16_t flags;

    if (!ring_read16(q, packed_slot(q, q->next) + DESC_FLAGS, &flags))
        return false;
    atomic_thread_fence(memory_order_acquire); /* the rest is read after the flags */
    return !!(flags & DESC_AVAIL) == q->next_wrap && !!(flags & DESC_USED) != q->next_wrap;
}

/* Asks to be told when the driver fills the next slot. */
static bool packed_ask(struct virtq *q)
{
    uint8_t raw[EVENT_SIZE];

    st_le16(raw, (uint16_t)(q->next | (q->next_wrap ? EVENT_WRAP : 0)));
    st_le16(raw + 2, EVENT_DESC);
    return ring_write(q, q->device, raw, sizeof(raw));
}

/* When nothing is available it asks for the next notification and looks again, so that none is
 * missed. */
static bool packed_available(struct virtq *q)
{
    if (packed_next_available(q))
        return true;
    if (!virtio_has(q->v, VIRTIO_F_EVENT_IDX) || !packed_ask(q))
        return false;
    atomic_thread_fence(memory_order_seq_cst);
    return packed_next_available(q);
}

/* The buffers of an indirect table, which follow one another without NEXT. */
static bool packed_indirect(struct virtq *q, struct virtq_chain *chain,
                            const struct virtq_desc *table)
{
    struct virtq_desc d;
    uint32_t count;

    if (!ring_indirect_ok(q, table, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!packed_read_desc(q, table->addr + (uint64_t)i * DESC_SIZE, &d))
            return false;
        if (d.flags & DESC_INDIRECT)
            return ring_broken(q, "indirect descriptor in an indirect table");
        if (!chain_add(q, chain, &d))
            return false;
    }
    return true;
}

static bool packed_collect(struct virtq *q, struct virtq_chain *chain)
{
    struct virtq_desc d;
    unsigned slot = q->next;

    for (chain->slots = 1; chain->slots <= q->size; chain->slots++) {
        if (!packed_read_desc(q, packed_slot(q, slot), &d))
            return false;
        chain->id = d.id; /* the last descriptor's counts */
        if (d.flags & DESC_INDIRECT)
            return chain->slots > 1 ? ring_broken(q, "indirect descriptor inside a chain")
                                    : packed_indirect(q, chain, &d);
        if (!chain_add(q, chain, &d))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        slot = slot + 1 == q->size ? 0 : slot + 1;
    }
    return ring_broken(q, "chain loops");
}

static void packed_advance(const struct virtq *q, uint16_t *slot, bool *wrap, unsigned by)
{
    unsigned next = *slot + by;

    if (next >= q->size) {
        next -= q->size;
        *wrap = !*wrap;
    }
    *slot = (uint16_t)next;
}

static bool packed_take(struct virtq *q, struct virtq_chain *chain)
{
    if (!packed_available(q))
        return false;
    if (!packed_collect(q, chain))
        return false;
    if (q->inflight + chain->slots > q->size)
        return ring_broken(q, "descriptors made available twice");
    packed_advance(q, &q->next, &q->next_wrap, chain->slots);
    return true;
}

static void packed_untake(struct virtq *q, unsigned slots)
{
    if (q->next < slots) {
        q->next = (uint16_t)(q->next + q->size);
        q->next_wrap = !q->next_wrap;
    }
    q->next = (uint16_t)(q->next - slots);
}

static bool packed_put_flags(struct virtq *q, unsigned slot, bool wrap, uint32_t written)
{
    uint8_t flags[2];

    st_le16(flags, (uint16_t)((wrap ? DESC_AVAIL | DESC_USED : 0) | (written ? DESC_WRITE : 0)));
    return ring_write(q, packed_slot(q, slot) + DESC_FLAGS, flags, sizeof(flags));
}

/* The first entry's flags come last: a driver looks no further before it sees them. */
static void packed_put(struct virtq *q, const struct virtq_used *used, unsigned count)
{
    unsigned first = q->used;
    bool first_wrap = q->used_wrap;
    uint8_t raw[6];

    for (unsigned i = 0; i < count; i++) {
        st_le32(raw, used[i].written);
        st_le16(raw + 4, used[i].id);
        if (!ring_write(q, packed_slot(q, q->used) + DESC_LEN, raw, sizeof(raw)))
            return;
        if (i && !packed_put_flags(q, q->used, q->used_wrap, used[i].written))
            return;
        packed_advance(q, &q->used, &q->used_wrap, used[i].slots);
    }
    atomic_thread_fence(memory_order_release); /* lengths and ids are seen before the flags */
    (void)packed_put_flags(q, first, first_wrap, used->written);
}

/* `slot` in the count of the current round; one of the round before lies below zero. */
static uint16_t packed_unwrapped(const struct virtq *q, uint16_t slot, bool wrap)
{
    return wrap == q->used_wrap ? slot : (uint16_t)(slot - q->size);
}

static bool packed_wants_interrupt(struct virtq *q)
{
    uint16_t old = packed_unwrapped(q, q->signalled, q->signalled_wrap);
    bool valid = q->signalled_valid;
    uint8_t raw[EVENT_SIZE];

    q->signalled = q->used;
    q->signalled_wrap = q->used_wrap;
    q->signalled_valid = true;
    atomic_thread_fence(memory_order_seq_cst); /* used entries out before the wish is read */
    if (!ring_read(q, q->driver, raw, sizeof(raw)))
        return false;
    uint16_t where = ld_le16(raw), flags = ld_le16(raw + 2) & 3;

    if (flags != EVENT_DESC || !virtio_has(q->v, VIRTIO_F_EVENT_IDX))
        return flags != EVENT_DISABLE;
    uint16_t event = packed_unwrapped(q, where & (EVENT_WRAP - 1), where & EVENT_WRAP);

    return !valid || ring_passed(event, q->used, old);
}

static void packed_hush(struct virtq *q)
{
    uint8_t raw[EVENT_SIZE] = {0};

    st_le16(raw + 2, EVENT_DISABLE);
    (void)ring_write(q, q->device, raw, sizeof(raw));
}

const struct ring_ops packed_ring_ops = {
    .layout_ok = packed_layout_ok,
    .take = packed_take,
    .untake = packed_untake,
    .put = packed_put,
    .wants_interrupt = packed_wants_interrupt,
    .hush = packed_hush,
};
