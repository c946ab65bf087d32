/* SPDX-License-Identifier: Apache-2.0 */
/* Scattered buffers. */
#pragma once

#include <posada/types.h>
#include <sys/uio.h>

/* The part [skip, skip + len) of some buffers as an I/O vector: its number of entries, at most
 * count. */
unsigned iov_slice(const struct iovec *from, unsigned count, size_t skip, size_t len,
                   struct iovec *ret_iov);
/* The same with room for only so many pieces; ends short of len then. */
unsigned iov_window(const struct iovec *from, unsigned count, uint64_t skip, uint64_t len,
                    struct iovec *ret_iov, unsigned room);
size_t iov_length(const struct iovec *iov, unsigned count);
/* Copies to what lies at offset, zeroes when buf is NULL; the number of bytes that were there. */
size_t iov_fill(const struct iovec *iov, unsigned count, size_t offset, const void *buf,
                size_t len);
/* Copies out what lies at offset; the number of bytes that were there. */
size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *buf, size_t len);
