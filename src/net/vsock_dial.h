/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitor and its vsock helper say to each other: a message each way, and a descriptor. */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

struct vsock_dial {
    uint32_t guest_port, host_port; /* the helper needs the second only */
    int32_t code;                   /* the answer: 0, and a descriptor comes along, or -errno */
};

/* fd -1: none. False: the message could not be sent. */
bool must_use vsock_dial_send(int link, const struct vsock_dial *dial, int fd);
/* 1: a message; ret_fd is -1 when it brought no descriptor. 0: none now. Negative: the other side
 * is gone. */
int must_use vsock_dial_receive(int link, struct vsock_dial *ret_dial, int *ret_fd);
