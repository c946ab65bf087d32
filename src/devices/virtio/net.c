/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network device (virtio 1.2, 5.1) over a struct netdev.
 * Queues 2i (receive) and 2i + 1 (transmit) are pair i; the control queue follows the last pair the
 * driver knows of. Nothing is buffered here: a frame that finds no receive buffers stays with the
 * back end, one that the back end does not take stays in its ring.
 * A received frame goes into as many buffers as it needs (MRG_RXBUF), which the driver gets all at
 * once. Frames are matched to what the driver negotiated: an unfinished checksum is finished here
 * for a driver without GUEST_CSUM; a segment too large for it (no GUEST_TSO*) is dropped.
 * Promiscuity and filters: the back end sends what concerns this guest, so every request to see
 * more or less is answered and changes nothing.
 * Not modelled: VLAN filtering, announcements, RSS, notification coalescing, UFO.
 */
#include "net.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/iov.h"
#include "base/net_frame.h"
#include "devices/core/device.h"

#include <errno.h>
#include <stdlib.h>

enum { /* VIRTIO_NET_F_*; those of back ends are in base/net_frame.h */
       F_MTU = 3,
       F_MAC = 5,
       F_MRG_RXBUF = 15,
       F_STATUS = 16,
       F_CTRL_VQ = 17,
       F_CTRL_RX = 18,
       F_MQ = 22,
       F_CTRL_MAC_ADDR = 23,
};

enum { CONFIG_MAC = 0, CONFIG_STATUS = 6, CONFIG_PAIRS = 8, CONFIG_MTU = 10, CONFIG_SIZE = 12 };
enum { STATUS_LINK_UP = 1 };

enum control_class { CONTROL_RX = 0, CONTROL_MAC = 1, CONTROL_MQ = 4 };
enum { RX_LAST = 5, MAC_TABLE_SET = 0, MAC_ADDR_SET = 1, MQ_PAIRS_SET = 0 };
enum { CONTROL_HEADER = 2, CONTROL_OK = 0, CONTROL_ERR = 1 };

enum { RX_CHAINS_MAX = 64 }; /* for one frame: 64 KiB in buffers of 1 KiB */
enum { FLOW_FIELDS = 26 };   /* where IPv4's addresses begin; ports follow */

struct virtio_net {
    struct virtio_device v; /* must be first */
    struct netdev *backend;
    unsigned pairs; /* offered */
    uint8_t own_mac[NET_MAC_SIZE];
    bool link;
    bool sending;                      /* the back end may say writable() from inside send() */
    struct virtq_chain chain;          /* the one being looked at */
    struct iovec iov[VIRTQ_CHAIN_MAX]; /* a frame to send */
    uint8_t frame[NET_FRAME_MAX];      /* one that is changed on its way */

    uint8_t mac[NET_MAC_SIZE];
    uint16_t active; /* pairs the driver uses */
};

_Static_assert(2 * VIRTIO_NET_PAIRS_MAX + 1 == VIRTIO_QUEUES_MAX, "every queue is saved");

static const struct state_field net_state[] = {
    VIRTIO_STATE(struct virtio_net),
    VIRTQ_STATE(struct virtio_net, v.queue[8]),
    VIRTQ_STATE(struct virtio_net, v.queue[9]),
    VIRTQ_STATE(struct virtio_net, v.queue[10]),
    VIRTQ_STATE(struct virtio_net, v.queue[11]),
    VIRTQ_STATE(struct virtio_net, v.queue[12]),
    VIRTQ_STATE(struct virtio_net, v.queue[13]),
    VIRTQ_STATE(struct virtio_net, v.queue[14]),
    VIRTQ_STATE(struct virtio_net, v.queue[15]),
    VIRTQ_STATE(struct virtio_net, v.queue[16]),
    STATE_BYTES(struct virtio_net, mac, NET_MAC_SIZE),
    STATE_U16_MAX(struct virtio_net, active, VIRTIO_NET_PAIRS_MAX),
    STATE_END,
};

