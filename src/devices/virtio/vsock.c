/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket device (virtio 1.2, 5.10) over a struct vsockdev. Queue 0 receives, 1 transmits, 2 brings
 * events. Here is only the packets' form; connections and their credit are the back end's business.
 * A packet that is not from this guest to the host, or shorter than it says, is dropped.
 * Connections do not travel with saved state: a driver that finds itself elsewhere is told that the
 * transport was reset.
 * Not modelled: SEQPACKET, connections between guests.
 */
#include "vsock.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/iov.h"
#include "devices/core/device.h"

#include <posada/vsockdev.h>

enum { F_STREAM = 0 };
enum { RX = 0, TX = 1, EVENT = 2, VSOCK_QUEUES = 3, VSOCK_QUEUE_SIZE = 128, CONFIG_SIZE = 8 };
enum { EVENT_TRANSPORT_RESET = 0, EVENT_SIZE = 4 };
enum { /* struct virtio_vsock_hdr */
       HDR_SRC_CID = 0,
       HDR_DST_CID = 8,
       HDR_SRC_PORT = 16,
       HDR_DST_PORT = 20,
       HDR_LEN = 24,
       HDR_TYPE = 28,
       HDR_OP = 30,
       HDR_FLAGS = 32,
       HDR_BUF_ALLOC = 36,
       HDR_FWD_CNT = 40,
       HDR_SIZE = 44,
};

struct virtio_vsock {
    struct virtio_device v; /* must be first */
    struct vsockdev *backend;
    uint32_t cid;
    bool live;      /* the driver began here: not saved, so false after a load */
    bool reset_due; /* it has to hear that it did not */
    bool busy;      /* the back end may say ready() from inside its calls */
    struct virtq_chain chain;
    struct iovec iov[VIRTQ_CHAIN_MAX];
};

static const struct state_field vsock_state[] = {
    VIRTIO_STATE(struct virtio_vsock),
    STATE_END,
};

static struct virtio_vsock *vsock_of(struct virtio_device *v)
{
    return container_of(v, struct virtio_vsock, v);
}

/* --- Guest to host --- */
static bool vsock_decode(const struct virtio_vsock *s, const struct virtq_chain *chain,
                         struct vsock_packet *ret_p)
{
    uint8_t h[HDR_SIZE];

    if (chain_read(chain, 0, h, sizeof(h)) < sizeof(h) || ld_le64(h + HDR_SRC_CID) != s->cid ||
        ld_le64(h + HDR_DST_CID) != VSOCK_CID_HOST)
        return false;
    *ret_p = (struct vsock_packet){.guest_port = ld_le32(h + HDR_SRC_PORT),
                                   .host_port = ld_le32(h + HDR_DST_PORT),
                                   .len = ld_le32(h + HDR_LEN),
                                   .type = ld_le16(h + HDR_TYPE),
                                   .op = ld_le16(h + HDR_OP),
                                   .flags = ld_le32(h + HDR_FLAGS),
                                   .buf_alloc = ld_le32(h + HDR_BUF_ALLOC),
                                   .fwd_cnt = ld_le32(h + HDR_FWD_CNT)};
    return ret_p->len <= chain->out_len - HDR_SIZE;
}

static void vsock_transmit(struct virtio_vsock *s, struct virtq *q)
{
    struct virtq_chain *chain = &s->chain;
    struct vsock_packet p;
    unsigned count;

    while (virtq_pop(q, chain)) {
        if (!vsock_decode(s, chain, &p)) {
            guest_error(&s->v.dev, "queue %u: not a packet from this guest to its host", q->index);
        } else if (s->backend) {
            count = iov_slice(chain->iov, chain->out_count, HDR_SIZE, p.len, s->iov);
            s->backend->ops->packet(s->backend, &p, s->iov, count);
        }
        virtq_push(q, chain, 0);
    }
}

/* --- Host to guest --- */
static void vsock_encode(const struct virtio_vsock *s, const struct vsock_packet *p,
                         uint8_t h[HDR_SIZE])
{
    st_le64(h + HDR_SRC_CID, VSOCK_CID_HOST);
    st_le64(h + HDR_DST_CID, s->cid);
    st_le32(h + HDR_SRC_PORT, p->host_port);
    st_le32(h + HDR_DST_PORT, p->guest_port);
    st_le32(h + HDR_LEN, p->len);
    st_le16(h + HDR_TYPE, p->type);
    st_le16(h + HDR_OP, p->op);
    st_le32(h + HDR_FLAGS, p->flags);
    st_le32(h + HDR_BUF_ALLOC, p->buf_alloc);
    st_le32(h + HDR_FWD_CNT, p->fwd_cnt);
}

