/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A UART ("ns16550a"), registers one byte apart.
 * Spec: National Semiconductor PC16550D data sheet, sections 8.0 to 8.7.
 *
 * A byte leaves as soon as the back end takes it: there is no bit time on the way out. When the
 * back end is full, bytes wait in the transmit FIFO and THRE stays low, which is the back-pressure
 * the guest sees. Towards the guest the FIFO takes what fits and the back end keeps the rest, so an
 * overrun exists in loopback only. The receive timeout is four character times of guest time, at
 * the programmed divisor.
 *
 * The modem inputs are always up (CTS, DSR, DCD): somebody may attach at any time. Not modelled:
 * parity, framing errors and break, DMA modes, MCR's OUT2 gating the interrupt (PC wiring).
 */
#include "devices/uart/ns16550.h"
#include <string.h>

enum { FIFO_SIZE = 16, NS_PER_SECOND = 1000000000 };
enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { IER_RDI = 1, IER_THRI = 2, IER_RLSI = 4, IER_MSI = 8, IER_BITS = 15 };
enum {
    IIR_MSI = 0x00,
    IIR_NONE = 0x01,
    IIR_THRI = 0x02,
    IIR_RDI = 0x04,
    IIR_RLSI = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFO = 0xc0,
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_TRIGGER = 0xc0 };
enum { LCR_STOP = 4, LCR_PARITY = 8, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10, MCR_BITS = 0x1f };
enum { LSR_DR = 1, LSR_OE = 2, LSR_THRE = 0x20, LSR_TEMT = 0x40 };
enum { MSR_TERI = 4, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80 };

struct uart_fifo {
    uint8_t *byte; /* FIFO_SIZE of them */
    uint8_t *head, *count;
};

struct ns16550 {
    struct device dev;   /* must be first */
    struct irq_line irq; /* irq and timer are outputs */
    struct timer timer;
    struct chardev *chardev;
    /* Agreements with the back end, void with a new one; not state. */
    bool refused; /* it holds bytes for us and waits to be told of room */
    bool blocked; /* it holds no more bytes of ours and will call writable() */
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t msr;     /* modem inputs and their deltas */
    uint8_t overrun; /* LSR_OE or 0 */
    uint16_t divisor;
    bool thr_emptied; /* the THRE interrupt's cause: set on the edge, cleared by IIR and THR */
    uint8_t rx[FIFO_SIZE], rx_head, rx_count;
    uint8_t tx[FIFO_SIZE], tx_head, tx_count;
    uint64_t rx_touched_ns; /* last time a byte came or was read */
};

static const struct state_field uart_state[] = {
    STATE_U8_MAX(struct ns16550, ier, IER_BITS),
    STATE_U8(struct ns16550, fcr),
    STATE_U8(struct ns16550, lcr),
    STATE_U8_MAX(struct ns16550, mcr, MCR_BITS),
    STATE_U8(struct ns16550, scr),
    STATE_U8(struct ns16550, msr),
    STATE_U8_MAX(struct ns16550, overrun, LSR_OE),
    STATE_U16(struct ns16550, divisor),
    STATE_BOOL(struct ns16550, thr_emptied),
    STATE_BYTES(struct ns16550, rx, FIFO_SIZE),
    STATE_U8_MAX(struct ns16550, rx_head, FIFO_SIZE - 1),
    STATE_U8_MAX(struct ns16550, rx_count, FIFO_SIZE),
    STATE_BYTES(struct ns16550, tx, FIFO_SIZE),
    STATE_U8_MAX(struct ns16550, tx_head, FIFO_SIZE - 1),
    STATE_U8_MAX(struct ns16550, tx_count, FIFO_SIZE),
    STATE_U64(struct ns16550, rx_touched_ns),
    STATE_END,
};

/* --- FIFOs: a view on the fields of one direction --- */
static struct uart_fifo uart_rx(struct ns16550 *s)
{
    return (struct uart_fifo){s->rx, &s->rx_head, &s->rx_count};
}

