/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a packed blob as they were before packing, with the SHA-256 of both. */
#pragma once

#include <posada/err.h>
#include <sys/types.h>

enum unpack_kind { UNPACK_NONE, UNPACK_GZIP, UNPACK_ZSTD };

struct unpack;

/* Reads from fd, which stays the caller's. NULL without memory. */
struct unpack *unpack_new(int fd, enum unpack_kind kind);
/* The next bytes, unpacked: *ret_data is valid until the next call. Their number; 0 at the end;
 * -EINVAL for what is not packed that way or ends too early, or another negative errno. */
ssize_t unpack_read(struct unpack *u, const void **ret_data);
/* Bytes of the blob read so far. */
uint64_t unpack_packed(const struct unpack *u);
/* Reads the rest and frees u; both SHA-256 as text (65 bytes). 0 or as unpack_read(). */
int must_use unpack_end(struct unpack *u, char *ret_packed, char *ret_plain);
