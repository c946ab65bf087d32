/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2: resize, snapshots and check: what is done to an image as a whole. Contract: qcow2.h. */
#include "qcow2_rebuild.h"

#include "base/endian.h"
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Everything claimed, lock held; the claim is released by end_whole(). */
static void begin_whole(struct qcow2 *q, struct blk_claim *claim)
{
    *claim = (struct blk_claim){.last = UINT64_MAX, .exclusive = true};
    pthread_mutex_lock(&q->lock);
    qcow2_claim(q, claim);
}

static void end_whole(struct qcow2 *q, struct blk_claim *claim)
{
    qcow2_release(q, claim);
    pthread_mutex_unlock(&q->lock);
}

static int must_use writable(const struct qcow2 *q, struct err *err)
{
    if (q->store.info.read_only)
        return err_set(err, -EROFS, "disk '%s': it is open read-only", q->store.name);
    if (q->broken)
        return err_set(err, -EIO, "disk '%s': writing it failed before; check it first",
                       q->store.name);
    return 0;
}

/* --- Resize --- */
/* What lies in the last cluster behind the disk's end must read as zeroes once the disk reaches
 * there: written now, while nobody can see it. */
static int must_use clear_tail(struct qcow2 *q)
{
    uint64_t size = q->store.info.size, end = (size + q->cluster - 1) & ~(q->cluster - 1);
    struct blk_req req = {.op = BLK_WRITE_ZEROES, .offset = size, .length = end - size};

    return size == end ? 0 : qcow2_io(&q->store, &req);
}

int qcow2_resize(struct blk_store *store, uint64_t size, struct err *err)
{
    struct qcow2 *q = qcow2_of(store);
    struct qcow2_plan plan = {.size = size};
    struct blk_claim claim;
    int r = writable(q, err);

    if (r)
        return r;
    if (size > store->info.size) {
        r = clear_tail(q);
        if (r == -EACCES)
            return err_set(err, r,
                           "disk '%s': its last cluster is completed from the backing file; name "
                           "the folder of that (--backing-dir)",
                           store->name);
        if (r)
            return err_set(err, r, "disk '%s': cannot write: %s", store->name, strerror(-r));
        /* Nothing of a longer backing file may come to light. */
        if (q->h.backing[0] && (!q->backing || q->backing->info.size > store->info.size)) {
            plan.zero_first = qcow2_clusters(q, store->info.size);
            plan.zero_end = qcow2_clusters(q, size);
            if (q->h.version < 3)
                return err_set(err, -EOPNOTSUPP,
                               "disk '%s': an image of version 2 cannot grow over its backing file",
                               store->name);
        }
    }
    begin_whole(q, &claim);
    r = qcow2_rebuild(q, &plan, err);
    end_whole(q, &claim);
    return r;
}

/* --- Snapshots --- */
int qcow2_snapshot_list(struct blk_store *store,
                        bool (*fn)(void *arg, const struct qcow2_snapshot *snapshot), void *arg,
                        struct err *err)
{
    struct qcow2 *q = qcow2_of(store);
    struct qcow2_snapshots s;
    int r;

    pthread_mutex_lock(&q->lock);
    r = qcow2_snapshots_read(q, &s, err);
    pthread_mutex_unlock(&q->lock);
    if (r)
        return r;
    for (uint32_t i = 0; i < s.count; i++)
        if (!fn(arg, &s.list[i].snapshot))
            break;
    qcow2_snapshots_done(&s);
    return 0;
}

/* By name, or else by id. */
static const struct qcow2_snapshot *find(const struct qcow2_snapshots *s, const char *name)
{
    for (uint32_t i = 0; i < s->count; i++)
        if (!strcmp(s->list[i].snapshot.name, name))
            return &s->list[i].snapshot;
    for (uint32_t i = 0; i < s->count; i++)
        if (!strcmp(s->list[i].snapshot.id, name))
            return &s->list[i].snapshot;
    return NULL;
}

static int must_use new_snapshot(struct qcow2 *q, const struct qcow2_snapshots *s, const char *name,
                                 struct qcow2_snapshot *ret, struct err *err)
{
    unsigned long id = 0;
    struct timespec now;

    if (!*name || strlen(name) >= sizeof(ret->name))
        return err_set(err, -EINVAL, "disk '%s': a snapshot's name has 1 to %zu bytes",
                       q->store.name, sizeof(ret->name) - 1);
    if (find(s, name))
        return err_set(err, -EEXIST, "disk '%s': there is a snapshot '%s' already", q->store.name,
                       name);
    if (s->count >= QCOW2_SNAPSHOTS_MAX)
        return err_set(err, -EFBIG, "disk '%s': it has %u snapshots already", q->store.name,
                       s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        unsigned long n = strtoul(s->list[i].snapshot.id, NULL, 10);

        id = n > id && n < UINT32_MAX ? n : id;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct qcow2_snapshot){
        .l1_offset = q->h.l1_offset,
        .l1_size = q->h.l1_size,
        .size = q->h.size,
        .seconds = (uint32_t)now.tv_sec,
        .nanoseconds = (uint32_t)now.tv_nsec,
    };
    snprintf(ret->id, sizeof(ret->id), "%lu", id + 1);
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    return 0;
}