static struct virtio_net *net_of(struct virtio_device *v)
{
    return container_of(v, struct virtio_net, v);
}

static unsigned net_control_queue(const struct virtio_net *net)
{
    return virtio_has(&net->v, F_MQ) ? 2 * net->pairs : 2;
}

/* --- Guest to back end --- */
static bool net_gso_allowed(const struct virtio_net *net, uint8_t type)
{
    switch (type & ~NET_GSO_ECN) {
    case NET_GSO_NONE: return true;
    case NET_GSO_TCP4: return virtio_has(&net->v, NET_F_HOST_TSO4);
    default: return virtio_has(&net->v, NET_F_HOST_TSO6);
    }
}

/* Takes the frame out of a chain. False: it is none, or uses what was not negotiated. */
static bool net_parse(struct virtio_net *net, const struct virtq_chain *chain,
                      struct net_frame *ret_frame)
{
    uint8_t header[NET_HEADER_SIZE];
    size_t length;

    if (chain_read(chain, 0, header, sizeof(header)) < sizeof(header))
        return false;
    length = chain->out_len - sizeof(header);
    if (!net_header_decode(header, length, ret_frame) ||
        !net_gso_allowed(net, ret_frame->gso_type) ||
        (ret_frame->needs_checksum && !virtio_has(&net->v, NET_F_CSUM)))
        return false;
    ret_frame->checksum_valid = false; /* nothing a driver could promise */
    ret_frame->iov = net->iov;
    ret_frame->iov_count =
        iov_slice(chain->iov, chain->out_count, sizeof(header), length, net->iov);
    return true;
}

static void net_transmit(struct virtio_net *net, struct virtq *q)
{
    struct virtq_chain *chain = &net->chain;
    struct net_frame frame;

    if (net->sending)
        return;
    net->sending = true;
    while (virtq_pop(q, chain)) {
        if (!net_parse(net, chain, &frame))
            guest_error(&net->v.dev, "queue %u: not a frame to send", q->index);
        else if (net->backend && net->backend->ops->send(net->backend, &frame) == -EAGAIN) {
            virtq_unpop(q, chain);
            break;
        }
        virtq_push(q, chain, 0);
    }
    net->sending = false;
}

static void net_writable(void *arg)
{
    struct virtio_net *net = arg;

    for (unsigned i = 0; i < net->active; i++)
        virtio_kick(&net->v, 2 * i + 1);
}

/* --- Back end to guest --- */
/* Frames of one flow stay on one queue, in order. */
static unsigned net_choose_pair(const struct virtio_net *net, const struct net_frame *frame)
{
    uint8_t fields[12] = {0};
    uint32_t hash = 2166136261;

    if (net->active < 2)
        return 0;
    (void)iov_read(frame->iov, frame->iov_count, FLOW_FIELDS, fields, sizeof(fields));
    for (size_t i = 0; i < sizeof(fields); i++)
        hash = (hash ^ fields[i]) * 16777619;
    return (hash >> 16) % net->active;
}

static bool net_segment_allowed(const struct virtio_net *net, uint8_t type)
{
    switch (type & ~NET_GSO_ECN) {
    case NET_GSO_NONE: return true;
    case NET_GSO_TCP4: return virtio_has(&net->v, NET_F_GUEST_TSO4);
    default: return virtio_has(&net->v, NET_F_GUEST_TSO6);
    }
}

/* Makes of a frame what the driver can take. False: impossible. */
static bool net_match(struct virtio_net *net, struct net_frame *frame, struct iovec *whole)
{
    if (frame->length < NET_FRAME_MIN || frame->length > NET_FRAME_MAX ||
        !net_segment_allowed(net, frame->gso_type))
        return false;
    if (virtio_has(&net->v, NET_F_GUEST_CSUM))
        return true;
    if (frame->needs_checksum) {
        (void)iov_read(frame->iov, frame->iov_count, 0, net->frame, frame->length);
        net_finish_checksum(frame, net->frame);
        *whole = (struct iovec){net->frame, frame->length};
        frame->iov = whole;
        frame->iov_count = 1;
    }
    frame->needs_checksum = frame->checksum_valid = false;
    return true;
}

