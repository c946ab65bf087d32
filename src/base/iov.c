/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iov.h"

#include <string.h>

unsigned iov_window(const struct iovec *from, unsigned count, uint64_t skip, uint64_t len,
                    struct iovec *ret_iov, unsigned room)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count && len && n < room; i++) {
        if (skip >= from[i].iov_len) {
            skip -= from[i].iov_len;
            continue;
        }
        uint64_t part = from[i].iov_len - skip < len ? from[i].iov_len - skip : len;

        ret_iov[n++] =
            (struct iovec){.iov_base = (uint8_t *)from[i].iov_base + skip, .iov_len = (size_t)part};
        len -= part;
        skip = 0;
    }
    return n;
}

unsigned iov_slice(const struct iovec *from, unsigned count, size_t skip, size_t len,
                   struct iovec *ret_iov)
{
    return iov_window(from, count, skip, len, ret_iov, count);
}

size_t iov_length(const struct iovec *iov, unsigned count)
{
    size_t len = 0;

    for (unsigned i = 0; i < count; i++)
        len += iov[i].iov_len;
    return len;
}

size_t iov_fill(const struct iovec *iov, unsigned count, size_t offset, const void *buf, size_t len)
{
    size_t done = 0;
    struct iovec piece;

    while (done < len && iov_window(iov, count, offset + done, len - done, &piece, 1)) {
        if (buf)
            memcpy(piece.iov_base, (const uint8_t *)buf + done, piece.iov_len);
        else
            memset(piece.iov_base, 0, piece.iov_len);
        done += piece.iov_len;
    }
    return done;
}

size_t iov_read(const struct iovec *iov, unsigned count, size_t offset, void *buf, size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < count && done < len; i++) {
        if (offset >= iov[i].iov_len) {
            offset -= iov[i].iov_len;
            continue;
        }
        size_t n = iov[i].iov_len - offset < len - done ? iov[i].iov_len - offset : len - done;

        memcpy((uint8_t *)buf + done, (const uint8_t *)iov[i].iov_base + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}
