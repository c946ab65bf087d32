/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's port: finding it without udev, cutting its bytes into frames, queueing answers.
 * Linux drivers/char/virtio_console.c: a read gives 0 while no host is connected, and a change of
 * that wakes pollers; so the port is watched edge-triggered and both directions run to EAGAIN.
 */
#include "agent.h"

#include "base/endian.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static bool port_has_name(const char *device, const char *name)
{
    char path[300], text[64];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", device);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return strcmp(text, name) == 0;
}

static int port_try(const char *name)
{
    DIR *dir = opendir("/sys/class/virtio-ports");
    const struct dirent *e;
    char path[300];
    int fd = -1;

    while (dir && fd < 0 && (e = readdir(dir))) {
        if (e->d_name[0] == '.' || !port_has_name(e->d_name, name))
            continue;
        (void)snprintf(path, sizeof(path), "/dev/%s", e->d_name);
        fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    if (dir)
        (void)closedir(dir);
    return fd;
}

int port_find(const char *name)
{
    long wait_ms = 5;
    int fd;

    while ((fd = port_try(name)) < 0) {
        struct timespec t = {wait_ms / 1000, wait_ms % 1000 * 1000000};

        (void)nanosleep(&t, NULL);
        wait_ms = wait_ms < 2000 ? wait_ms * 2 : 4000;
    }
    return fd;
}

void port_reset(struct port *p)
{
    p->out = (struct fifo){.data = p->out_data, .size = sizeof(p->out_data)};
    p->in_used = 0;
    p->bad = false;
}

void port_send(struct port *p, enum agent_type type, unsigned channel, const void *payload,
               size_t len)
{
    uint8_t head[FRAME_HEAD] = {(uint8_t)type};

    if (fifo_room(&p->out) < FRAME_HEAD + len) { /* the marks in agent.h rule it out */
        p->bad = true;
        return;
    }
    st_le16(head + 2, (uint16_t)channel);
    st_le32(head + 4, (uint32_t)len);
    fifo_put(&p->out, head, sizeof(head));
    fifo_put(&p->out, payload, len);
}

void port_send_u32(struct port *p, enum agent_type type, unsigned channel, uint32_t value)
{
    uint8_t b[4];

    st_le32(b, value);
    port_send(p, type, channel, b, sizeof(b));
}

void port_send_hello(struct port *p)
{
    struct utsname u;
    char text[512];
    int n;

    if (uname(&u) < 0)
        memset(&u, 0, sizeof(u));
    st_le32(text, AGENT_VERSION);
    n = snprintf(text + 4, sizeof(text) - 4, "arch=%s%ckernel=%s%chostname=%s", u.machine, 0,
                 u.release, 0, u.nodename);
    port_send(p, AGENT_HELLO, 0, text, 4 + (size_t)n + 1);
}

void port_flush(struct port *p)
{
    const uint8_t *data;
    size_t len;
    ssize_t n;

    while (p->connected && p->writable && (len = fifo_front(&p->out, &data)) > 0) {
        n = write(p->fd, data, len);
        if (n > 0)
            fifo_drop(&p->out, (size_t)n);
        else if (n < 0 && errno == EINTR)
            continue;
        else if (n < 0 && errno != EAGAIN)
            p->bad = true;
        if (n <= 0)
            p->writable = false;
    }
}

/* Handles the complete frames at the front of in[] while answers have room. */
static void port_cut(struct port *p,
                     void (*handle)(void *arg, const struct agent_frame *, const uint8_t *),
                     void *arg)
{
    size_t at = 0;

    while (!p->bad && p->out.used < OUT_HIGH && p->in_used - at >= FRAME_HEAD) {
        const uint8_t *b = p->in + at;
        struct agent_frame f = {
            .type = b[0], .zero = b[1], .channel = ld_le16(b + 2), .length = ld_le32(b + 4)};

        if (f.zero || f.length > AGENT_MAX_PAYLOAD || f.channel >= AGENT_CHANNELS) {
            p->bad = true;
            break;
        }
        if (p->in_used - at < FRAME_HEAD + f.length)
            break;
        handle(arg, &f, b + FRAME_HEAD);
        at += FRAME_HEAD + f.length;
    }
    memmove(p->in, p->in + at, p->in_used - at);
    p->in_used -= at;
}

static void port_connected(struct port *p)
{
    if (!p->connected)
        port_send_hello(p); /* before any answer */
    p->connected = true;
}

void port_receive(struct port *p,
                  void (*handle)(void *arg, const struct agent_frame *frame,
                                 const uint8_t *payload),
                  void *arg)
{
    ssize_t n;

    port_cut(p, handle, arg); /* what waited for room */
    while (p->readable && !p->bad && p->out.used < OUT_HIGH) {
        n = read(p->fd, p->in + p->in_used, sizeof(p->in) - p->in_used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            p->connected = false;
        else
            port_connected(p);
        if (n <= 0) {
            p->readable = false;
            return;
        }
        p->in_used += (size_t)n;
        port_cut(p, handle, arg);
    }
}
