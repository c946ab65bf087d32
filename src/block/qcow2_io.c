/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: requests of a guest. Each is cut into pieces that one run of clusters answers; a piece
 * holds a claim on its clusters while it is worked on.
 */
#include "qcow2_impl.h"

#include "base/iov.h"
#include "file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { PIECES = 64 };

/* A part of a request: bytes [at, at + len) of the disk, `skip` bytes into the buffers. */
struct piece {
    const struct blk_req *req;
    uint64_t at, skip, len;
    struct blk_claim claim;
};

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t offset_in(const struct qcow2 *q, uint64_t at)
{
    return at & (q->cluster - 1);
}

/* Bytes of the piece that `count` clusters from its first one hold. */
static uint64_t piece_covered(const struct qcow2 *q, const struct piece *p, uint64_t count)
{
    return min(p->len, (count << q->bits) - offset_in(q, p->at));
}

static uint64_t piece_clusters(const struct qcow2 *q, const struct piece *p)
{
    return qcow2_clusters(q, offset_in(q, p->at) + p->len);
}

static void piece_claim(struct qcow2 *q, struct piece *p, bool exclusive)
{
    uint64_t first = p->at >> q->bits;

    p->claim = (struct blk_claim){
        .first = first, .last = first + piece_clusters(q, p) - 1, .exclusive = exclusive};
    qcow2_claim(q, &p->claim);
}

/* --- Reading --- */
/* The piece's buffers from or to the file, at host offset. */
static int must_use transfer(const struct raw_file *file, const struct piece *p, enum blk_op op,
                             uint64_t host)
{
    struct iovec iov[PIECES];
    uint64_t done = 0;
    int r = 0;

    while (!r && done < p->len) {
        struct blk_req req = {.op = op, .offset = host + done, .iov = iov};

        req.iov_count =
            iov_window(p->req->iov, p->req->iov_count, p->skip + done, p->len - done, iov, PIECES);
        req.length = iov_length(iov, req.iov_count);
        r = req.length ? raw_io(file, &req) : -EINVAL;
        done += req.length;
    }
    return r;
}

static int must_use read_zeroes(const struct piece *p)
{
    size_t n = iov_fill(p->req->iov, p->req->iov_count, p->skip, NULL, p->len);

    return n == p->len ? 0 : -EINVAL;
}

/* The last cluster may be shorter in the file than a cluster is: the rest are zeroes. */
static int must_use read_at_end(struct qcow2 *q, const struct piece *p, uint64_t host)
{
    const struct raw_file file = {q->fd, 1}; /* the end may be no sector's */
    struct piece head = *p, tail = *p;
    struct stat st;
    uint64_t size;
    int r;

    if (fstat(q->fd, &st) < 0)
        return -errno;
    size = (uint64_t)st.st_size;
    if (host + p->len <= size)
        return -EIO;
    head.len = host < size ? size - host : 0;
    tail.skip += head.len;
    tail.len -= head.len;
    r = head.len ? transfer(&file, &head, BLK_READ, host) : 0;
    return r ? r : read_zeroes(&tail);
}

static int must_use read_data(struct qcow2 *q, const struct piece *p, uint64_t host)
{
    int r = transfer(&q->file.data, p, BLK_READ, host);

    return r == -EIO ? read_at_end(q, p, host) : r;
}

static int must_use read_backing(struct qcow2 *q, const struct piece *p)
{
    uint64_t size = q->backing ? q->backing->info.size : 0;
    struct piece part = *p;
    struct iovec iov[PIECES];
    int r = 0;

    while (!r && part.len && part.at < size) {
        struct blk_req req = {.op = BLK_READ, .offset = part.at, .iov = iov};

        req.iov_count = iov_window(p->req->iov, p->req->iov_count, part.skip,
                                   min(part.len, size - part.at), iov, PIECES);
        req.length = iov_length(iov, req.iov_count);
        r = req.length ? blk_store_io(q->backing, &req) : -EINVAL;
        part.at += req.length;
        part.skip += req.length;
        part.len -= req.length;
    }
    return r ? r : read_zeroes(&part);
}