static struct uart_fifo uart_tx(struct ns16550 *s)
{
    return (struct uart_fifo){s->tx, &s->tx_head, &s->tx_count};
}

static unsigned uart_depth(const struct ns16550 *s)
{
    return s->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static void fifo_put(struct uart_fifo f, uint8_t byte)
{
    f.byte[(*f.head + *f.count) % FIFO_SIZE] = byte;
    (*f.count)++;
}

static void fifo_drop(struct uart_fifo f, unsigned n)
{
    *f.head = (uint8_t)((*f.head + n) % FIFO_SIZE);
    *f.count = (uint8_t)(*f.count - n);
}

/* --- Towards the back end --- */
/* A piece of the ring that is contiguous; how many bytes the other side took. */
static size_t uart_send_piece(struct ns16550 *s)
{
    size_t len = s->tx_count, taken;

    if (len > (size_t)(FIFO_SIZE - s->tx_head))
        len = (size_t)(FIFO_SIZE - s->tx_head);
    if (!s->chardev)
        return len;
    taken = s->chardev->ops->write(s->chardev, s->tx + s->tx_head, len);
    s->blocked = taken < len;
    return taken;
}

static void uart_transmit(struct ns16550 *s)
{
    while (s->tx_count && !s->blocked) {
        fifo_drop(uart_tx(s), (unsigned)uart_send_piece(s));
        s->thr_emptied |= !s->tx_count;
    }
}

/* --- Outputs --- */
static uint64_t uart_char_ns(const struct ns16550 *s)
{
    unsigned bits =
        6u + (s->lcr & 3u) + (s->lcr & LCR_PARITY ? 1u : 0u) + (s->lcr & LCR_STOP ? 2u : 1u);
    uint64_t divisor = s->divisor ? s->divisor : 1;

    return bits * divisor * 16 * NS_PER_SECOND / NS16550_CLOCK_HZ;
}

static unsigned uart_trigger(const struct ns16550 *s)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return s->fcr & FCR_ENABLE ? levels[s->fcr >> 6] : 1;
}

static uint64_t uart_timeout_ns(const struct ns16550 *s) /* guest time of the receive timeout */
{
    return s->rx_touched_ns + 4 * uart_char_ns(s);
}

static unsigned uart_cause(const struct ns16550 *s)
{
    if ((s->ier & IER_RLSI) && s->overrun)
        return IIR_RLSI;
    if ((s->ier & IER_RDI) && s->rx_count >= uart_trigger(s))
        return IIR_RDI;
    if ((s->ier & IER_RDI) && s->rx_count && clock_now_ns(s->dev.clock) >= uart_timeout_ns(s))
        return IIR_TIMEOUT;
    if ((s->ier & IER_THRI) && s->thr_emptied)
        return IIR_THRI;
    if ((s->ier & IER_MSI) && (s->msr & 0xf))
        return IIR_MSI;
    return IIR_NONE;
}

/* Comes back into uart_receive(), so call it last. Half a FIFO at a time: not a call a byte. */
static void uart_tell_room(struct ns16550 *s)
{
    if (!s->refused || !s->chardev || (s->mcr & MCR_LOOP) || s->rx_count > uart_depth(s) / 2)
        return;
    s->refused = false;
    s->chardev->ops->can_receive(s->chardev);
}

static void uart_settle(struct device *dev)
{
    struct ns16550 *s = container_of(dev, struct ns16550, dev);
    uint64_t now = clock_now_ns(dev->clock);

    uart_transmit(s);
    irq_set(&s->irq, uart_cause(s) != IIR_NONE);
    if ((s->ier & IER_RDI) && s->rx_count && now < uart_timeout_ns(s))
        timer_set(&s->timer, uart_timeout_ns(s) - now);
    else
        timer_set(&s->timer, TIMER_OFF);
    uart_tell_room(s);
}

/* --- Towards the guest --- */
static void uart_push(struct ns16550 *s, uint8_t byte)
{
    fifo_put(uart_rx(s), byte);
    s->rx_touched_ns = clock_now_ns(s->dev.clock);
}

