/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: requests that one transfer answers: what lies in one run of clusters that are there,
 * here or in the files behind. The rest goes the long way (qcow2_io.c).
 */
#include "qcow2_impl.h"

static bool map_whole(struct qcow2 *q, const struct blk_req *req, const struct blk_claim *claim,
                      struct qcow2_mapping *ret)
{
    uint64_t count = claim->last - claim->first + 1;

    return !q->broken && qcow2_lookup_ready(q, claim->first) &&
           qcow2_lookup(q, claim->first, count, ret) == 0 && ret->count >= count &&
           (req->op == BLK_READ || (ret->kind == QCOW2_DATA && ret->in_place));
}

/* What nobody has written here lies behind; files there do not change. */
static bool begin_behind(struct qcow2 *q, const struct blk_req *req, struct blk_direct *ret_direct)
{
    struct blk_store *behind = q->backing;
    bool whole = behind && req->offset + req->length <= behind->info.size;

    return whole && behind->ops->begin_direct && behind->ops->begin_direct(behind, req, ret_direct);
}

bool qcow2_begin_direct(struct blk_store *store, const struct blk_req *req,
                        struct blk_direct *ret_direct)
{
    struct qcow2 *q = qcow2_of(store);
    struct blk_claim *claim = &ret_direct->claim;
    struct qcow2_mapping m;
    bool mapped;

    *claim = (struct blk_claim){.first = req->offset >> q->bits,
                                .last = (req->offset + req->length - 1) >> q->bits};
    /* A durable write needs the tables written too. */
    if (!req->length || req->flags & BLK_FUA || pthread_mutex_trylock(&q->lock))
        return false;
    mapped = qcow2_try_claim(q, claim);
    if (mapped && !map_whole(q, req, claim, &m)) {
        qcow2_release(q, claim);
        mapped = false;
    }
    pthread_mutex_unlock(&q->lock);
    if (!mapped)
        return false;
    if (m.kind == QCOW2_DATA) {
        ret_direct->store = store;
        ret_direct->fd = q->file.data.fd;
        ret_direct->offset = m.host + (req->offset & (q->cluster - 1));
        ret_direct->align = q->file.data.align;
        return true;
    }
    qcow2_release(q, claim);
    return m.kind == QCOW2_UNALLOCATED && begin_behind(q, req, ret_direct);
}

void qcow2_end_direct(struct blk_store *store, struct blk_direct *direct)
{
    qcow2_release(qcow2_of(store), &direct->claim);
}

unsigned qcow2_files(struct blk_store *store, int *ret_fds, unsigned room)
{
    const struct qcow2 *q = qcow2_of(store);
    unsigned n = 0;

    if (!room)
        return 0;
    ret_fds[n++] = q->file.data.fd;
    if (q->backing && q->backing->ops->files)
        n += q->backing->ops->files(q->backing, ret_fds + n, room - n);
    return n;
}
