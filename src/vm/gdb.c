/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GDB stub: connection, packet framing, stopping and resuming. Spec: GDB manual, appendix E,
 * "GDB Remote Serial Protocol" (all-stop mode). Contract: gdb.h; commands: gdb_command.c.
 *
 * The peer is hostile: packets are bounded, one that is too long ends the connection, and so does
 * a peer that does not read its answers. Memory and registers are touched only while the vCPUs are
 * parked. Not modelled: non-stop mode, watchpoints, run-length encoding.
 */
#include "vm/gdb.h"
#include "host/loop.h"
#include "vm/gdb_internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <posada/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    GDB_INTERRUPT = 0x03,
    GDB_BACKLOG = 16, /* debuggers that wait to be turned away; beyond, connecting takes seconds */
};

/* --- Sending --- */
static void gdb_flush(struct gdb *gdb)
{
    while (gdb->out_len) {
        ssize_t n = send(gdb->fd, gdb->out, gdb->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            gdb->closing = true;
        if (n <= 0)
            break;
        gdb->out_len -= (size_t)n;
        memmove(gdb->out, gdb->out + n, gdb->out_len);
    }
    if (loop_change(gdb->loop, gdb->fd, gdb->out_len ? EPOLLIN | EPOLLOUT : EPOLLIN))
        gdb->closing = true;
}

static void gdb_put(struct gdb *gdb, const char *data, size_t len)
{
    if (len > sizeof(gdb->out) - gdb->out_len) {
        gdb->closing = true; /* it does not read what it asked for */
        return;
    }
    memcpy(gdb->out + gdb->out_len, data, len);
    gdb->out_len += len;
}

void gdb_send(struct gdb *gdb, const char *text)
{
    size_t len = strlen(text);
    uint8_t sum = 0;
    char end[4];

    if (gdb->fd < 0)
        return;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + (uint8_t)text[i]);
    snprintf(end, sizeof(end), "#%02x", sum);
    gdb_put(gdb, "$", 1);
    gdb_put(gdb, text, len);
    gdb_put(gdb, end, 3);
    gdb_flush(gdb);
}

void gdb_send_stop(struct gdb *gdb, unsigned signal)
{
    char text[40];

    snprintf(text, sizeof(text), "T%02xthread:%02x;", signal, gdb->stop_vcpu + 1);
    gdb_send(gdb, text);
}

/* --- Stopping and going --- */
static void gdb_apply(struct gdb *gdb, unsigned index, enum gdb_action action)
{
    struct engine *engine = machine_engine(gdb->machine);

    gdb->debug[index] = (struct engine_debug){.single_step = action == GDB_STEP,
                                              .breakpoints = gdb->breakpoint,
                                              .breakpoint_count = gdb->breakpoint_count};
    engine->ops->debug(engine, index, &gdb->debug[index]);
    vcpus_hold(machine_vcpus(gdb->machine), index, action == GDB_STAY);
}

void gdb_resume(struct gdb *gdb, const enum gdb_action *action)
{
    for (unsigned i = 0; i < gdb->vcpus; i++)
        gdb_apply(gdb, i, action[i]);
    gdb->running = true;
    machine_resume_from(gdb->machine, VCPU_PAUSE_DEBUG);
}

static void gdb_stop(struct gdb *gdb, unsigned signal)
{
    machine_pause_for(gdb->machine, VCPU_PAUSE_DEBUG);
    gdb->thread = gdb->stop_vcpu;
    if (gdb->running)
        gdb_send_stop(gdb, signal);
    gdb->running = false;
}

static void gdb_report_stop(void *arg)
{
    struct gdb *gdb = (struct gdb *)arg;

    gdb->stop_posted = false;
    gdb_stop(gdb, GDB_SIGNAL_TRAP);
    if (gdb->fd < 0) /* it left meanwhile */
        gdb_detach(gdb);
}

void gdb_stopped(struct gdb *gdb, unsigned index)
{
    if (gdb->stop_posted)
        return; /* several at once: the first is told, the others hit again */
    gdb->stop_posted = !loop_post(gdb->loop, gdb_report_stop, gdb);
    gdb->stop_vcpu = index;
}

void gdb_detach(struct gdb *gdb)
{
    enum gdb_action action[VM_CPUS_MAX];

    machine_pause_for(gdb->machine, VCPU_PAUSE_DEBUG); /* their debug state is about to change */
    gdb->breakpoint_count = 0;
    for (unsigned i = 0; i < gdb->vcpus; i++)
        action[i] = GDB_CONTINUE;
    gdb_resume(gdb, action);
}

void gdb_exited(struct gdb *gdb, unsigned code)
{
    char text[8];

    snprintf(text, sizeof(text), "W%02x", code & 0xff);
    if (gdb->running)
        gdb_send(gdb, text);
    gdb->running = false;
}

