/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2: a new state of the image beside the old one, then the switch. Contract: qcow2_rebuild.h.
 */
#include "qcow2_rebuild.h"

#include "base/endian.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rebuild {
    struct qcow2 *q;
    const struct qcow2_plan *plan;
    struct qcow2_snapshots snapshots;
    struct qcow2_census old, new;
    uint64_t *from, from_size; /* the L1 table whose contents the disk will have; host order */
    uint64_t *l1, l1_size;     /* the new one: places of its L2 tables */
    uint64_t limit;            /* guest clusters of the disk */
    uint64_t *table, table_size;
    uint8_t *list; /* new snapshot table */
    size_t list_len;
    uint32_t list_count;
    struct qcow2_header header;
    uint64_t hint;
    uint8_t *buf; /* a cluster */
};

static uint64_t entries(const struct rebuild *b)
{
    return b->q->cluster / 8;
}

/* --- What will be there --- */
static bool dropped(const struct rebuild *b, const struct qcow2_snapshot *s)
{
    return b->plan->drop && !strcmp(s->id, b->plan->drop->id);
}

static int must_use make_list(struct rebuild *b)
{
    b->list = malloc(b->snapshots.len + 512);
    if (!b->list)
        return -ENOMEM;
    for (uint32_t i = 0; i < b->snapshots.count; i++) {
        const struct qcow2_entry_raw *e = &b->snapshots.list[i];

        if (dropped(b, &e->snapshot))
            continue;
        memcpy(b->list + b->list_len, b->snapshots.data + e->at, e->len);
        b->list_len += e->len;
        b->list_count++;
    }
    if (b->plan->add) {
        b->list_len += qcow2_snapshot_encode(b->plan->add, b->list + b->list_len);
        b->list_count++;
    }
    return 0;
}

static int must_use choose_contents(struct rebuild *b)
{
    struct qcow2 *q = b->q;
    uint64_t clusters = qcow2_clusters(q, b->plan->size);

    b->limit = clusters;
    b->l1_size = clusters / entries(b) + (clusters % entries(b) != 0);
    b->l1_size = b->l1_size ? b->l1_size : 1;
    if (b->l1_size * 8 > QCOW2_L1_BYTES_MAX)
        return -EFBIG;
    b->l1 = calloc(b->l1_size, 8);
    if (!b->l1)
        return -ENOMEM;
    b->from_size = b->plan->apply ? b->plan->apply->l1_size : q->h.l1_size;
    if (b->plan->apply)
        return qcow2_read_l1(q, b->plan->apply, &b->from);
    b->from = calloc(b->from_size + 1, 8);
    if (!b->from)
        return -ENOMEM;
    memcpy(b->from, q->l1, b->from_size * 8);
    return 0;
}

static int must_use count_new(struct rebuild *b)
{
    int r = qcow2_count(&b->new, 0, 1);

    if (!r)
        r = qcow2_count_l1(b->q, &b->new, b->from, b->from_size, b->limit, false);
    for (uint32_t i = 0; !r && i < b->snapshots.count; i++)
        if (!dropped(b, &b->snapshots.list[i].snapshot))
            r = qcow2_count_snapshot(b->q, &b->new, &b->snapshots.list[i].snapshot);
    if (!r && b->plan->add)
        r = qcow2_count_snapshot(b->q, &b->new, b->plan->add);
    return r;
}

/* --- Places --- */
static bool is_free(const struct rebuild *b, uint64_t cluster)
{
    return !b->old.counts[cluster] && !b->new.counts[cluster];
}

/* n clusters in a row that neither state uses; counted in the new one. */
static int must_use place(struct rebuild *b, uint64_t n, uint64_t *ret_offset)
{
    uint64_t run = 0, at = n == 1 ? b->hint : 1;

    for (; at < b->new.size &&run < n; at++)
        run = is_free(b, at) ? run + 1 : 0;
    if (run < n)
        return -EFBIG;
    if (n == 1)
        b->hint = at;
    *ret_offset = (at - n) << b->q->bits;
    return qcow2_count(&b->new, at - n, n);
}

static bool zeroed(const struct rebuild *b, uint64_t guest)
{
    return guest >= b->plan->zero_first && guest < b->plan->zero_end;
}

static bool needs_l2(const struct rebuild *b, uint64_t index)
{
    uint64_t first = index * entries(b), end = first + entries(b);

    if (index < b->from_size && b->from[index] & QCOW2_OFFSET)
        return true;
    return b->plan->zero_first < b->plan->zero_end && b->plan->zero_first < end &&
           first < b->plan->zero_end;
}

static int must_use place_map(struct rebuild *b)
{
    int r = 0;

    for (uint64_t i = 0; !r && i < b->l1_size; i++)
        if (needs_l2(b, i))
            r = place(b, 1, &b->l1[i]);
    if (!r)
        r = place(b, qcow2_clusters(b->q, b->l1_size * 8), &b->header.l1_offset);
    if (!r && b->list_len)
        r = place(b, qcow2_clusters(b->q, b->list_len), &b->header.snapshots_offset);
    return r;
}