static int must_use read_packed(struct qcow2 *q, const struct piece *p, uint64_t entry)
{
    uint8_t *scratch;
    int r;

    pthread_mutex_lock(&q->lock);
    scratch = qcow2_scratch_get(q);
    pthread_mutex_unlock(&q->lock);
    if (!scratch)
        return -ENOMEM;
    r = qcow2_unpack(q, entry, scratch + q->cluster, scratch);
    if (!r && iov_fill(p->req->iov, p->req->iov_count, p->skip, scratch + offset_in(q, p->at),
                       p->len) != p->len)
        r = -EINVAL;
    pthread_mutex_lock(&q->lock);
    qcow2_scratch_put(q, scratch);
    pthread_mutex_unlock(&q->lock);
    return r;
}

static int must_use read_mapped(struct qcow2 *q, const struct piece *p,
                                const struct qcow2_mapping *m)
{
    switch (m->kind) {
    case QCOW2_UNALLOCATED: return read_backing(q, p);
    case QCOW2_ZEROES: return read_zeroes(p);
    case QCOW2_DATA: return read_data(q, p, m->host + offset_in(q, p->at));
    default: return read_packed(q, p, m->entry);
    }
}

/* Shortens the piece to what was read. */
static int must_use read_piece(struct qcow2 *q, struct piece *p)
{
    struct qcow2_mapping m;
    int r;

    pthread_mutex_lock(&q->lock);
    piece_claim(q, p, false);
    r = qcow2_lookup(q, p->at >> q->bits, piece_clusters(q, p), &m);
    pthread_mutex_unlock(&q->lock);
    if (!r) {
        p->len = piece_covered(q, p, m.count);
        r = read_mapped(q, p, &m);
    }
    pthread_mutex_lock(&q->lock);
    qcow2_release(q, &p->claim);
    pthread_mutex_unlock(&q->lock);
    return r;
}

/* --- Writing to new clusters --- */
/* What the disk holds at [at, at + len), inside one cluster that m maps, goes to host; nothing
 * where zeroes go to where the file has never been. */
static int must_use copy_old(struct qcow2 *q, const struct qcow2_mapping *m, uint64_t at,
                             uint64_t len, uint64_t host, bool fresh)
{
    bool zeroes = m->kind == QCOW2_ZEROES ||
                  (m->kind == QCOW2_UNALLOCATED && (!q->backing || at >= q->backing->info.size));
    uint8_t *scratch;
    struct iovec iov;
    int r = -ENOMEM;

    if (!len || (zeroes && fresh))
        return 0;
    pthread_mutex_lock(&q->lock);
    scratch = qcow2_scratch_get(q);
    pthread_mutex_unlock(&q->lock);
    if (scratch) {
        struct blk_req req = {.iov = &iov, .iov_count = 1};
        struct piece p = {.req = &req, .at = at, .len = len};

        iov = (struct iovec){scratch, len};
        r = read_mapped(q, &p, m);
        if (!r)
            r = transfer(&q->file.data, &p, BLK_WRITE, host);
    }
    pthread_mutex_lock(&q->lock);
    if (scratch)
        qcow2_scratch_put(q, scratch);
    pthread_mutex_unlock(&q->lock);
    return r;
}

static int must_use write_payload(struct qcow2 *q, const struct piece *p, uint64_t host)
{
    struct blk_req zeroes = {.op = BLK_WRITE_ZEROES, .offset = host, .length = p->len};

    return p->req->op == BLK_WRITE ? transfer(&q->file.data, p, BLK_WRITE, host)
                                   : raw_io(&q->file.data, &zeroes);
}