static size_t uart_receive(void *arg, const uint8_t *data, size_t len)
{
    struct ns16550 *s = arg;
    size_t taken = 0;

    while (taken < len && s->rx_count < uart_depth(s) && !(s->mcr & MCR_LOOP))
        uart_push(s, data[taken++]);
    s->refused = taken < len;
    uart_settle(&s->dev);
    return taken;
}

static uint8_t uart_pop(struct ns16550 *s)
{
    uint8_t byte = s->rx[s->rx_head];

    if (!s->rx_count)
        return 0;
    fifo_drop(uart_rx(s), 1);
    s->rx_touched_ns = clock_now_ns(s->dev.clock);
    uart_settle(&s->dev);
    return byte;
}

/* --- From the guest --- */
static void uart_writable(void *arg)
{
    struct ns16550 *s = arg;

    s->blocked = false;
    uart_settle(&s->dev);
}

static void uart_loop_back(struct ns16550 *s, uint8_t byte)
{
    if (s->rx_count < uart_depth(s))
        uart_push(s, byte);
    else
        s->overrun = LSR_OE;
    s->thr_emptied = true;
}

static void uart_write_thr(struct ns16550 *s, uint8_t byte)
{
    s->thr_emptied = false;
    if (s->mcr & MCR_LOOP) {
        uart_loop_back(s, byte);
        return;
    }
    if (s->tx_count < uart_depth(s))
        fifo_put(uart_tx(s), byte);
    else
        guest_error(&s->dev, "byte written while the transmitter was full, lost");
}

