/* SPDX-License-Identifier: Apache-2.0 */
/* Scattered buffers. */
#pragma once

#include <posada/types.h>
#include <sys/uio.h>

/* The part [skip, skip + len) of some buffers as an I/O vector: its number of entries, at most
 * count. */
unsigned iov_slice(const struct iovec *from, unsigned count, size_t skip, size_t len,
                   struct iovec *ret_iov);
/* Copies out what lies at offset; the number of bytes that were there. */
size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *buf, size_t len);
