/* SPDX-License-Identifier: Apache-2.0 */
/* Messages with descriptors over local sockets that keep messages apart (SOCK_SEQPACKET). */
#pragma once

#include <posada/types.h>
#include <sys/types.h>

enum { PASS_FDS_MAX = 4 };

/* Sends one message and, with it, count descriptors, which stay the caller's. 0 or -errno; full
 * is -EAGAIN. */
int must_use pass_send(int link, const void *data, size_t len, const int *fds, unsigned count);
/* Takes one message of exactly len bytes: 1, and ret_fds holds what came with it, -1 where nothing
 * did; 0: none now; negative: the other side is gone or does not keep to that. */
int must_use pass_receive(int link, void *data, size_t len, int *ret_fds, unsigned count);
