/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Console between a UART, which gives and takes single bytes, and streams. Output is gathered for
 * a millisecond so that a byte does not cost a frame and a write each; input waits in a queue of
 * bounded size for the guest to read.
 */
#include "vm/console.h"

#include "base/buf.h"
#include "base/text.h"
#include "host/loop.h"
#include <errno.h>
#include <posada/agent.h>
#include <stdlib.h>

enum { GATHER_NS = 1000000, GATHER_MAX = 32768 };

struct console {
    struct console_port {
        struct chardev chardev;
        struct console *console;
        bool blocked; /* the guest waits for writable() */
    } uart, hvc;
    struct console_port *active; /* printed last; gets what is typed */
    struct stream stream;
    struct loop_timer *timer;
    struct buf gathered, input;
    void (*on_line)(void *arg, const char *line);
    void *on_line_arg;
    char line[CONSOLE_LINE_MAX + 1];
    size_t line_len;
    bool armed; /* the timer will flush */
    bool pushing;
};

static void console_unblock_port(struct console_port *port)
{
    const struct chardev_front *front = &port->chardev.front;

    if (!port->blocked || stream_congested(&port->console->stream))
        return;
    port->blocked = false;
    if (front->writable)
        front->writable(front->arg);
}

static void console_unblock(struct console *c)
{
    console_unblock_port(&c->uart);
    console_unblock_port(&c->hvc);
}

static void console_lines(struct console *c, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            if (c->line_len < CONSOLE_LINE_MAX)
                c->line[c->line_len++] = (char)data[i];
            continue;
        }
        text_make_printable(c->line, c->line_len);
        c->line[c->line_len] = '\0';
        if (c->line_len)
            c->on_line(c->on_line_arg, c->line);
        c->line_len = 0;
    }
}

void console_on_line(struct console *c, void (*fn)(void *arg, const char *line), void *arg)
{
    c->on_line = fn;
    c->on_line_arg = arg;
}

void console_flush(struct console *c)
{
    struct buf out = c->gathered;

    c->gathered = (struct buf){0}; /* a client's end may let the guest write again */
    c->armed = false;
    if (out.len)
        stream_output(&c->stream, AGENT_STDOUT, buf_data(&out), out.len);
    if (out.len && c->on_line)
        console_lines(c, buf_data(&out), out.len);
    buf_done(&out);
    if (c->stream.log)
        guest_log_flush(c->stream.log);
    console_unblock(c);
}

static void console_tick(void *arg)
{
    console_flush(arg);
}

static void console_arm(struct console *c)
{
    if (c->armed)
        return;
    c->armed = true;
    loop_timer_set(c->timer, GATHER_NS);
}

static size_t console_write(struct chardev *dev, const uint8_t *data, size_t len)
{
    struct console_port *port = container_of(dev, struct console_port, chardev);
    struct console *c = port->console;
    size_t room = GATHER_MAX - c->gathered.len;

    if (stream_congested(&c->stream))
        room = 0;
    if (len > room) {
        len = room;
        port->blocked = true;
    }
    if (len)
        c->active = port;
    if (buf_append(&c->gathered, data, len) < 0)
        len = 0;
    console_arm(c);
    return len;
}

static void console_push(struct console *c)
{
    const struct chardev_front *front = &c->active->chardev.front;
    size_t taken = 0;

    if (c->pushing || !front->receive)
        return;
    c->pushing = true;
    while (c->input.len) {
        size_t n = front->receive(front->arg, buf_data(&c->input), c->input.len);

        if (!n)
            break;
        buf_consume(&c->input, n);
        taken += n;
    }
    c->pushing = false;
    if (taken)
        stream_input_room(&c->stream, taken);
}

static void console_can_receive(struct chardev *dev)
{
    struct console_port *port = container_of(dev, struct console_port, chardev);

    if (port == port->console->active)
        console_push(port->console);
}

static const struct chardev_ops console_chardev_ops = {
    .write = console_write,
    .can_receive = console_can_receive,
};

static int console_input(void *arg, const uint8_t *data, size_t len)
{
    struct console *c = arg;

    if (c->input.len + len > AGENT_WINDOW)
        return -ENOBUFS;
    if (buf_append(&c->input, data, len) < 0)
        return -ENOMEM;
    console_push(c);
    return 0;
}

static void console_resize(void *arg, unsigned rows, unsigned columns)
{
    struct console *c = arg;
    const struct console_port *const ports[] = {&c->uart, &c->hvc};

    for (unsigned i = 0; i < ARRAY_LEN(ports); i++) {
        const struct chardev_front *front = &ports[i]->chardev.front;

        if (front->resized)
            front->resized(front->arg, columns, rows);
    }
}

static void console_relieved(void *arg)
{
    console_unblock(arg);
}

static void console_left(void *arg, const struct conn *conn)
{
    struct console *c = arg;

    if (c->uart.blocked || c->hvc.blocked)
        console_arm(c);
}

static const struct stream_ops console_stream_ops = {
    .input = console_input,
    .resize = console_resize,
    .relieved = console_relieved,
    .left = console_left,
};

int console_new(struct loop *loop, struct guest_log *log, struct console **ret, struct err *err)
{
    struct console *c = calloc(1, sizeof(*c));

    if (c)
        c->timer = loop_timer_new(loop, console_tick, c);
    if (!c || !c->timer) {
        free(c);
        return err_set(err, -ENOMEM, "cannot set up the console: out of memory");
    }
    c->uart = c->hvc = (struct console_port){.chardev.ops = &console_chardev_ops, .console = c};
    c->active = &c->uart;
    stream_init(&c->stream, &console_stream_ops, c, log);
    *ret = c;
    return 0;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    loop_timer_free(c->timer);
    buf_done(&c->gathered);
    buf_done(&c->input);
    free(c);
}

struct chardev *console_chardev(struct console *c)
{
    return &c->uart.chardev;
}

struct chardev *console_hvc(struct console *c)
{
    return &c->hvc.chardev;
}

bool console_is_in_line(const struct console *c)
{
    return c->line_len > 0;
}

struct stream *console_stream(struct console *c)
{
    return &c->stream;
}