/* Fills one buffer; false: there was no packet. */
static bool vsock_fill(struct virtio_vsock *s, struct virtq *q)
{
    struct virtq_chain *chain = &s->chain;
    size_t room = chain->in_len - HDR_SIZE;
    struct vsock_packet p;
    uint8_t h[HDR_SIZE];
    unsigned count;

    if (room > VSOCK_PACKET_MAX)
        room = VSOCK_PACKET_MAX;
    count = iov_slice(chain->iov + chain->out_count, chain->in_count, HDR_SIZE, room, s->iov);
    if (!s->backend->ops->next(s->backend, &p, s->iov, count))
        return false;
    vsock_encode(s, &p, h);
    (void)chain_write(q, chain, 0, h, sizeof(h));
    chain_written(q, chain, HDR_SIZE + p.len);
    virtq_push(q, chain, HDR_SIZE + p.len);
    return true;
}

static void vsock_receive(struct virtio_vsock *s, struct virtq *q)
{
    while (s->backend && s->backend->ops->pending(s->backend) && virtq_pop(q, &s->chain)) {
        if (s->chain.in_len <= HDR_SIZE) {
            virtio_broken(&s->v, "queue %u: buffer too small for a packet", q->index);
            return;
        }
        if (!vsock_fill(s, q)) {
            virtq_unpop(q, &s->chain);
            return;
        }
    }
}

static void vsock_tell_reset(struct virtio_vsock *s, struct virtq *q)
{
    uint8_t event[EVENT_SIZE];

    if (!s->reset_due || !virtq_pop(q, &s->chain))
        return;
    if (s->chain.in_len < EVENT_SIZE) {
        virtio_broken(&s->v, "queue %u: buffer too small for an event", q->index);
        return;
    }
    st_le32(event, EVENT_TRANSPORT_RESET);
    virtq_push(q, &s->chain, (uint32_t)chain_write(q, &s->chain, 0, event, sizeof(event)));
    s->reset_due = false;
}

/* --- The device --- */
static void vsock_handle(struct virtio_device *v, struct virtq *q)
{
    struct virtio_vsock *s = vsock_of(v);

    if (s->busy)
        return;
    s->busy = true;
    if (q->index == TX)
        vsock_transmit(s, q);
    else if (q->index == RX)
        vsock_receive(s, q);
    else
        vsock_tell_reset(s, q);
    s->busy = false;
    if (q->index == TX) /* what was sent may be answered at once */
        virtio_kick(v, RX);
}

static void vsock_ready(void *arg)
{
    struct virtio_vsock *s = arg;

    if (!s->busy)
        virtio_kick(&s->v, RX);
}

static void vsock_started(struct virtio_device *v)
{
    vsock_of(v)->live = true;
}

static void vsock_reset(struct virtio_device *v, struct virtq *q)
{
    struct virtio_vsock *s = vsock_of(v);

    if (q)
        return;
    s->live = s->reset_due = false;
    if (s->backend)
        s->backend->ops->reset(s->backend);
}

static void vsock_settle(struct device *dev)
{
    struct virtio_vsock *s = container_of(dev, struct virtio_vsock, v.dev);

    virtio_settle(dev);
    if (s->live || !virtio_running(&s->v))
        return;
    s->live = s->reset_due = true; /* loaded */
    virtio_put_off(&s->v, EVENT);
}

static const struct virtio_class vsock_class = {
    .id = VIRTIO_ID_VSOCK,
    .pci_class = 0x078000, /* communication controller, other */
    .doorbells = true,
    .handle = vsock_handle,
    .started = vsock_started,
    .reset = vsock_reset,
};

const struct device_ops virtio_vsock_ops = {
    .type = "virtio-vsock",
    .instance_size = sizeof(struct virtio_vsock),
    .mmio = VIRTIO_MMIO,
    .init = virtio_init,
    .done = virtio_done,
    .reset = virtio_reset,
    .settle = vsock_settle,
    .read = virtio_read,
    .write = virtio_write,
    .irq = virtio_irq,
    .quiesce = virtio_quiesce,
    .state_version = 1,
    .state = vsock_state,
};

struct virtio_device *virtio_vsock_new(const char *name, struct vsockdev *backend, uint32_t cid)
{
    struct device *dev = device_new(&virtio_vsock_ops, name);
    struct virtio_vsock *s;

    if (!dev)
        return NULL;
    s = container_of(dev, struct virtio_vsock, v.dev);
    s->backend = backend;
    s->cid = cid;
    virtio_setup(&s->v, &vsock_class, BIT(F_STREAM), VSOCK_QUEUES, VSOCK_QUEUE_SIZE, CONFIG_SIZE);
    st_le64(s->v.config, cid);
    if (backend) {
        backend->front.ready = vsock_ready;
        backend->front.arg = s;
    }
    return &s->v;
}
