/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console device with several ports (virtio 1.2, 5.3): queues 0/1 are port 0, 2/3 control, then
 * two for each further port.
 * Nothing is buffered here: output that the back end does not take stays in its chain (which goes
 * back to the ring, with the number of bytes already written), input is copied only into buffers
 * the guest has offered, and control messages are bits that say what must still be told.
 * Not modelled: port removal, more than one console port.
 */
#include "console.h"

#include "base/bits.h"
#include "base/endian.h"
#include "devices/core/device.h"

#include <posada/chardev.h>
#include <stdio.h>

enum { F_SIZE = 0, F_MULTIPORT = 1, F_EMERG_WRITE = 2 };
enum { CONFIG_COLS = 0, CONFIG_ROWS = 2, CONFIG_PORTS = 4, CONFIG_EMERG = 8, CONFIG_SIZE = 12 };
enum { QUEUE_SIZE = 64, QUEUE_CONTROL_IN = 2, QUEUE_CONTROL_OUT = 3, CONTROL_SIZE = 8 };

enum control_event {
    DEVICE_READY = 0,
    DEVICE_ADD = 1,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    RESIZE = 5,
    PORT_OPEN = 6,
    PORT_NAME = 7,
};

/* What a port must still tell the guest, sent lowest bit first. */
enum {
    TELL_ADD = 1,
    TELL_CONSOLE = 2,
    TELL_NAME = 4,
    TELL_SIZE = 8,
    TELL_OPEN = 16,
    TELL_ALL = 31
};

struct console_port {
    struct virtio_console *console;
    struct chardev *chardev;
    char name[VIRTIO_CONSOLE_NAME_MAX];
    bool peer; /* somebody is at the other end: the host's, told again after a load */
    bool writing;
    bool told_open; /* guest_open as the back end knows it: derived */
    uint16_t columns, rows;

    bool guest_open;
    uint8_t tell;
    uint32_t written; /* bytes of the next output chain the back end already has */
};

struct virtio_console {
    struct virtio_device v; /* must be first */
    unsigned count;
    struct console_port port[VIRTIO_CONSOLE_PORTS];
};

#define PORT_STATE(i)                                                                              \
    STATE_BOOL(struct virtio_console, port[i].guest_open),                                         \
        STATE_U8_MAX(struct virtio_console, port[i].tell, TELL_ALL),                               \
        STATE_U32(struct virtio_console, port[i].written)

static const struct state_field console_state[] = {
    VIRTIO_STATE(struct virtio_console),
    PORT_STATE(0),
    PORT_STATE(1),
    STATE_END,
};

static struct virtio_console *console_of(struct virtio_device *v)
{
    return container_of(v, struct virtio_console, v);
}

static unsigned port_index(const struct console_port *port)
{
    return (unsigned)(port - port->console->port);
}

static unsigned port_queue_in(const struct console_port *port)
{
    unsigned i = port_index(port);

    return i ? 2 + 2 * i : 0;
}

/* The port that owns a data queue; NULL for control queues. */
static struct console_port *queue_port(struct virtio_console *c, unsigned queue)
{
    if (queue < QUEUE_CONTROL_IN)
        return &c->port[0];
    if (queue <= QUEUE_CONTROL_OUT)
        return NULL;
    return &c->port[queue / 2 - 1];
}

/* --- Output: guest to back end --- */
/* False: the back end takes no more for now. */
static bool port_write(struct console_port *port, const struct virtq_chain *chain)
{
    uint8_t piece[4096];
    size_t n;

    while ((n = chain_read(chain, port->written, piece, sizeof(piece))) > 0) {
        size_t taken = port->chardev ? port->chardev->ops->write(port->chardev, piece, n) : n;

        port->written += (uint32_t)taken;
        if (taken < n)
            return false;
    }
    port->written = 0;
    return true;
}

static void port_output(struct console_port *port, struct virtq *q)
{
    struct virtq_chain chain;

    if (port->writing) /* the back end called writable() from inside write() */
        return;
    port->writing = true;
    while (virtq_pop(q, &chain)) {
        if (!port_write(port, &chain)) {
            virtq_unpop(q, &chain);
            break;
        }
        virtq_push(q, &chain, 0);
    }
    port->writing = false;
}

static void port_writable(void *arg)
{
    struct console_port *port = arg;

    virtio_kick(&port->console->v, port_queue_in(port) + 1);
}