/* Head and tail of the old contents around the new; host: where the piece's first cluster goes. */
static int must_use fill_clusters(struct qcow2 *q, const struct piece *p,
                                  const struct qcow2_mapping *first,
                                  const struct qcow2_mapping *last, uint64_t host, bool fresh)
{
    uint64_t head = offset_in(q, p->at), end = p->at + p->len;
    uint64_t tail = -end & (q->cluster - 1);
    int r = copy_old(q, first, p->at - head, head, host, fresh);

    if (!r)
        r = copy_old(q, last, end, tail, host + head + p->len, fresh);
    return r ? r : write_payload(q, p, host + head);
}

static int must_use point_entries(struct qcow2 *q, const struct piece *p, uint64_t host)
{
    uint64_t n = piece_clusters(q, p);
    int r = 0;

    for (uint64_t i = 0; !r && i < n; i++) {
        uint8_t *entry;

        r = qcow2_entry(q, (p->at >> q->bits) + i, &entry);
        if (!r)
            r = qcow2_replace(q, entry, (host + (i << q->bits)) | QCOW2_COPIED);
    }
    return r;
}

/* Cuts the piece to clusters of one L2 table that need a new place, and says how the first is
 * mapped. *ret_host: the place of a single cluster that has one of its own already, or 0. */
static int must_use plan_new(struct qcow2 *q, struct piece *p, struct qcow2_mapping *first,
                             uint64_t *ret_host)
{
    uint64_t cluster = p->at >> q->bits, table = q->cluster / 8, n = 1;
    uint64_t max = min(piece_clusters(q, p), table - cluster % table);
    int r = qcow2_lookup(q, cluster, 1, first);

    if (r)
        return r;
    *ret_host = first->in_place ? first->host : 0;
    while (!*ret_host && n < max) {
        struct qcow2_mapping next;

        if (qcow2_lookup(q, cluster + n, 1, &next) < 0 || next.in_place)
            break;
        n++;
    }
    p->len = piece_covered(q, p, n);
    return 0;
}

/* The place for the piece, cut to what is there in one run, and how its last cluster is mapped. */
static int must_use place_new(struct qcow2 *q, struct piece *p, struct qcow2_run *run, bool *fresh,
                              struct qcow2_mapping *last)
{
    uint8_t *entry;
    int r = qcow2_entry(q, p->at >> q->bits, &entry); /* the table for it first */

    if (!r && !run->first) {
        r = qcow2_alloc(q, piece_clusters(q, p), run, fresh);
        if (!r)
            p->len = piece_covered(q, p, run->count);
    }
    return r ? r : qcow2_lookup(q, (p->at + p->len - 1) >> q->bits, 1, last);
}

/* With an exclusive claim. The lock is held on entry and exit, not while data moves. */
static int must_use write_new_locked(struct qcow2 *q, struct piece *p)
{
    struct qcow2_mapping first, last;
    struct qcow2_run run = {0};
    bool fresh = false, in_place;
    uint64_t host = 0;
    int r = plan_new(q, p, &first, &host);

    run.first = host >> q->bits;
    if (!r)
        r = place_new(q, p, &run, &fresh, &last);
    if (r)
        return r;
    in_place = host && first.kind == QCOW2_DATA; /* somebody was faster */
    host = run.first << q->bits;
    pthread_mutex_unlock(&q->lock);
    r = in_place ? write_payload(q, p, host + offset_in(q, p->at))
                 : fill_clusters(q, p, &first, &last, host, fresh);
    pthread_mutex_lock(&q->lock);
    if (!r)
        return in_place ? 0 : point_entries(q, p, host);
    if (run.count && qcow2_free(q, run.first, run.count) < 0)
        return -EIO;
    return r;
}

static int must_use write_new(struct qcow2 *q, struct piece *p)
{
    int r;

    piece_claim(q, p, true);
    r = write_new_locked(q, p);
    qcow2_release(q, &p->claim);
    return r;
}

