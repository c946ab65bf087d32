/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a guest's monitor and a share's helper process talk: bytes in a shared window (a memfd),
 * messages about them over a SEQPACKET socket. The window is cut into slots; one request and its
 * reply live in one slot, the reply at share_reply_at(). The monitor copies between window and
 * guest, so the helper never sees guest memory (docs/shares.md tells what that copy costs).
 *
 * Both sides take the other for hostile: the monitor checks every number of a message and never
 * looks into a reply; the helper copies what it decides upon out of the window first.
 */
#pragma once

#include <posada/types.h>

enum {
    SHARE_LINK_FD = 3, /* in the helper */
    SHARE_WINDOW_FD = 4,
    SHARE_SLOTS = 32,
    SHARE_DATA_MAX = 1 << 20, /* of one READ or WRITE */
    SHARE_SLOT_SIZE = SHARE_DATA_MAX + (128 << 10),
    SHARE_PAGE = 4096,
};

struct share_message {
    uint32_t slot;
    uint32_t request; /* bytes of the request; from the helper: 0 */
    uint32_t reply;   /* room for the reply; from the helper: its bytes, 0 for none */
};

static inline size_t share_window_size(void)
{
    return (size_t)SHARE_SLOTS * SHARE_SLOT_SIZE;
}

/* Where in its slot the reply to a request of that many bytes begins. */
static inline size_t share_reply_at(size_t request)
{
    return (request + SHARE_PAGE - 1) / SHARE_PAGE * SHARE_PAGE;
}
