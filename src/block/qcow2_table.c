/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2: the snapshot table, read and encoded. Contract: qcow2_rebuild.h. */
#include "qcow2_rebuild.h"

#include "base/checked.h"
#include "base/endian.h"
#include "base/text.h"
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_HEAD = 40, EXTRA_MAX = 1024, EXTRA_SIZE = 16, TABLE_MAX = 64 << 20 };

struct lengths {
    uint32_t extra;
    uint16_t id, name;
};

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static void copy_text(char *to, size_t size, const uint8_t *from, size_t len)
{
    len = len < size ? len : size - 1;
    memcpy(to, from, len);
    to[len] = 0;
    text_make_printable(to, len);
}

static void decode(const uint8_t *p, const struct lengths *len, uint64_t disk_size,
                   struct qcow2_snapshot *s)
{
    const uint8_t *text = p + ENTRY_HEAD + len->extra;

    *s = (struct qcow2_snapshot){
        .l1_offset = ld_be64(p),
        .l1_size = ld_be32(p + 8),
        .seconds = ld_be32(p + 16),
        .nanoseconds = ld_be32(p + 20),
        .vm_clock = ld_be64(p + 24),
        .vm_state = len->extra >= 8 ? ld_be64(p + ENTRY_HEAD) : ld_be32(p + 32),
        .size = len->extra >= 16 ? ld_be64(p + ENTRY_HEAD + 8) : disk_size,
    };
    copy_text(s->id, sizeof(s->id), text, len->id);
    copy_text(s->name, sizeof(s->name), text + len->id, len->name);
}

/* One entry from file offset `at`, appended to s. */
static int must_use read_entry(struct qcow2 *q, struct qcow2_snapshots *s, uint64_t at)
{
    struct qcow2_entry_raw *entry = &s->list[s->count];
    uint8_t head[ENTRY_HEAD], *data;
    struct lengths len;
    size_t size;
    int r = image_read(q->fd, at, head, sizeof(head));

    if (r)
        return r;
    len = (struct lengths){ld_be32(head + 36), ld_be16(head + 12), ld_be16(head + 14)};
    size = padded(ENTRY_HEAD + (size_t)len.extra + len.id + len.name);
    if (len.extra > EXTRA_MAX || s->len + size > TABLE_MAX)
        return -EIO;
    data = realloc(s->data, s->len + size);
    if (!data)
        return -ENOMEM;
    s->data = data;
    r = image_read_padded(q->fd, at, data + s->len, size);
    if (r)
        return r;
    decode(data + s->len, &len, q->h.size, &entry->snapshot);
    *entry = (struct qcow2_entry_raw){entry->snapshot, s->len, size};
    s->len += size;
    s->count++;
    return 0;
}

static bool snapshot_ok(const struct qcow2 *q, const struct qcow2_snapshot *s)
{
    uint64_t n = qcow2_clusters(q, (uint64_t)s->l1_size * 8);

    return !(s->l1_offset & (q->cluster - 1)) && (uint64_t)s->l1_size * 8 <= QCOW2_L1_BYTES_MAX &&
           range_within(s->l1_offset >> q->bits, n, q->end) && (s->l1_offset || !s->l1_size) &&
           s->size <= INT64_MAX && s->size % QCOW2_SECTOR == 0;
}

int qcow2_snapshots_read(struct qcow2 *q, struct qcow2_snapshots *ret, struct err *err)
{
    struct qcow2_snapshots s = {.list = calloc((size_t)q->h.snapshots + 1, sizeof(*s.list))};
    int r = s.list ? 0 : -ENOMEM;

    while (!r && s.count < q->h.snapshots) {
        r = read_entry(q, &s, q->h.snapshots_offset + s.len);
        if (!r && !snapshot_ok(q, &s.list[s.count - 1].snapshot))
            r = -EIO;
    }
    if (!r) {
        *ret = s;
        return 0;
    }
    qcow2_snapshots_done(&s);
    return err_set(err, r, "disk '%s': cannot read the image's snapshot table: %s", q->store.name,
                   r == -EIO ? "it is corrupt" : strerror(-r));
}

void qcow2_snapshots_done(struct qcow2_snapshots *s)
{
    free(s->data);
    free(s->list);
    *s = (struct qcow2_snapshots){0};
}

int qcow2_note_snapshots(struct qcow2 *q, struct err *err)
{
    struct qcow2_snapshots s;
    int r = qcow2_snapshots_read(q, &s, err);

    if (r)
        return r;
    for (uint64_t i = 0; !r && i < qcow2_clusters(q, s.len); i++)
        r = qcow2_set_add(&q->meta, (q->h.snapshots_offset >> q->bits) + i);
    for (uint32_t n = 0; !r && n < s.count; n++) {
        const struct qcow2_snapshot *snapshot = &s.list[n].snapshot;

        for (uint64_t i = 0; !r && i < qcow2_clusters(q, (uint64_t)snapshot->l1_size * 8); i++)
            r = qcow2_set_add(&q->meta, (snapshot->l1_offset >> q->bits) + i);
    }
    qcow2_snapshots_done(&s);
    return r ? err_set(err, r == -EEXIST ? -EIO : r,
                       "disk '%s': the image is corrupt: a snapshot's table lies where another "
                       "one is; `qemu-img check -r all` may help",
                       q->store.name)
             : 0;
}

size_t qcow2_snapshot_encode(const struct qcow2_snapshot *s, uint8_t *buf)
{
    size_t id = strlen(s->id), name = strlen(s->name), at = ENTRY_HEAD + EXTRA_SIZE;

    memset(buf, 0, 512);
    st_be64(buf, s->l1_offset);
    st_be32(buf + 8, s->l1_size);
    st_be16(buf + 12, (uint16_t)id);
    st_be16(buf + 14, (uint16_t)name);
    st_be32(buf + 16, s->seconds);
    st_be32(buf + 20, s->nanoseconds);
    st_be64(buf + 24, s->vm_clock);
    st_be32(buf + 36, EXTRA_SIZE);
    st_be64(buf + ENTRY_HEAD, s->vm_state);
    st_be64(buf + ENTRY_HEAD + 8, s->size);
    memcpy(buf + at, s->id, id);
    memcpy(buf + at + id, s->name, name);
    return padded(at + id + name);
}