/* --- Input: back end to guest --- */
static size_t port_receive(void *arg, const uint8_t *data, size_t len)
{
    struct console_port *port = arg;
    struct virtq *q = &port->console->v.queue[port_queue_in(port)];
    struct virtq_chain chain;
    size_t done = 0;

    if (!port->guest_open)
        return 0;
    q->budget = VIRTQ_BUDGET;
    while (done < len && virtq_pop(q, &chain)) {
        size_t n = chain_write(q, &chain, 0, data + done, len - done);

        virtq_push(q, &chain, (uint32_t)n);
        done += n;
    }
    virtq_notify(q);
    return done;
}

static void port_can_receive(struct console_port *port)
{
    if (port->chardev && port->guest_open && port->chardev->ops->can_receive)
        port->chardev->ops->can_receive(port->chardev);
}

/* Tells the back end what it does not know yet. */
static void port_settle(struct console_port *port)
{
    if (port->told_open == port->guest_open)
        return;
    port->told_open = port->guest_open;
    if (port->chardev && port->chardev->ops->guest_open)
        port->chardev->ops->guest_open(port->chardev, port->guest_open);
    port_can_receive(port);
}

static void port_set_open(struct console_port *port, bool open)
{
    port->guest_open = open;
    port_settle(port);
}

/* --- Control messages --- */
static size_t control_message(const struct console_port *port, unsigned tell, uint8_t *msg)
{
    size_t len = CONTROL_SIZE;
    uint16_t event = 0, value = 1;

    switch (tell) {
    case TELL_ADD: event = DEVICE_ADD; break;
    case TELL_CONSOLE: event = CONSOLE_PORT; break;
    case TELL_NAME:
        event = PORT_NAME;
        memcpy(msg + len, port->name, strlen(port->name));
        len += strlen(port->name);
        break;
    case TELL_SIZE:
        event = RESIZE;
        st_le16(msg + len, port->columns);
        st_le16(msg + len + 2, port->rows);
        len += 4;
        break;
    default:
        event = PORT_OPEN;
        value = port->peer;
        break;
    }
    st_le32(msg, port_index(port));
    st_le16(msg + 4, event);
    st_le16(msg + 6, value);
    return len;
}

/* Sends what ports have to tell while the guest offers buffers. */
static void control_send(struct virtio_console *c)
{
    struct virtq *q = &c->v.queue[QUEUE_CONTROL_IN];
    uint8_t msg[CONTROL_SIZE + VIRTIO_CONSOLE_NAME_MAX];
    struct virtq_chain chain;

    q->budget = VIRTQ_BUDGET;
    for (unsigned i = 0; i < c->count; i++) {
        struct console_port *port = &c->port[i];

        while (port->tell && virtq_pop(q, &chain)) {
            unsigned tell = port->tell & -port->tell;
            size_t len = control_message(port, tell, msg);

            virtq_push(q, &chain, (uint32_t)chain_write(q, &chain, 0, msg, len));
            port->tell &= (uint8_t)~tell;
        }
    }
    virtq_notify(q);
}

static void port_tell(struct console_port *port, unsigned what)
{
    struct virtio_console *c = port->console;

    if (!virtio_running(&c->v) || !virtio_has(&c->v, F_MULTIPORT))
        return;
    port->tell |= (uint8_t)what;
    control_send(c);
}

static void control_received(struct virtio_console *c, const uint8_t *msg)
{
    uint32_t id = ld_le32(msg);
    uint16_t event = ld_le16(msg + 4), value = ld_le16(msg + 6);

    if (event == DEVICE_READY) {
        for (unsigned i = 0; i < c->count && value; i++)
            c->port[i].tell = TELL_ADD;
        return;
    }
    if (id >= c->count) {
        guest_error(&c->v.dev, "control message %u for port %u, which does not exist", event, id);
        return;
    }
    struct console_port *port = &c->port[id];

    switch (event) {
    case PORT_READY:
        if (value)
            port->tell |= id ? TELL_NAME : TELL_CONSOLE | (port->columns ? TELL_SIZE : 0);
        if (value && port->peer)
            port->tell |= TELL_OPEN;
        break;
    case PORT_OPEN: port_set_open(port, value); break;
    default: guest_error(&c->v.dev, "unknown control message %u", event); break;
    }
}

static void control_handle(struct virtio_console *c, struct virtq *q)
{
    struct virtq_chain chain;
    uint8_t msg[CONTROL_SIZE];

    while (virtq_pop(q, &chain)) {
        if (chain_read(&chain, 0, msg, sizeof(msg)) == sizeof(msg))
            control_received(c, msg);
        else
            guest_error(&c->v.dev, "short control message");
        virtq_push(q, &chain, 0);
    }
    control_send(c);
}

/* --- The device --- */
static void console_handle(struct virtio_device *v, struct virtq *q)
{
    struct virtio_console *c = console_of(v);
    struct console_port *port = queue_port(c, q->index);

    if (!port && q->index == QUEUE_CONTROL_OUT)
        control_handle(c, q);
    else if (!port)
        control_send(c);
    else if (q->index % 2)
        port_output(port, q);
    else
        port_can_receive(port);
}

