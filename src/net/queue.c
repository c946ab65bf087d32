/* SPDX-License-Identifier: Apache-2.0 */
#include "net/queue.h"

#include "base/endian.h"
#include "base/net_frame.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* False: not now. */
static bool queue_push(struct net_queue *q, const uint8_t *message, size_t len)
{
    if (q->bucket && net_bucket_wait(q->bucket))
        return false;
    if (write(q->fd, message, len) >= 0) { /* a socket or a tap; SIGPIPE is ignored */
        if (q->bucket)
            net_bucket_pay(q->bucket, len - NET_HEADER_SIZE);
        return true;
    }
    if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
        return false;
    q->over = q->over || errno == EPIPE || errno == ECONNRESET;
    return true; /* lost */
}

void net_queue_flush(struct net_queue *q)
{
    while (q->wait.len) {
        uint32_t len = ld_le32(buf_data(&q->wait));

        if (!queue_push(q, buf_data(&q->wait) + sizeof(len), len))
            return;
        buf_consume(&q->wait, sizeof(len) + len);
    }
}

void net_queue_send(struct net_queue *q, const uint8_t *message, size_t len)
{
    uint8_t prefix[4];

    if (!q->wait.len && queue_push(q, message, len))
        return;
    st_le32(prefix, (uint32_t)len);
    if (q->wait.len + len + sizeof(prefix) > NET_QUEUE_MAX ||
        buf_append(&q->wait, prefix, sizeof(prefix)) < 0)
        return; /* lost */
    if (buf_append(&q->wait, message, len) < 0)
        exit(EXIT_FAILURE); /* half a message would spoil all that follow */
}