/* Copies frame bytes from offset into the chain, behind `skip` bytes; how many. */
static size_t net_fill(struct virtio_net *net, struct virtq *q, const struct net_frame *frame,
                       size_t offset, size_t skip)
{
    struct virtq_chain *chain = &net->chain;
    size_t room = chain->in_len - skip, done = 0;

    for (unsigned i = 0; i < frame->iov_count && done < room; i++) {
        const struct iovec *iov = &frame->iov[i];
        size_t n;

        if (offset >= iov->iov_len) {
            offset -= iov->iov_len;
            continue;
        }
        n = iov->iov_len - offset < room - done ? iov->iov_len - offset : room - done;
        (void)chain_write(q, chain, skip + done, (const uint8_t *)iov->iov_base + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

/* The number of buffers a frame took stands in the first of them, which is no longer mapped: the
 * buffer was legal when it was popped and memory does not go away. */
struct rx_chains {
    struct virtq_used used[RX_CHAINS_MAX];
    unsigned count, slots;
    struct iovec first; /* its first buffer */
};

/* Puts the frame into buffers. 0: all of it; -EAGAIN: too few are free; -EMSGSIZE: they are too
 * small. */
static int net_place(struct virtio_net *net, struct virtq *q, const struct net_frame *frame,
                     struct rx_chains *rx)
{
    uint8_t header[NET_HEADER_SIZE];
    size_t done = 0;

    net_header_encode(frame, header);
    while (done < frame->length) {
        size_t skip = rx->count ? 0 : sizeof(header), n;

        if (rx->count == RX_CHAINS_MAX || (rx->count && !virtio_has(&net->v, F_MRG_RXBUF)))
            return -EMSGSIZE;
        if (!virtq_pop(q, &net->chain))
            return -EAGAIN;
        rx->slots += net->chain.slots;
        if (net->chain.in_len <= skip) {
            virtio_broken(&net->v, "queue %u: buffer too small for a header", q->index);
            return -EMSGSIZE;
        }
        if (!rx->count) {
            rx->first = net->chain.iov[net->chain.out_count];
            (void)chain_write(q, &net->chain, 0, header, sizeof(header));
        }
        n = net_fill(net, q, frame, done, skip);
        rx->used[rx->count++] =
            (struct virtq_used){net->chain.id, net->chain.slots, (uint32_t)(n + skip)};
        done += n;
    }
    return 0;
}

static int net_deliver(struct virtio_net *net, struct virtq *q, const struct net_frame *frame)
{
    struct rx_chains rx = {.count = 0};
    int r = net_place(net, q, frame, &rx);

    if (r == -EAGAIN) {
        virtq_unpop_slots(q, rx.slots);
        /* A driver that is broken or away loses frames; one that is only slow does not. */
        return virtio_running(&net->v) && q->enabled ? r : 0;
    }
    if (r < 0) {
        guest_error(&net->v.dev, "queue %u: buffers too small for a frame of %zu bytes", q->index,
                    frame->length);
        virtq_unpop_slots(q, rx.slots);
        return 0;
    }
    if (rx.count > 1 && rx.first.iov_len >= NET_HEADER_SIZE)
        st_le16((uint8_t *)rx.first.iov_base + NET_HEADER_SIZE - 2, (uint16_t)rx.count);
    virtq_push_all(q, rx.used, rx.count);
    return 0;
}

static int net_receive(void *arg, const struct net_frame *frame)
{
    struct virtio_net *net = arg;
    struct net_frame own = *frame;
    struct iovec whole;
    struct virtq *q;
    int r;

    if (!virtio_running(&net->v))
        return 0; /* nobody listens: lost, as on any wire */
    if (!net->v.dma)
        return -EAGAIN;
    if (!net_match(net, &own, &whole))
        return 0;
    q = &net->v.queue[(size_t)2 * net_choose_pair(net, &own)];
    q->budget = VIRTQ_BUDGET;
    r = net_deliver(net, q, &own);
    virtq_notify(q);
    return r;
}

static void net_ask_backend(struct virtio_net *net)
{
    if (net->backend && net->backend->ops->poll)
        net->backend->ops->poll(net->backend);
}

/* --- Configuration --- */
static void net_fill_config(struct virtio_net *net)
{
    uint8_t *config = net->v.config;

    memcpy(config + CONFIG_MAC, net->mac, NET_MAC_SIZE);
    st_le16(config + CONFIG_STATUS, net->link ? STATUS_LINK_UP : 0);
    st_le16(config + CONFIG_PAIRS, (uint16_t)net->pairs);
    st_le16(config + CONFIG_MTU, net->backend ? net->backend->mtu : 0);
}

static void net_link(void *arg, bool up)
{
    struct virtio_net *net = arg;

    if (net->link == up)
        return;
    net->link = up;
    net_fill_config(net);
    virtio_config_changed(&net->v);
}

/* --- Control queue --- */
static bool net_control_rx(const struct virtq_chain *chain, uint8_t command)
{
    uint8_t on;

    return command <= RX_LAST && chain_read(chain, CONTROL_HEADER, &on, 1) == 1;
}

/* Two tables of addresses, each led by its length. */
static bool net_mac_tables_ok(const struct virtq_chain *chain)
{
    uint64_t at = CONTROL_HEADER;
    uint8_t raw[4];

    for (unsigned i = 0; i < 2; i++) {
        if (chain_read(chain, at, raw, sizeof(raw)) < sizeof(raw))
            return false;
        at += sizeof(raw) + (uint64_t)ld_le32(raw) * NET_MAC_SIZE;
    }
    return at <= chain->out_len;
}

static bool net_control_mac(struct virtio_net *net, const struct virtq_chain *chain,
                            uint8_t command)
{
    uint8_t mac[NET_MAC_SIZE];

    if (command == MAC_TABLE_SET)
        return net_mac_tables_ok(chain);
    if (command != MAC_ADDR_SET || !virtio_has(&net->v, F_CTRL_MAC_ADDR) ||
        chain_read(chain, CONTROL_HEADER, mac, sizeof(mac)) < sizeof(mac))
        return false;
    memcpy(net->mac, mac, sizeof(mac));
    net_fill_config(net);
    return true;
}

static bool net_control_mq(struct virtio_net *net, const struct virtq_chain *chain, uint8_t command)
{
    uint8_t raw[2];

    if (command != MQ_PAIRS_SET || !virtio_has(&net->v, F_MQ) ||
        chain_read(chain, CONTROL_HEADER, raw, sizeof(raw)) < sizeof(raw) || !ld_le16(raw) ||
        ld_le16(raw) > net->pairs)
        return false;
    net->active = ld_le16(raw);
    return true;
}

static bool net_control(struct virtio_net *net, const struct virtq_chain *chain)
{
    uint8_t header[CONTROL_HEADER];

    if (chain_read(chain, 0, header, sizeof(header)) < sizeof(header))
        return false;
    switch (header[0]) {
    case CONTROL_RX: return net_control_rx(chain, header[1]);
    case CONTROL_MAC: return net_control_mac(net, chain, header[1]);
    case CONTROL_MQ: return net_control_mq(net, chain, header[1]);
    default: return false;
    }
}

static void net_control_handle(struct virtio_net *net, struct virtq *q)
{
    struct virtq_chain *chain = &net->chain;

    while (virtq_pop(q, chain)) {
        uint8_t ack;

        if (!chain->in_len) {
            virtio_broken(&net->v, "control command without room for an answer");
            return;
        }
        ack = net_control(net, chain) ? CONTROL_OK : CONTROL_ERR;
        virtq_push(q, chain, (uint32_t)chain_write(q, chain, 0, &ack, 1));
    }
}

/* --- The device --- */
static void net_handle(struct virtio_device *v, struct virtq *q)
{
    struct virtio_net *net = net_of(v);

    if (q->index == net_control_queue(net))
        net_control_handle(net, q);
    else if (q->index % 2)
        net_transmit(net, q);
    else
        net_ask_backend(net);
}

/* Also behind a load: the back end is another one then. */
static void net_started(struct virtio_device *v)
{
    const uint64_t takes = BIT(NET_F_GUEST_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) |
                           BIT(NET_F_GUEST_ECN);
    struct netdev *backend = net_of(v)->backend;

    if (backend && backend->ops->driver_takes)
        backend->ops->driver_takes(backend, (uint32_t)(v->driver_features & takes));
}

static void net_reset(struct virtio_device *v, struct virtq *q)
{
    struct virtio_net *net = net_of(v);

    if (q)
        return;
    net->active = 1;
    memcpy(net->mac, net->own_mac, sizeof(net->mac));
    net_fill_config(net);
}

/* A back end that waits for buffers learns that these, or a driver, are gone. */
static void net_after_reset(struct device *dev)
{
    virtio_reset(dev);
    net_ask_backend(container_of(dev, struct virtio_net, v.dev));
}

static void net_settle(struct device *dev)
{
    struct virtio_net *net = container_of(dev, struct virtio_net, v.dev);

    if (!net->active || net->active > net->pairs) /* loaded nonsense */
        net->active = 1;
    net_fill_config(net);
    virtio_settle(dev);
    if (virtio_running(&net->v))
        net_started(&net->v);
}

static const struct virtio_class net_class = {
    .id = VIRTIO_ID_NET,
    .pci_class = 0x020000, /* Ethernet controller */
    .doorbells = true,
    .handle = net_handle,
    .started = net_started,
    .reset = net_reset,
};

const struct device_ops virtio_net_ops = {
    .type = "virtio-net",
    .instance_size = sizeof(struct virtio_net),
    .mmio = VIRTIO_MMIO,
    .init = virtio_init,
    .done = virtio_done,
    .reset = net_after_reset,
    .settle = net_settle,
    .read = virtio_read,
    .write = virtio_write,
    .irq = virtio_irq,
    .quiesce = virtio_quiesce,
    .state_version = 2,
    .state = net_state,
};

static uint64_t net_features(const struct netdev *backend, unsigned pairs)
{
    const uint64_t passed = BIT(NET_F_CSUM) | BIT(NET_F_GUEST_TSO4) | BIT(NET_F_GUEST_TSO6) |
                            BIT(NET_F_GUEST_ECN) | BIT(NET_F_HOST_TSO4) | BIT(NET_F_HOST_TSO6) |
                            BIT(NET_F_HOST_ECN);
    uint64_t features = BIT(F_MAC) | BIT(F_STATUS) | BIT(F_MRG_RXBUF) | BIT(NET_F_GUEST_CSUM) |
                        BIT(F_CTRL_VQ) | BIT(F_CTRL_RX) | BIT(F_CTRL_MAC_ADDR);

    if (pairs > 1)
        features |= BIT(F_MQ);
    if (!backend)
        return features;
    if (backend->mtu)
        features |= BIT(F_MTU);
    return features | (backend->offloads & passed);
}

struct virtio_device *virtio_net_new(const char *name, struct netdev *backend,
                                     const uint8_t mac[NET_MAC_SIZE], unsigned pairs)
{
    struct device *dev = device_new(&virtio_net_ops, name);
    struct virtio_net *net;

    if (!dev)
        return NULL;
    net = container_of(dev, struct virtio_net, v.dev);
    net->backend = backend;
    net->pairs = pairs;
    net->active = 1;
    net->link = backend != NULL;
    memcpy(net->own_mac, mac, NET_MAC_SIZE);
    memcpy(net->mac, mac, NET_MAC_SIZE);
    virtio_setup(&net->v, &net_class, net_features(backend, pairs), 2 * pairs + 1,
                 VIRTIO_NET_QUEUE_SIZE, CONFIG_SIZE);
    net_fill_config(net);
    if (backend)
        backend->front = (struct netdev_front){
            .receive = net_receive, .writable = net_writable, .link = net_link, .arg = net};
    return &net->v;
}