/* --- Receiving --- */
static int gdb_hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool gdb_sum_ok(const struct gdb *gdb)
{
    int high = gdb_hex(gdb->in_sum[0]), low = gdb_hex(gdb->in_sum[1]);
    uint8_t sum = 0;

    for (size_t i = 0; i < gdb->in_len; i++)
        sum = (uint8_t)(sum + (uint8_t)gdb->in[i]);
    return high >= 0 && low >= 0 && (high << 4 | low) == sum;
}

static void gdb_packet(struct gdb *gdb)
{
    bool good = gdb->no_ack || gdb_sum_ok(gdb);

    if (!gdb->no_ack) {
        gdb_put(gdb, good ? "+" : "-", 1);
        gdb_flush(gdb);
    }
    gdb->in[gdb->in_len] = 0;
    if (good)
        gdb_command(gdb, gdb->in, gdb->in_len);
}

static void gdb_idle_byte(struct gdb *gdb, uint8_t byte)
{
    if (byte == '$') {
        gdb->in_len = 0;
        gdb->in_state = GDB_BODY;
    } else if (byte == GDB_INTERRUPT && gdb->running) {
        gdb->stop_vcpu = 0;
        gdb_stop(gdb, GDB_SIGNAL_INT);
    } /* '+' and '-': TCP loses nothing, so there is nothing to repeat */
}

static void gdb_byte(struct gdb *gdb, uint8_t byte)
{
    switch (gdb->in_state) {
    case GDB_IDLE: gdb_idle_byte(gdb, byte); break;
    case GDB_BODY:
        if (byte == '#')
            gdb->in_state = GDB_SUM1;
        else if (gdb->in_len == GDB_PACKET_MAX)
            gdb->closing = true;
        else
            gdb->in[gdb->in_len++] = (char)byte;
        break;
    case GDB_SUM1:
        gdb->in_sum[0] = byte;
        gdb->in_state = GDB_SUM2;
        break;
    case GDB_SUM2:
        gdb->in_sum[1] = byte;
        gdb->in_state = GDB_IDLE;
        gdb_packet(gdb);
        break;
    }
}

/* --- Connections --- */
static void gdb_close(struct gdb *gdb)
{
    loop_unwatch(gdb->loop, gdb->fd);
    close(gdb->fd);
    gdb->fd = -1;
    gdb_detach(gdb);
}

static void gdb_event(void *arg, int fd, unsigned events)
{
    struct gdb *gdb = (struct gdb *)arg;
    uint8_t buf[4096];
    ssize_t n;

    if (events & EPOLLOUT)
        gdb_flush(gdb);
    n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
    if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
        gdb->closing = true;
    for (ssize_t i = 0; i < n && !gdb->closing; i++)
        gdb_byte(gdb, buf[i]);
    if (gdb->closing)
        gdb_close(gdb);
}

static void gdb_accept(void *arg, int listen_fd, unsigned events)
{
    struct gdb *gdb = (struct gdb *)arg;
    int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), one = 1;

    if (fd < 0)
        return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (gdb->fd >= 0 || loop_watch(gdb->loop, fd, EPOLLIN, gdb_event, gdb)) {
        close(fd); /* one debugger at a time */
        return;
    }
    gdb->fd = fd;
    gdb->in_state = GDB_IDLE;
    gdb->out_len = 0;
    gdb->no_ack = gdb->closing = gdb->running = false;
    gdb->stop_vcpu = 0;
    gdb_stop(gdb, GDB_SIGNAL_TRAP);
}

static int gdb_listen(unsigned port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, r;

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (!bind(fd, (const struct sockaddr *)&at, sizeof(at)) && !listen(fd, GDB_BACKLOG))
        return fd;
    r = -errno;
    close(fd);
    return r;
}

int gdb_new(struct machine *machine, struct loop *loop, unsigned port, struct gdb **ret_gdb,
            struct err *err)
{
    struct gdb *gdb = calloc(1, sizeof(*gdb));
    int r;

    if (!gdb)
        return err_set(err, -ENOMEM, "no memory for the debugger's stub");
    *gdb = (struct gdb){.machine = machine,
                        .loop = loop,
                        .fd = -1,
                        .listen_fd = gdb_listen(port),
                        .vcpus = machine_vcpu_count(machine)};
    r = gdb->listen_fd < 0 ? gdb->listen_fd
                           : loop_watch(loop, gdb->listen_fd, EPOLLIN, gdb_accept, gdb);
    if (r) {
        gdb_free(gdb);
        return err_set(err, r, "debugger port %u: cannot listen on it: %s; choose another", port,
                       strerror(-r));
    }
    vcpus_ask_pause(machine_vcpus(machine), VCPU_PAUSE_DEBUG);
    log_warn("debugger: the guest waits for gdb on 127.0.0.1:%u", port);
    *ret_gdb = gdb;
    return 0;
}

void gdb_free(struct gdb *gdb)
{
    if (!gdb)
        return;
    if (gdb->fd >= 0) {
        loop_unwatch(gdb->loop, gdb->fd);
        close(gdb->fd);
    }
    if (gdb->listen_fd >= 0) {
        loop_unwatch(gdb->loop, gdb->listen_fd);
        close(gdb->listen_fd);
    }
    free(gdb);
}
