/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What split and packed virtqueues share: legal chains, budgets, copies (virtio 1.2, 2.6-2.8).
 * Invariants: a chain never holds more than VIRTQ_CHAIN_MAX buffers or 4 GiB; at most `size` ring
 * entries are in flight, so a device may keep one request record an entry.
 */
#include "queue.h"

#include "ring.h"
#include "virtio.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "mem/mem.h"

static const struct ring_ops *queue_ring(const struct virtq *q)
{
    return virtio_has(q->v, VIRTIO_F_RING_PACKED) ? &packed_ring_ops : &split_ring_ops;
}

bool ring_broken(struct virtq *q, const char *what)
{
    virtio_broken(q->v, "queue %u: %s", q->index, what);
    return false;
}

bool ring_read(struct virtq *q, uint64_t addr, void *buf, size_t len)
{
    if (mem_read(q->v->dev.mem, GPA(addr), buf, len) < 0)
        return ring_broken(q, "descriptor or ring outside memory");
    return true;
}

bool ring_write(struct virtq *q, uint64_t addr, const void *buf, size_t len)
{
    if (mem_write(q->v->dev.mem, GPA(addr), buf, len) < 0)
        return ring_broken(q, "ring outside memory");
    return true;
}

bool ring_read16(struct virtq *q, uint64_t addr, uint16_t *ret_val)
{
    uint8_t raw[2];

    if (!ring_read(q, addr, raw, sizeof(raw)))
        return false;
    *ret_val = ld_le16(raw);
    return true;
}

bool ring_indirect_ok(struct virtq *q, const struct virtq_desc *d, uint32_t *ret_count)
{
    if (!virtio_has(q->v, VIRTIO_F_INDIRECT_DESC))
        return ring_broken(q, "indirect descriptor was not negotiated");
    if (d->flags & DESC_NEXT)
        return ring_broken(q, "indirect descriptor with a next one");
    if (!d->len || d->len % DESC_SIZE)
        return ring_broken(q, "indirect table of a bad length");
    *ret_count = d->len / DESC_SIZE;
    return true;
}

bool chain_add(struct virtq *q, struct virtq_chain *chain, const struct virtq_desc *d)
{
    bool writable = d->flags & DESC_WRITE;
    unsigned n = chain->out_count + chain->in_count;
    uint32_t total;
    void *host;

    if (n == VIRTQ_CHAIN_MAX)
        return ring_broken(q, "chain of too many buffers");
    if (!d->len)
        return ring_broken(q, "buffer of no bytes");
    if (!writable && chain->in_count)
        return ring_broken(q, "readable buffer behind a writable one");
    if (ckd_add(&total, chain->out_len + chain->in_len, d->len))
        return ring_broken(q, "chain of more than 4 GiB");
    host = mem_map(q->v->dev.mem, GPA(d->addr), d->len, writable ? MEM_WRITE : MEM_READ);
    if (!host)
        return ring_broken(q, "buffer outside memory");

    chain->iov[n] = (struct iovec){.iov_base = host, .iov_len = d->len};
    chain->gpa[n] = d->addr;
    *(writable ? &chain->in_count : &chain->out_count) += 1;
    *(writable ? &chain->in_len : &chain->out_len) += d->len;
    return true;
}

void virtq_reset(struct virtq *q)
{
    q->enabled = false;
    q->size = q->size_max;
    q->vector = VIRTIO_NO_VECTOR;
    q->desc = q->driver = q->device = 0;
    q->next = q->used = q->signalled = 0;
    q->next_wrap = q->used_wrap = q->signalled_wrap = true; /* packed rings start at 1 */
    q->signalled_valid = q->notify = false;
    q->inflight = 0;
}

bool virtq_enable(struct virtq *q)
{
    if (!queue_ring(q)->layout_ok(q)) {
        guest_error(&q->v->dev, "queue %u: bad size %u or areas", q->index, q->size);
        return false;
    }
    q->enabled = true;
    return true;
}