static uint64_t per_block(const struct rebuild *b)
{
    return b->q->cluster * 8 >> b->header.refcount_order;
}

/* Gives every range with something in it a block; blocks may make more ranges, so until none is
 * added. *ret_end: ranges up to the last. */
static int must_use place_blocks(struct rebuild *b, uint64_t *ret_end)
{
    bool added = true;
    int r = 0;

    while (!r && added) {
        added = false;
        for (uint64_t c = 0; !r && c < b->new.size; c++) {
            uint64_t block = c / per_block(b);

            if (!b->new.counts[c])
                continue;
            if (block >= b->table_size)
                return -EFBIG;
            *ret_end = block + 1 > *ret_end ? block + 1 : *ret_end;
            if (!b->table[block]) {
                r = place(b, 1, &b->table[block]);
                added = true;
            }
            c = (block + 1) * per_block(b) - 1; /* on to the next range */
        }
    }
    return r;
}

static int must_use place_refs(struct rebuild *b)
{
    uint64_t most = b->new.size / per_block(b) + 1, end = 0, bytes;
    int r;

    b->table_size = most;
    b->table = calloc(most + entries(b), 8);
    if (!b->table)
        return -ENOMEM;
    r = place_blocks(b, &end);
    if (r)
        return r;
    /* Its own place may need more blocks: some entries to spare. */
    bytes = (end + end / 32 + 8) * 8;
    bytes = qcow2_clusters(b->q, bytes) << b->q->bits;
    if (bytes > QCOW2_TABLE_BYTES_MAX)
        return -EFBIG;
    b->header.table_clusters = (uint32_t)(bytes >> b->q->bits);
    r = place(b, b->header.table_clusters, &b->header.table_offset);
    if (!r)
        r = place_blocks(b, &end);
    b->table_size = bytes / 8 < most + entries(b) ? bytes / 8 : most + entries(b);
    return r ? r : end > bytes / 8 ? -EFBIG : 0;
}

/* --- Writing --- */
static uint64_t entry_for(const struct rebuild *b, uint64_t guest, uint64_t entry)
{
    uint64_t host = (entry & QCOW2_OFFSET) >> b->q->bits;

    if (guest >= b->limit)
        return 0;
    if (entry & QCOW2_COMPRESSED)
        return entry & ~QCOW2_COPIED;
    entry &= ~QCOW2_COPIED;
    if (!entry && zeroed(b, guest))
        return QCOW2_ZERO;
    return host && b->new.counts[host] == 1 ? entry | QCOW2_COPIED : entry;
}

static int must_use write_l2(struct rebuild *b, uint64_t index)
{
    uint64_t from = index < b->from_size ? b->from[index] & QCOW2_OFFSET : 0;
    int r = 0;

    memset(b->buf, 0, b->q->cluster);
    if (from)
        r = image_read_padded(b->q->fd, from, b->buf, b->q->cluster);
    for (uint64_t i = 0; i < entries(b); i++)
        st_be64(b->buf + i * 8, entry_for(b, index * entries(b) + i, ld_be64(b->buf + i * 8)));
    return r ? r : image_write(b->q->fd, b->l1[index], b->buf, b->q->cluster);
}

/* A table of 64-bit entries, padded to whole clusters. */
static int must_use write_entries(struct rebuild *b, uint64_t offset, const uint64_t *table,
                                  uint64_t n, uint64_t flag)
{
    int r = 0;

    for (uint64_t at = 0; !r && at < n; at += entries(b)) {
        memset(b->buf, 0, b->q->cluster);
        for (uint64_t i = 0; i < entries(b) && at + i < n; i++)
            st_be64(b->buf + i * 8, table[at + i] ? table[at + i] | flag : 0);
        r = image_write(b->q->fd, offset + at * 8, b->buf, b->q->cluster);
    }
    return r;
}

static int must_use write_block(struct rebuild *b, uint64_t block)
{
    uint64_t first = block * per_block(b),
             max = (UINT64_C(1) << (1u << b->header.refcount_order) % 64) - 1;

    memset(b->buf, 0, b->q->cluster);
    for (uint64_t i = 0; i < per_block(b) && first + i < b->new.size; i++) {
        uint16_t count = b->new.counts[first + i];

        if (b->header.refcount_order < 6 && count > max)
            return -ERANGE;
        qcow2_ref_pack(b->buf, i, b->header.refcount_order, count);
    }
    return image_write(b->q->fd, b->table[block], b->buf, b->q->cluster);
}

