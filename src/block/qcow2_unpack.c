/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: compressed clusters, read only. Each is one raw deflate stream (12-bit window at least) or
 * one or more zstd frames; unpacking stops when a cluster is full and fails when less comes out.
 */
#include "qcow2_impl.h"

#include "file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

void qcow2_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *ret_offset,
                        uint64_t *ret_len)
{
    unsigned shift = 62 - (q->bits - 8);
    uint64_t offset = entry & ((UINT64_C(1) << shift) - 1) & ~QCOW2_COPIED;
    uint64_t sectors = (entry & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> shift;

    *ret_offset = offset & ((UINT64_C(1) << 56) - 1);
    *ret_len = (sectors + 1) * QCOW2_SECTOR - offset % QCOW2_SECTOR;
}

static int must_use unpack_zlib(const uint8_t *in, size_t in_len, uint8_t *to, size_t len)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)in,
                  .avail_in = (uInt)in_len,
                  .next_out = to,
                  .avail_out = (uInt)len};
    int r;

    if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
        return -ENOMEM;
    r = inflate(&z, Z_FINISH);
    (void)inflateEnd(&z);
    /* Bytes behind the stream make zlib ask for more room only. */
    return (r == Z_STREAM_END || r == Z_BUF_ERROR) && !z.avail_out ? 0 : -EIO;
}

static int must_use unpack_zstd(const uint8_t *in, size_t in_len, uint8_t *to, size_t len)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer source = {in, in_len, 0};
    ZSTD_outBuffer out = {to, len, 0};
    size_t left = 0;

    if (!z)
        return -ENOMEM;
    while (out.pos < len) {
        size_t was = out.pos, at = source.pos;

        left = ZSTD_decompressStream(z, &out, &source);
        if (ZSTD_isError(left) || (out.pos == was && source.pos == at))
            break;
    }
    ZSTD_freeDStream(z);
    return !ZSTD_isError(left) && out.pos == len ? 0 : -EIO;
}

int qcow2_unpack(struct qcow2 *q, uint64_t entry, uint8_t *in, uint8_t *to)
{
    uint64_t offset, len;
    ssize_t n;

    qcow2_packed_place(q, entry, &offset, &len);
    if (len > q->cluster * 2)
        return -EIO;
    do /* the last one may end with the file, in the middle of its last sector */
        n = pread(q->fd, in, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    return q->h.compression ? unpack_zstd(in, (size_t)n, to, q->cluster)
                            : unpack_zlib(in, (size_t)n, to, q->cluster);
}
