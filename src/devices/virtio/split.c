/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues, device side (virtio 1.2, 2.7): descriptor table, available ring, used ring.
 * q->next and q->used are free-running 16-bit counters as in the rings themselves.
 * Not modelled: in-order use, used.flags (we always want notifications without event index).
 */
#include "base/bits.h"
#include "base/endian.h"
#include "mem/mem.h"
#include "ring.h"
#include "virtio.h"

#include <stdatomic.h>

enum { RING_FLAGS = 0, RING_IDX = 2, RING_ENTRIES = 4, AVAIL_NO_INTERRUPT = 1, USED_ELEM = 8 };

static uint64_t split_used_event(const struct virtq *q)
{
    return q->driver + RING_ENTRIES + UINT64_C(2) * q->size;
}

static uint64_t split_avail_event(const struct virtq *q)
{
    return q->device + RING_ENTRIES + (uint64_t)USED_ELEM * q->size;
}

static bool split_layout_ok(const struct virtq *q)
{
    const struct mem *mem = q->v->dev.mem;

    return is_pow2(q->size) && q->size <= q->size_max && is_aligned(q->desc, 16) &&
           is_aligned(q->driver, 2) && is_aligned(q->device, 4) &&
           mem_is_ram(mem, GPA(q->desc), (uint64_t)DESC_SIZE * q->size) &&
           mem_is_ram(mem, GPA(q->driver), RING_ENTRIES + 2u * q->size + 2) &&
           mem_is_ram(mem, GPA(q->device), RING_ENTRIES + (uint64_t)USED_ELEM * q->size + 2);
}

static bool split_read_desc(struct virtq *q, uint64_t table, uint32_t i, struct virtq_desc *ret_d)
{
    uint8_t raw[DESC_SIZE];

    if (!ring_read(q, table + (uint64_t)i * DESC_SIZE, raw, sizeof(raw)))
        return false;
    *ret_d = (struct virtq_desc){.addr = ld_le64(raw),
                                 .len = ld_le32(raw + 8),
                                 .flags = ld_le16(raw + 12),
                                 .next = ld_le16(raw + 14)};
    return true;
}

/* Follows a chain inside a table of `count` descriptors: more steps than entries are a loop.
 * *ret_d is the last descriptor, which may be indirect. */
static bool split_follow(struct virtq *q, struct virtq_chain *chain, uint64_t table, uint32_t count,
                         uint32_t i, struct virtq_desc *ret_d)
{
    for (uint32_t steps = 0; steps < count; steps++) {
        if (!split_read_desc(q, table, i, ret_d))
            return false;
        if (ret_d->flags & DESC_INDIRECT)
            return true;
        if (!chain_add(q, chain, ret_d))
            return false;
        if (!(ret_d->flags & DESC_NEXT))
            return true;
        i = ret_d->next;
        if (i >= count)
            return ring_broken(q, "next descriptor outside the table");
    }
    return ring_broken(q, "chain loops");
}

static bool split_collect(struct virtq *q, struct virtq_chain *chain, uint16_t head)
{
    struct virtq_desc d;
    uint32_t count;

    if (!split_follow(q, chain, q->desc, q->size, head, &d))
        return false;
    if (!(d.flags & DESC_INDIRECT))
        return true;
    if (!ring_indirect_ok(q, &d, &count))
        return false;
    if (!split_follow(q, chain, d.addr, count, 0, &d))
        return false;
    return d.flags & DESC_INDIRECT ? ring_broken(q, "indirect descriptor in an indirect table")
                                   : true;
}

/* Reads how many chains are available, 0 also when broken. When there are none it asks for the
 * next notification and looks again, so that none is missed. */
static unsigned split_available(struct virtq *q)
{
    uint8_t raw[2];
    uint16_t idx;

    if (!ring_read16(q, q->driver + RING_IDX, &idx))
        return 0;
    if (idx == q->next && virtio_has(q->v, VIRTIO_F_EVENT_IDX)) {
        st_le16(raw, q->next);
        if (!ring_write(q, split_avail_event(q), raw, sizeof(raw)))
            return 0;
        atomic_thread_fence(memory_order_seq_cst);
        if (!ring_read16(q, q->driver + RING_IDX, &idx))
            return 0;
    }
    atomic_thread_fence(memory_order_acquire); /* entries are read after the index */
    return (uint16_t)(idx - q->next);
}

static bool split_take(struct virtq *q, struct virtq_chain *chain)
{
    unsigned available = split_available(q);
    uint16_t head;

    if (!available)
        return false;
    if (available + q->inflight > q->size)
        return ring_broken(q, "available index runs ahead");
    if (!ring_read16(q, q->driver + RING_ENTRIES + UINT64_C(2) * (q->next % q->size), &head))
        return false;
    if (head >= q->size)
        return ring_broken(q, "head outside the table");
    if (!split_collect(q, chain, head))
        return false;
    chain->id = head;
    chain->slots = 1;
    q->next++;
    return true;
}

static void split_untake(struct virtq *q, unsigned slots)
{
    q->next = (uint16_t)(q->next - slots);
}

static void split_put(struct virtq *q, const struct virtq_used *used, unsigned count)
{
    uint8_t elem[USED_ELEM], raw[2];

    for (unsigned i = 0; i < count; i++) {
        unsigned at = (uint16_t)(q->used + i) % q->size;

        st_le32(elem, used[i].id);
        st_le32(elem + 4, used[i].written);
        if (!ring_write(q, q->device + RING_ENTRIES + (uint64_t)USED_ELEM * at, elem, sizeof(elem)))
            return;
    }
    atomic_thread_fence(memory_order_release); /* the entries are seen before the index */
    q->used = (uint16_t)(q->used + count);
    st_le16(raw, q->used);
    (void)ring_write(q, q->device + RING_IDX, raw, sizeof(raw));
}

static bool split_wants_interrupt(struct virtq *q)
{
    uint16_t old = q->signalled, flags, event;
    bool valid = q->signalled_valid;

    atomic_thread_fence(memory_order_seq_cst); /* used index out before the wish is read */
    if (!virtio_has(q->v, VIRTIO_F_EVENT_IDX))
        return ring_read16(q, q->driver + RING_FLAGS, &flags) && !(flags & AVAIL_NO_INTERRUPT);
    q->signalled = q->used;
    q->signalled_valid = true;
    if (!ring_read16(q, split_used_event(q), &event))
        return false;
    return !valid || ring_passed(event, q->used, old);
}

/* The place that the available index passes last: a whole turn of the counter from here. */
static void split_hush(struct virtq *q)
{
    uint8_t raw[2];

    st_le16(raw, (uint16_t)(q->next - 1));
    (void)ring_write(q, split_avail_event(q), raw, sizeof(raw));
}

const struct ring_ops split_ring_ops = {
    .layout_ok = split_layout_ok,
    .take = split_take,
    .untake = split_untake,
    .put = split_put,
    .wants_interrupt = split_wants_interrupt,
    .hush = split_hush,
};