static int must_use write_all(struct rebuild *b)
{
    int r = 0;

    for (uint64_t i = 0; !r && i < b->l1_size; i++)
        if (b->l1[i])
            r = write_l2(b, i);
    if (!r)
        r = write_entries(b, b->header.l1_offset, b->l1, b->l1_size, QCOW2_COPIED);
    if (!r && b->list_len)
        r = image_write(b->q->fd, b->header.snapshots_offset, b->list, b->list_len);
    for (uint64_t i = 0; !r && i < b->table_size; i++)
        if (b->table[i])
            r = write_block(b, i);
    if (!r)
        r = write_entries(b, b->header.table_offset, b->table, b->table_size, 0);
    return r;
}

/* --- The switch --- */
/* Clusters that only the old state used go back to the file system; the file ends with the last
 * one in use. */
static void give_back(struct rebuild *b)
{
    uint64_t end = b->new.size, first = 0, n = 0;

    while (end > 1 && !b->new.counts[end - 1])
        end--;
    for (uint64_t c = 1; c <= end; c++) {
        if (c < end && b->old.counts[c] && !b->new.counts[c]) {
            first = n++ ? first : c;
            continue;
        }
        if (n)
            (void)fallocate(b->q->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            (off_t)(first << b->q->bits), (off_t)(n << b->q->bits));
        n = 0;
    }
    if (end < b->q->end && ftruncate(b->q->fd, (off_t)(end << b->q->bits)) == 0)
        b->q->end = end;
}

static int must_use switch_over(struct rebuild *b, struct err *err)
{
    struct qcow2 *q = b->q;
    int r = qcow2_sync(q);

    if (r)
        return r;
    q->h = b->header;
    r = qcow2_header_write(q);
    if (!r)
        r = qcow2_sync(q);
    if (r)
        return qcow2_break(q); /* who knows which header the file has */
    for (uint64_t end = b->new.size; end > q->end; end--)
        if (b->new.counts[end - 1])
            q->end = end;
    give_back(b);
    qcow2_unload(q);
    q->store.info.size = q->h.size;
    r = qcow2_load(q, err);
    return r ? qcow2_break(q) : 0;
}

/* The most clusters that new tables take, but for the counts. */
static uint64_t new_tables(const struct rebuild *b)
{
    return b->l1_size + qcow2_clusters(b->q, b->l1_size * 8) + qcow2_clusters(b->q, b->list_len);
}

static int must_use prepare(struct rebuild *b, struct err *err)
{
    struct qcow2 *q = b->q;
    int r = qcow2_snapshots_read(q, &b->snapshots, err);

    if (r)
        return r;
    b->buf = malloc(q->cluster);
    r = b->buf ? make_list(b) : -ENOMEM;
    if (!r)
        r = choose_contents(b);
    if (!r)
        r = qcow2_census_init(q, &b->old, new_tables(b), err);
    if (!r)
        r = qcow2_census_init(q, &b->new, new_tables(b), err);
    if (!r)
        r = qcow2_count_all(q, &b->old, &b->snapshots);
    return r ? r : count_new(b);
}

static int must_use rebuild(struct rebuild *b, struct err *err)
{
    int r = prepare(b, err);

    if (!r)
        r = place_map(b);
    if (!r)
        r = place_refs(b);
    b->header.size = b->plan->size;
    b->header.l1_size = (uint32_t)b->l1_size;
    b->header.snapshots = b->list_count;
    b->header.snapshots_offset = b->list_len ? b->header.snapshots_offset : 0;
    b->header.incompatible &= ~(uint64_t)QCOW2_DIRTY;
    b->header.autoclear = 0;
    if (!r)
        r = write_all(b);
    return r ? r : switch_over(b, err);
}

static int failed(const struct rebuild *b, int code, struct err *err)
{
    const char *why = code == -EFBIG    ? "it would become too large for its cluster size"
                      : code == -ERANGE ? "a cluster would be in more snapshots than can be counted"
                      : code == -EIO    ? "its tables are corrupt, or cannot be read or written"
                                        : strerror(-code);

    return err_set(err, code, "disk '%s': the image cannot be changed: %s", b->q->store.name, why);
}

/* What a failed attempt wrote behind the file's old end: those clusters hold no zeroes now. */
static void note_remains(struct qcow2 *q)
{
    struct stat st;
    uint64_t end = fstat(q->fd, &st) < 0 ? 0 : qcow2_clusters(q, (uint64_t)st.st_size);

    q->end = end > q->end ? end : q->end;
}

int qcow2_rebuild(struct qcow2 *q, const struct qcow2_plan *plan, struct err *err)
{
    struct rebuild b = {.q = q, .plan = plan, .header = q->h, .hint = 1};
    struct err own = {0};
    int r = qcow2_commit(q);

    b.header = q->h; /* the commit may have moved a table */
    if (!r)
        r = rebuild(&b, &own);
    if (r)
        note_remains(q);
    qcow2_snapshots_done(&b.snapshots);
    qcow2_census_done(&b.old);
    qcow2_census_done(&b.new);
    free(b.from);
    free(b.l1);
    free(b.table);
    free(b.list);
    free(b.buf);
    if (r && own.code)
        return err_set(err, r, "%s", own.text);
    return r ? failed(&b, r, err) : 0;
}
