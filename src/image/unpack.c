/* SPDX-License-Identifier: Apache-2.0 */
/* Undoing gzip (RFC 1952, several members too) and zstd (RFC 8878). Contract: image/unpack.h. */
#include "image/unpack.h"

#include "image/digest.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { UNPACK_IN = 128 * 1024, UNPACK_OUT = 256 * 1024, UNPACK_WINDOW_LOG = 27 };

struct unpack {
    int fd;
    enum unpack_kind kind;
    struct digest *packed, *plain;
    uint64_t total;
    size_t at, fill; /* of in[] */
    bool ended;      /* of the file */
    bool whole;      /* what was unpacked so far ends where a member or frame does */
    z_stream z;
    bool z_ready;
    ZSTD_DStream *zstd;
    uint8_t in[UNPACK_IN], out[UNPACK_OUT];
};

static void unpack_free(struct unpack *u)
{
    char text[DIGEST_TEXT];

    if (u->z_ready)
        (void)inflateEnd(&u->z);
    (void)ZSTD_freeDStream(u->zstd);
    if (u->packed)
        digest_end(u->packed, text);
    if (u->plain)
        digest_end(u->plain, text);
    free(u);
}

struct unpack *unpack_new(int fd, enum unpack_kind kind)
{
    struct unpack *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->fd = fd;
    u->kind = kind;
    u->packed = digest_new();
    u->plain = digest_new();
    if (kind == UNPACK_GZIP)
        u->z_ready = inflateInit2(&u->z, 15 + 16) == Z_OK;
    if (kind == UNPACK_ZSTD && (u->zstd = ZSTD_createDStream()))
        (void)ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, UNPACK_WINDOW_LOG);
    if (u->packed && u->plain && (kind != UNPACK_GZIP || u->z_ready) &&
        (kind != UNPACK_ZSTD || u->zstd))
        return u;
    unpack_free(u);
    return NULL;
}

static int unpack_fill(struct unpack *u)
{
    ssize_t n;

    if (u->at < u->fill || u->ended)
        return 0;
    do
        n = read(u->fd, u->in, sizeof(u->in));
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    u->ended = n == 0;
    u->at = 0;
    u->fill = (size_t)n;
    u->total += (size_t)n;
    digest_add(u->packed, u->in, u->fill);
    return 0;
}

static ssize_t unpack_gzip(struct unpack *u)
{
    int r;

    if (u->whole) { /* another member may follow */
        (void)inflateReset(&u->z);
        u->whole = false;
    }
    u->z.next_in = u->in + u->at;
    u->z.avail_in = (uInt)(u->fill - u->at);
    u->z.next_out = u->out;
    u->z.avail_out = sizeof(u->out);
    r = inflate(&u->z, Z_NO_FLUSH);
    u->at = u->fill - u->z.avail_in;
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        return r == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
    u->whole = r == Z_STREAM_END;
    return (ssize_t)(sizeof(u->out) - u->z.avail_out);
}

static ssize_t unpack_zstd(struct unpack *u)
{
    ZSTD_inBuffer in = {u->in, u->fill, u->at};
    ZSTD_outBuffer out = {u->out, sizeof(u->out), 0};
    size_t r = ZSTD_decompressStream(u->zstd, &out, &in);

    u->at = in.pos;
    if (ZSTD_isError(r))
        return -EINVAL;
    u->whole = r == 0;
    return (ssize_t)out.pos;
}

static ssize_t unpack_some(struct unpack *u)
{
    size_t n = u->fill - u->at;

    if (u->kind == UNPACK_GZIP)
        return unpack_gzip(u);
    if (u->kind == UNPACK_ZSTD)
        return unpack_zstd(u);
    memcpy(u->out, u->in + u->at, n);
    u->at = u->fill;
    u->whole = true;
    return (ssize_t)n;
}

ssize_t unpack_read(struct unpack *u, const void **ret_data)
{
    for (;;) {
        size_t before;
        ssize_t n = unpack_fill(u);

        if (n < 0)
            return n;
        if (u->ended && (u->whole || !u->total))
            return u->total ? 0 : -EINVAL;
        before = u->at;
        n = unpack_some(u);
        if (n > 0)
            digest_add(u->plain, u->out, (size_t)n);
        *ret_data = u->out;
        if (n)
            return n;
        if (u->ended && u->at == before && !u->whole)
            return -EINVAL; /* ends too early */
    }
}

uint64_t unpack_packed(const struct unpack *u)
{
    return u->total;
}

int unpack_end(struct unpack *u, char *ret_packed, char *ret_plain)
{
    const void *data;
    ssize_t n;

    while ((n = unpack_read(u, &data)) > 0)
        ;
    digest_end(u->packed, ret_packed);
    digest_end(u->plain, ret_plain);
    u->packed = u->plain = NULL;
    unpack_free(u);
    return n < 0 ? (int)n : 0;
}
