/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers by io_uring(7). Once made, a ring can do nothing but read and write the files it was
 * made for: the kernel is told so (restrictions), because what goes through a ring passes by the
 * sandbox's system call filter. One thread at a time.
 */
#pragma once

#include <posada/blockdev.h>

struct blk_ring;

enum { BLK_RING_ENTRIES = 128 };

/* -ENOSYS, -EPERM, -ENOMEM...: this host has none for us; transfers go another way. */
int must_use blk_ring_new(const int *fds, unsigned count, struct blk_ring **ret_ring);
void blk_ring_free(struct blk_ring *ring);    /* nothing in flight; accepts NULL */
int blk_ring_fd(const struct blk_ring *ring); /* readable when there are completions */

/* Queues a READ, or a WRITE (durable with BLK_FUA), of req's buffers at offset of one of the
 * files; false: no room or not a file of the ring. Buffers and vector stay until its completion. */
bool blk_ring_add(struct blk_ring *ring, int fd, uint64_t offset, const struct blk_req *req,
                  void *tag);
void blk_ring_submit(struct blk_ring *ring); /* starts what was queued */
/* One completion: bytes or a negative errno. False: none yet (with wait: never). */
bool blk_ring_next(struct blk_ring *ring, bool wait, void **ret_tag, int *ret_result);