/* What a loaded state could have wrong and the rings rely on. */
static bool queue_sane(const struct virtq *q)
{
    if (!q->size || q->size > q->size_max)
        return false;
    if (virtio_has(q->v, VIRTIO_F_RING_PACKED))
        return q->next < q->size && q->used < q->size;
    return is_pow2(q->size);
}

bool virtq_pop(struct virtq *q, struct virtq_chain *chain)
{
    struct virtio_device *v = q->v;

    if (!q->enabled || !v->dma || !virtio_running(v))
        return false;
    if (!queue_sane(q))
        return ring_broken(q, "impossible size or index");
    if (!q->budget) {
        virtio_put_off(v, q->index);
        return false;
    }
    chain->out_count = chain->in_count = 0;
    chain->out_len = chain->in_len = 0;
    if (!queue_ring(q)->take(q, chain))
        return false;
    q->budget--;
    q->inflight += chain->slots;
    return true;
}

void virtq_unpop_slots(struct virtq *q, unsigned slots)
{
    q->inflight -= slots;
    queue_ring(q)->untake(q, slots);
}

void virtq_unpop(struct virtq *q, const struct virtq_chain *chain)
{
    virtq_unpop_slots(q, chain->slots);
}

void virtq_push_all(struct virtq *q, const struct virtq_used *used, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        q->inflight -= used[i].slots;
    if (!count || !q->v->dma || !virtio_running(q->v))
        return;
    queue_ring(q)->put(q, used, count);
    q->notify = true;
}

void virtq_push(struct virtq *q, const struct virtq_chain *chain, uint32_t written)
{
    const struct virtq_used used = {chain->id, chain->slots, written};

    virtq_push_all(q, &used, 1);
}

void virtq_notify(struct virtq *q)
{
    if (!q->notify)
        return;
    q->notify = false;
    if (virtio_running(q->v) && queue_ring(q)->wants_interrupt(q))
        virtio_interrupt(q->v, q->vector);
}

void virtq_hush(struct virtq *q)
{
    if (q->enabled && q->v->dma && virtio_running(q->v) && queue_sane(q) &&
        virtio_has(q->v, VIRTIO_F_EVENT_IDX))
        queue_ring(q)->hush(q);
}

/* Copies between buf and iov[0..count) from offset on. */
static size_t iov_copy(const struct iovec *iov, unsigned count, size_t offset, uint8_t *buf,
                       size_t len, bool to_guest)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        uint8_t *host = (uint8_t *)iov[i].iov_base + offset;
        size_t n = iov[i].iov_len - offset;

        if (n > len - done)
            n = len - done;
        if (to_guest)
            memcpy(host, buf + done, n);
        else
            memcpy(buf + done, host, n);
        done += n;
        offset = 0;
    }
    return done;
}

size_t chain_read(const struct virtq_chain *chain, size_t offset, void *buf, size_t len)
{
    return iov_copy(chain->iov, chain->out_count, offset, buf, len, false);
}

/* Tells memory about [offset, offset + len) of the writable part. */
static void report_written(struct virtq *q, const struct virtq_chain *chain, size_t offset,
                           size_t len)
{
    unsigned end = chain->out_count + chain->in_count;

    for (unsigned i = chain->out_count; i < end && len; i++) {
        size_t size = chain->iov[i].iov_len;

        if (offset >= size) {
            offset -= size;
            continue;
        }
        size_t n = size - offset < len ? size - offset : len;

        mem_written(q->v->dev.mem, GPA(chain->gpa[i] + offset), n);
        len -= n;
        offset = 0;
    }
}

size_t chain_write(struct virtq *q, const struct virtq_chain *chain, size_t offset, const void *buf,
                   size_t len)
{
    /* iov_copy() only reads buf in this direction. */
    uint8_t *from = (uint8_t *)(uintptr_t)buf;
    size_t n = iov_copy(chain->iov + chain->out_count, chain->in_count, offset, from, len, true);

    report_written(q, chain, offset, n);
    return n;
}

void chain_written(struct virtq *q, const struct virtq_chain *chain, size_t len)
{
    report_written(q, chain, 0, len);
}
