/* SPDX-License-Identifier: Apache-2.0 */
#include "base/iov.h"

#include <string.h>

unsigned iov_slice(const struct iovec *from, unsigned count, size_t skip, size_t len,
                   struct iovec *ret_iov)
{
    unsigned n = 0;

    for (unsigned i = 0; i < count && len; i++) {
        if (skip >= from[i].iov_len) {
            skip -= from[i].iov_len;
            continue;
        }
        size_t part = from[i].iov_len - skip < len ? from[i].iov_len - skip : len;

        ret_iov[n++] =
            (struct iovec){.iov_base = (uint8_t *)from[i].iov_base + skip, .iov_len = part};
        len -= part;
        skip = 0;
    }
    return n;
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