static void console_started(struct virtio_device *v)
{
    struct virtio_console *c = console_of(v);

    /* Buffers for input: a driver that offers 64 of them need not say so 64 times. */
    for (unsigned i = 0; i < c->count; i++)
        virtq_hush(&v->queue[port_queue_in(&c->port[i])]);
    virtq_hush(&v->queue[QUEUE_CONTROL_IN]);
    if (!virtio_has(v, F_MULTIPORT)) /* there is only port 0, and it is open */
        port_set_open(&c->port[0], true);
}

static void console_reset(struct virtio_device *v, struct virtq *q)
{
    struct virtio_console *c = console_of(v);

    for (unsigned i = 0; i < c->count; i++) {
        struct console_port *port = &c->port[i];

        if (q && q->index != port_queue_in(port) + 1)
            continue;
        port->written = 0;
        if (q)
            continue;
        port->tell = 0;
        port_set_open(port, false);
    }
}

static void console_settle(struct device *dev)
{
    struct virtio_console *c = container_of(dev, struct virtio_console, v.dev);

    virtio_settle(dev);
    for (unsigned i = 0; i < c->count; i++)
        port_settle(&c->port[i]);
}

/* Emergency write: a character before (or instead of) any queue. */
static void console_config_write(struct virtio_device *v, unsigned off, unsigned size, uint32_t val)
{
    struct console_port *port = &console_of(v)->port[0];
    uint8_t byte = (uint8_t)val;

    if (off != CONFIG_EMERG)
        guest_error_write(&v->dev, VIRTIO_REG_CONFIG + off, val);
    else if (port->chardev)
        (void)port->chardev->ops->write(port->chardev, &byte, 1); /* lost when full */
}

static void port_peer(void *arg, bool present)
{
    struct console_port *port = arg;

    if (port->peer == present)
        return;
    port->peer = present;
    port_tell(port, TELL_OPEN);
}

static void port_resized(void *arg, unsigned columns, unsigned rows)
{
    struct console_port *port = arg;
    struct virtio_device *v = &port->console->v;

    port->columns = columns > UINT16_MAX ? UINT16_MAX : (uint16_t)columns;
    port->rows = rows > UINT16_MAX ? UINT16_MAX : (uint16_t)rows;
    if (port_index(port) != 0)
        return;
    st_le16(v->config + CONFIG_COLS, port->columns);
    st_le16(v->config + CONFIG_ROWS, port->rows);
    virtio_config_changed(v);
    port_tell(port, TELL_SIZE);
}

static const struct virtio_class console_class = {
    .id = VIRTIO_ID_CONSOLE,
    .pci_class = 0x078000, /* communication controller, other */
    .handle = console_handle,
    .started = console_started,
    .reset = console_reset,
    .config_write = console_config_write,
};

const struct device_ops virtio_console_ops = {
    .type = "virtio-console",
    .instance_size = sizeof(struct virtio_console),
    .mmio = VIRTIO_MMIO,
    .init = virtio_init,
    .done = virtio_done,
    .reset = virtio_reset,
    .settle = console_settle,
    .read = virtio_read,
    .write = virtio_write,
    .irq = virtio_irq,
    .quiesce = virtio_quiesce,
    .state_version = 1,
    .state = console_state,
};

static void port_setup(struct console_port *port, const struct virtio_console_port_config *config)
{
    port->chardev = config->chardev;
    port->peer = config->chardev != NULL;
    (void)snprintf(port->name, sizeof(port->name), "%s", config->name ? config->name : "");
    if (!port->chardev)
        return;
    port->chardev->front = (struct chardev_front){
        .receive = port_receive,
        .writable = port_writable,
        .peer = port_peer,
        .resized = port_resized,
        .arg = port,
    };
}

struct virtio_device *
virtio_console_new(const char *name, const struct virtio_console_port_config *ports, unsigned count)
{
    struct device *dev = device_new(&virtio_console_ops, name);
    struct virtio_console *c;

    if (!dev)
        return NULL;
    c = container_of(dev, struct virtio_console, v.dev);
    virtio_setup(&c->v, &console_class, BIT(F_SIZE) | BIT(F_MULTIPORT) | BIT(F_EMERG_WRITE),
                 2 + 2 * count, QUEUE_SIZE, CONFIG_SIZE);
    c->count = count;
    for (unsigned i = 0; i < count; i++) {
        c->port[i].console = c;
        port_setup(&c->port[i], &ports[i]);
    }
    st_le32(c->v.config + CONFIG_PORTS, count);
    return &c->v;
}