/* --- Writing in place --- */
static int must_use write_piece(struct qcow2 *q, struct piece *p)
{
    struct qcow2_mapping m;
    int r;

    pthread_mutex_lock(&q->lock);
    piece_claim(q, p, false);
    r = q->broken ? -EIO : qcow2_lookup(q, p->at >> q->bits, piece_clusters(q, p), &m);
    if (!r && m.kind == QCOW2_DATA && m.in_place) {
        p->len = piece_covered(q, p, m.count);
        pthread_mutex_unlock(&q->lock);
        r = write_payload(q, p, m.host + offset_in(q, p->at));
        pthread_mutex_lock(&q->lock);
        qcow2_release(q, &p->claim);
    } else {
        qcow2_release(q, &p->claim);
        if (!r)
            r = write_new(q, p);
    }
    pthread_mutex_unlock(&q->lock);
    return r;
}

/* --- Whole clusters of nothing --- */
/* What an entry becomes when its cluster shall read as zeroes; keep: its place stays taken. */
static uint64_t zero_entry(const struct qcow2 *q, uint64_t at, const struct qcow2_mapping *m,
                           bool keep)
{
    bool bare = !q->h.backing[0] || (q->backing && at >= q->backing->info.size);

    if (keep && m->host && m->in_place)
        return m->entry | QCOW2_ZERO;
    if (m->kind == QCOW2_UNALLOCATED && bare)
        return m->entry;
    return bare && !keep ? 0 : QCOW2_ZERO;
}

static int must_use zero_cluster(struct qcow2 *q, uint64_t cluster, bool keep)
{
    struct qcow2_mapping m;
    uint64_t value;
    uint8_t *entry;
    int r = qcow2_lookup(q, cluster, 1, &m);

    if (r)
        return r;
    value = zero_entry(q, cluster << q->bits, &m, keep);
    if (value == m.entry)
        return 0;
    r = qcow2_entry(q, cluster, &entry);
    return r ? r : qcow2_replace(q, entry, value);
}

/* Clusters [first, end), a table's worth under one claim. */
static int must_use zero_clusters(struct qcow2 *q, uint64_t first, uint64_t end, bool keep)
{
    uint64_t step = q->l2.slice / 8;
    int r = 0;

    pthread_mutex_lock(&q->lock);
    while (!r && first < end) {
        uint64_t stop = min(end, first + step);
        struct blk_claim claim = {.first = first, .last = stop - 1, .exclusive = true};

        qcow2_claim(q, &claim);
        for (; !r && first < stop; first++)
            r = q->broken ? -EIO : zero_cluster(q, first, keep);
        qcow2_release(q, &claim);
    }
    pthread_mutex_unlock(&q->lock);
    return r;
}

/* --- Requests --- */
static int must_use by_pieces(struct qcow2 *q, const struct blk_req *req, uint64_t at, uint64_t end,
                              int (*step)(struct qcow2 *, struct piece *))
{
    int r = 0;

    while (!r && at < end) {
        struct piece p = {.req = req, .at = at, .skip = at - req->offset, .len = end - at};

        r = step(q, &p);
        at += p.len;
    }
    return r;
}

/* Does [at, at + len), in one cluster, read as zeroes without a look at data? */
static bool reads_zero(struct qcow2 *q, uint64_t at)
{
    struct qcow2_mapping m;
    bool zero;

    pthread_mutex_lock(&q->lock);
    zero = qcow2_lookup(q, at >> q->bits, 1, &m) == 0 &&
           (m.kind == QCOW2_ZEROES || (m.kind == QCOW2_UNALLOCATED && !q->h.backing[0]));
    pthread_mutex_unlock(&q->lock);
    return zero;
}

static int must_use zero_edge(struct qcow2 *q, const struct blk_req *req, uint64_t at, uint64_t end)
{
    return at >= end || reads_zero(q, at) ? 0 : by_pieces(q, req, at, end, write_piece);
}