/* --- Registers --- */
/* The modem inputs: from the outside, or from our own outputs in loopback. */
static uint8_t uart_modem_inputs(const struct ns16550 *s)
{
    unsigned in = 0;

    if (!(s->mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    in |= s->mcr & MCR_RTS ? MSR_CTS : 0;
    in |= s->mcr & MCR_DTR ? MSR_DSR : 0;
    in |= s->mcr & MCR_OUT1 ? MSR_RI : 0;
    in |= s->mcr & MCR_OUT2 ? MSR_DCD : 0;
    return (uint8_t)in;
}

/* Changes show in the low half until read; RI only when it falls. */
static void uart_update_msr(struct ns16550 *s)
{
    uint8_t in = uart_modem_inputs(s);
    unsigned changed = (s->msr ^ in) >> 4, deltas = s->msr & 0xf;

    if (in & MSR_RI)
        changed &= ~(unsigned)MSR_TERI;
    s->msr = (uint8_t)(in | deltas | changed);
}

static void uart_write_fcr(struct ns16550 *s, uint8_t val)
{
    if ((val ^ s->fcr) & FCR_ENABLE)
        val |= FCR_CLEAR_RX | FCR_CLEAR_TX;
    if (val & FCR_CLEAR_RX)
        s->rx_count = 0;
    if ((val & FCR_CLEAR_TX) && s->tx_count) {
        s->tx_count = 0;
        s->thr_emptied = true;
    }
    s->fcr = val & FCR_ENABLE ? val & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static void uart_write_ier(struct ns16550 *s, uint8_t val)
{
    if ((val & ~s->ier & IER_THRI) && !s->tx_count)
        s->thr_emptied = true; /* enabling while empty interrupts at once */
    s->ier = val & IER_BITS;
}

static uint8_t uart_read_iir(struct ns16550 *s)
{
    unsigned cause = uart_cause(s);

    if (cause == IIR_THRI)
        s->thr_emptied = false;
    uart_settle(&s->dev);
    return (uint8_t)(cause | (s->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t uart_read_lsr(struct ns16550 *s)
{
    unsigned lsr = s->overrun;

    lsr |= s->rx_count ? LSR_DR : 0;
    lsr |= s->tx_count ? 0 : LSR_THRE | LSR_TEMT;
    s->overrun = 0;
    uart_settle(&s->dev);
    return (uint8_t)lsr;
}

static uint8_t uart_read_msr(struct ns16550 *s)
{
    uint8_t msr = s->msr;

    s->msr &= 0xf0;
    uart_settle(&s->dev);
    return msr;
}

static uint64_t uart_read(struct device *dev, uint32_t off, unsigned size)
{
    struct ns16550 *s = container_of(dev, struct ns16550, dev);
    bool dlab = s->lcr & LCR_DLAB;

    switch (off) {
    case RBR: return dlab ? s->divisor & 0xff : uart_pop(s);
    case IER: return dlab ? s->divisor >> 8 : s->ier;
    case IIR: return uart_read_iir(s);
    case LCR: return s->lcr;
    case MCR: return s->mcr;
    case LSR: return uart_read_lsr(s);
    case MSR: return uart_read_msr(s);
    default: return s->scr;
    }
}

static void uart_write_divisor(struct ns16550 *s, uint32_t off, uint8_t val)
{
    if (off == 0)
        s->divisor = (uint16_t)((s->divisor & 0xff00) | val);
    else
        s->divisor = (uint16_t)((s->divisor & 0xff) | val << 8);
}

static void uart_write_mcr(struct ns16550 *s, uint8_t val)
{
    s->mcr = val & MCR_BITS;
    uart_update_msr(s);
}

static void uart_write(struct device *dev, uint32_t off, unsigned size, uint64_t val)
{
    struct ns16550 *s = container_of(dev, struct ns16550, dev);
    uint8_t byte = (uint8_t)val;

    if ((s->lcr & LCR_DLAB) && off <= IER) {
        uart_write_divisor(s, off, byte);
        uart_settle(dev);
        return;
    }
    switch (off) {
    case THR: uart_write_thr(s, byte); break;
    case IER: uart_write_ier(s, byte); break;
    case FCR: uart_write_fcr(s, byte); break;
    case LCR: s->lcr = byte; break;
    case MCR: uart_write_mcr(s, byte); break;
    case SCR: s->scr = byte; break;
    default: guest_error_write(dev, off, val); return; /* LSR, MSR: factory test */
    }
    uart_settle(dev);
}

/* --- Life --- */
static void uart_reset(struct device *dev)
{
    struct ns16550 *s = container_of(dev, struct ns16550, dev);

    s->ier = s->fcr = s->lcr = s->mcr = s->scr = s->overrun = 0;
    s->msr = uart_modem_inputs(s);
    s->divisor = 0;
    s->thr_emptied = false;
    memset(s->rx, 0, sizeof(s->rx));
    memset(s->tx, 0, sizeof(s->tx));
    s->rx_head = s->rx_count = s->tx_head = s->tx_count = 0;
    s->rx_touched_ns = 0;
}

static int uart_init(struct device *dev, struct err *err)
{
    timer_init(&container_of(dev, struct ns16550, dev)->timer, dev->clock, dev);
    return 0;
}

static void uart_done(struct device *dev)
{
    timer_done(&container_of(dev, struct ns16550, dev)->timer);
    ns16550_attach(dev, NULL);
}

static struct irq_line *uart_irq(struct device *dev, unsigned n)
{
    return n ? NULL : &container_of(dev, struct ns16550, dev)->irq;
}

void ns16550_attach(struct device *dev, struct chardev *chardev)
{
    struct ns16550 *s = container_of(dev, struct ns16550, dev);

    if (s->chardev)
        s->chardev->front = (struct chardev_front){0};
    s->chardev = chardev;
    s->refused = s->blocked = false;
    if (chardev)
        chardev->front =
            (struct chardev_front){.receive = uart_receive, .writable = uart_writable, .arg = s};
}

const struct device_ops ns16550_ops = {
    .type = "ns16550a",
    .instance_size = sizeof(struct ns16550),
    .mmio = {.size = 8, .access_min = 1, .access_max = 1},
    .init = uart_init,
    .done = uart_done,
    .reset = uart_reset,
    .settle = uart_settle,
    .read = uart_read,
    .write = uart_write,
    .irq = uart_irq,
    .state_version = 1,
    .state = uart_state,
};