enum change { CREATE, APPLY, DELETE };

static int must_use change_locked(struct qcow2 *q, enum change change, const char *name,
                                  struct err *err)
{
    struct qcow2_plan plan = {.size = q->h.size};
    struct qcow2_snapshot added;
    struct qcow2_snapshots s;
    int r = qcow2_snapshots_read(q, &s, err);

    if (r)
        return r;
    if (change == CREATE) {
        r = qcow2_commit(q); /* may move what the snapshot will name */
        r = r ? err_set(err, r, "disk '%s': cannot write: %s", q->store.name, strerror(-r))
              : new_snapshot(q, &s, name, &added, err);
        plan.add = &added;
    } else {
        const struct qcow2_snapshot *found = find(&s, name);

        if (!found)
            r = err_set(err, -ENOENT, "disk '%s': there is no snapshot '%s'", q->store.name, name);
        else if (change == APPLY)
            plan = (struct qcow2_plan){.size = found->size, .apply = found};
        else
            plan.drop = found;
    }
    if (!r)
        r = qcow2_rebuild(q, &plan, err);
    qcow2_snapshots_done(&s);
    return r;
}

static int must_use change_snapshot(struct blk_store *store, enum change change, const char *name,
                                    struct err *err)
{
    struct qcow2 *q = qcow2_of(store);
    struct blk_claim claim;
    int r = writable(q, err);

    if (r)
        return r;
    begin_whole(q, &claim);
    r = change_locked(q, change, name, err);
    end_whole(q, &claim);
    return r;
}

int qcow2_snapshot_create(struct blk_store *store, const char *name, struct err *err)
{
    return change_snapshot(store, CREATE, name, err);
}

int qcow2_snapshot_apply(struct blk_store *store, const char *name, struct err *err)
{
    return change_snapshot(store, APPLY, name, err);
}

int qcow2_snapshot_delete(struct blk_store *store, const char *name, struct err *err)
{
    return change_snapshot(store, DELETE, name, err);
}

/* --- Check --- */
/* Flags of the present tables that do not say what the counts say. */
static int must_use check_flags(struct qcow2 *q, const struct qcow2_census *census,
                                struct qcow2_report *report)
{
    uint8_t *table = malloc(q->cluster);
    int r = table ? 0 : -ENOMEM;

    for (uint64_t i = 0; !r && i < q->h.l1_size; i++) {
        uint64_t offset = q->l1[i] & QCOW2_OFFSET;

        if (!offset)
            continue;
        report->corruptions +=
            !(q->l1[i] & QCOW2_COPIED) != (census->counts[offset >> q->bits] != 1);
        r = image_read_padded(q->fd, offset, table, q->cluster);
        for (uint64_t n = 0; !r && n < q->cluster / 8; n++) {
            uint64_t entry = ld_be64(table + n * 8), host = (entry & QCOW2_OFFSET) >> q->bits;

            if (!(entry & QCOW2_COMPRESSED) && host && host < census->size)
                report->corruptions += !(entry & QCOW2_COPIED) != (census->counts[host] != 1);
        }
    }
    free(table);
    return r;
}

static int must_use compare(struct qcow2 *q, const struct qcow2_census *census,
                            struct qcow2_report *report)
{
    int r = 0;

    for (uint64_t c = 0; !r && c < census->size; c++) {
        uint64_t count = 0;

        r = qcow2_ref_get(q, c, &count);
        report->leaks += count > census->counts[c];
        report->corruptions += count < census->counts[c];
    }
    report->corruptions += census->bad;
    report->clusters = q->end;
    report->allocated = census->allocated;
    return r ? r : check_flags(q, census, report);
}

static int must_use check_locked(struct qcow2 *q, struct qcow2_report *ret, struct err *err)
{
    struct qcow2_census census = {.tolerant = true};
    struct qcow2_report report = {0};
    struct qcow2_snapshots s;
    int r = qcow2_snapshots_read(q, &s, err);

    if (r)
        return r;
    r = qcow2_census_init(q, &census, 0, err);
    if (!r) {
        r = q->store.info.read_only ? 0 : qcow2_commit(q);
        if (!r)
            r = qcow2_count_all(q, &census, &s);
        if (!r)
            r = compare(q, &census, &report);
        if (r)
            r = err_set(err, r, "disk '%s': cannot check it: %s", q->store.name, strerror(-r));
    }
    qcow2_census_done(&census);
    qcow2_snapshots_done(&s);
    if (!r)
        *ret = report;
    return r;
}

int qcow2_check(struct blk_store *store, bool repair, struct qcow2_report *ret_report,
                struct err *err)
{
    struct qcow2 *q = qcow2_of(store);
    struct blk_claim claim;
    int r;

    begin_whole(q, &claim);
    r = check_locked(q, ret_report, err);
    if (!r && repair && (ret_report->leaks || ret_report->corruptions)) {
        r = writable(q, err);
        if (!r)
            r = qcow2_rebuild(q, &(struct qcow2_plan){.size = q->h.size}, err);
    }
    end_whole(q, &claim);
    return r;
}