/* Whole clusters by their entries, the rest as writes. The disk's end counts as a whole one. */
static int must_use write_zeroes(struct qcow2 *q, const struct blk_req *req)
{
    uint64_t end = req->offset + req->length, size = q->store.info.size;
    uint64_t first = qcow2_clusters(q, req->offset);
    uint64_t last = end == size ? qcow2_clusters(q, end) : end >> q->bits;
    int r;

    if (q->h.version < 3 && q->h.backing[0])
        return by_pieces(q, req, req->offset, end, write_piece);
    if (first >= last) {
        uint64_t edge = min(end, first << q->bits);

        r = zero_edge(q, req, req->offset, edge);
        return r ? r : zero_edge(q, req, edge, end);
    }
    r = zero_edge(q, req, req->offset, first << q->bits);
    if (!r && q->h.version < 3)
        r = zero_clusters(q, first, last, false);
    else if (!r)
        r = zero_clusters(q, first, last, !(req->flags & BLK_MAY_UNMAP));
    return r ? r : zero_edge(q, req, last << q->bits, end);
}

/* Advice: what is no whole cluster stays as it is. */
static int must_use discard(struct qcow2 *q, const struct blk_req *req)
{
    uint64_t end = req->offset + req->length;
    uint64_t first = qcow2_clusters(q, req->offset);
    uint64_t last = end == q->store.info.size ? qcow2_clusters(q, end) : end >> q->bits;

    if (q->h.version < 3 && q->h.backing[0])
        return 0;
    return first < last ? zero_clusters(q, first, last, false) : 0;
}

static int must_use flush(struct qcow2 *q)
{
    int r = 0;

    if (q->store.info.read_only)
        return 0;
    pthread_mutex_lock(&q->lock);
    r = qcow2_commit(q);
    pthread_mutex_unlock(&q->lock);
    return r;
}

int qcow2_io(struct blk_store *store, const struct blk_req *req)
{
    struct qcow2 *q = qcow2_of(store);
    uint64_t end = req->offset + req->length;
    int r;

    /* Opened for its tables only: what lies behind it must not be taken for zeroes. */
    if (q->h.backing[0] && !q->backing && req->op != BLK_FLUSH)
        return -EACCES;
    switch (req->op) {
    case BLK_READ: return by_pieces(q, req, req->offset, end, read_piece);
    case BLK_WRITE: r = by_pieces(q, req, req->offset, end, write_piece); break;
    case BLK_FLUSH: return flush(q);
    case BLK_DISCARD: return discard(q, req);
    case BLK_WRITE_ZEROES: r = write_zeroes(q, req); break;
    default: return -EOPNOTSUPP;
    }
    return !r && req->flags & BLK_FUA ? flush(q) : r;
}

int64_t qcow2_extent(struct blk_store *store, uint64_t offset, uint64_t length,
                     enum blk_extent_kind *ret_kind)
{
    struct qcow2 *q = qcow2_of(store);
    struct qcow2_mapping m;
    int r;

    pthread_mutex_lock(&q->lock);
    r = qcow2_lookup(q, offset >> q->bits, qcow2_clusters(q, offset_in(q, offset) + length), &m);
    pthread_mutex_unlock(&q->lock);
    if (r)
        return r;
    length = min(length, (m.count << q->bits) - offset_in(q, offset));
    *ret_kind = m.kind == QCOW2_ZEROES ? BLK_EXTENT_ZERO : BLK_EXTENT_DATA;
    if (m.kind != QCOW2_UNALLOCATED)
        return (int64_t)length;
    if (q->backing && offset < q->backing->info.size)
        return q->backing->ops->extent(q->backing, offset,
                                       min(length, q->backing->info.size - offset), ret_kind);
    *ret_kind = BLK_EXTENT_ZERO;
    return (int64_t)length;
}
