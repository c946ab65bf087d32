/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qcow2: the header and its extensions. What we do not know and must know is refused by name; the
 * image's own table of feature names helps with what is newer than we are.
 */
#include "qcow2_impl.h"

#include "base/checked.h"
#include "base/endian.h"
#include "base/text.h"
#include "file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC UINT32_C(0x514649fb)

enum { /* offsets of fields */
       AT_VERSION = 4,
       AT_BACKING = 8,
       AT_BACKING_LEN = 16,
       AT_CLUSTER_BITS = 20,
       AT_SIZE = 24,
       AT_CRYPT = 32,
       AT_L1_SIZE = 36,
       AT_L1 = 40,
       AT_TABLE = 48,
       AT_TABLE_CLUSTERS = 56,
       AT_SNAPSHOTS = 60,
       AT_SNAPSHOT_TABLE = 64,
       AT_INCOMPATIBLE = 72,
       AT_COMPATIBLE = 80,
       AT_AUTOCLEAR = 88,
       AT_REFCOUNT_ORDER = 96,
       AT_LENGTH = 100,
       AT_COMPRESSION = 104,
};
enum { V2_LENGTH = 72, V3_LENGTH_MIN = 104, V3_LENGTH = 112, AREA_MAX = 1 << 16 };
enum { FEATURE_SIZE = 48, FEATURE_NAME = 46 };

#define EXT_BACKING_FORMAT UINT32_C(0xe2792aca)
#define EXT_FEATURE_NAMES  UINT32_C(0x6803f857)
#define EXT_BITMAPS        UINT32_C(0x23852875)

struct area { /* the header cluster, as far as it matters */
    uint8_t data[AREA_MAX];
    size_t len;
    const uint8_t *names; /* feature name table */
    size_t names_len;
};

struct reading {
    struct qcow2 *q;
    struct area *area;
    const char *path;
    struct err *err;
};

static int bad(const struct reading *rd, const char *why)
{
    return err_set(rd->err, -ENOEXEC, "disk '%s': no qcow2 image that can be used: %s", rd->path,
                   why);
}

/* --- Fields --- */
static void parse_fixed(const uint8_t *p, struct qcow2_header *h)
{
    h->version = ld_be32(p + AT_VERSION);
    h->cluster_bits = ld_be32(p + AT_CLUSTER_BITS);
    h->size = ld_be64(p + AT_SIZE);
    h->l1_size = ld_be32(p + AT_L1_SIZE);
    h->l1_offset = ld_be64(p + AT_L1);
    h->table_offset = ld_be64(p + AT_TABLE);
    h->table_clusters = ld_be32(p + AT_TABLE_CLUSTERS);
    h->snapshots = ld_be32(p + AT_SNAPSHOTS);
    h->snapshots_offset = ld_be64(p + AT_SNAPSHOT_TABLE);
    h->length = V2_LENGTH;
    h->refcount_order = 4;
}

static void parse_v3(const uint8_t *p, struct qcow2_header *h)
{
    h->incompatible = ld_be64(p + AT_INCOMPATIBLE);
    h->compatible = ld_be64(p + AT_COMPATIBLE);
    h->autoclear = ld_be64(p + AT_AUTOCLEAR);
    h->refcount_order = ld_be32(p + AT_REFCOUNT_ORDER);
    h->length = ld_be32(p + AT_LENGTH);
    h->compression = h->length > AT_COMPRESSION ? p[AT_COMPRESSION] : 0;
}

static int must_use check_geometry(const struct reading *rd, uint64_t file_size)
{
    const struct qcow2_header *h = &rd->q->h;
    uint64_t cluster = UINT64_C(1) << h->cluster_bits, covered;

    if ((h->l1_offset | h->table_offset | h->snapshots_offset) & (cluster - 1))
        return bad(rd, "a table does not start at a cluster");
    if ((uint64_t)h->l1_size * 8 > QCOW2_L1_BYTES_MAX ||
        (uint64_t)h->table_clusters << h->cluster_bits > QCOW2_TABLE_BYTES_MAX)
        return bad(rd, "its tables are larger than any image needs");
    if (!range_within(h->l1_offset, (uint64_t)h->l1_size * 8, file_size) ||
        !range_within(h->table_offset, (uint64_t)h->table_clusters << h->cluster_bits,
                      file_size + cluster) ||
        !h->table_clusters || !h->table_offset || (h->l1_size && !h->l1_offset))
        return bad(rd, "a table lies outside the file; is it cut off?");
    if (h->snapshots > QCOW2_SNAPSHOTS_MAX || (h->snapshots && !h->snapshots_offset) ||
        h->snapshots_offset > file_size)
        return bad(rd, "its snapshot table lies outside the file");
    if (h->size % QCOW2_SECTOR || h->size > INT64_MAX)
        return bad(rd, "its size is no whole number of sectors");
    covered = (uint64_t)h->l1_size * (cluster / 8); /* clusters */
    if (covered < h->size >> h->cluster_bits ||
        (covered == h->size >> h->cluster_bits && h->size & (cluster - 1)))
        return bad(rd, "its L1 table is too short for its size");
    return 0;
}

/* --- Extensions --- */
static void extension(struct reading *rd, uint32_t type, const uint8_t *data, uint32_t len)
{
    struct qcow2_header *h = &rd->q->h;

    switch (type) {
    case EXT_BACKING_FORMAT:
        if (len <= QCOW2_FORMAT_MAX) {
            memcpy(h->backing_format, data, len);
            h->backing_format[len] = 0;
        }
        break;
    case EXT_FEATURE_NAMES:
        rd->area->names = data;
        rd->area->names_len = len;
        break;
    case EXT_BITMAPS: h->bitmaps = true; break;
    default: break;
    }
}

static int must_use parse_extensions(struct reading *rd, size_t end)
{
    const uint8_t *data = rd->area->data;
    size_t at = rd->q->h.length;

    while (at + 8 <= end) {
        uint32_t type = ld_be32(data + at), len = ld_be32(data + at + 4);

        at += 8;
        if (!type)
            return 0;
        if (!range_within(at, len, end))
            return bad(rd, "a header extension is longer than the header");
        extension(rd, type, data + at, len);
        at += (len + 7) & ~(size_t)7;
    }
    return 0;
}

/* --- Features --- */
static void feature_name(const struct area *area, unsigned bit, char *buf, size_t size)
{
    static const char *const known[] = {
        [2] = "external data file",
        [4] = "extended L2 entries (subclusters)",
    };

    snprintf(buf, size, "%s", bit < ARRAY_LEN(known) && known[bit] ? known[bit] : "no name");
    for (size_t at = 0; at + FEATURE_SIZE <= area->names_len; at += FEATURE_SIZE)
        if (area->names[at] == 0 && area->names[at + 1] == bit && strcmp(buf, "no name") == 0)
            snprintf(buf, size, "%.*s", FEATURE_NAME, (const char *)area->names + at + 2);
    text_make_printable(buf, strlen(buf));
}

static int must_use check_features(const struct reading *rd)
{
    const struct qcow2_header *h = &rd->q->h;
    uint64_t unknown =
        h->incompatible & ~(uint64_t)(QCOW2_DIRTY | QCOW2_CORRUPT | QCOW2_COMPRESSION);
    bool write = !rd->q->store.info.read_only;
    char name[FEATURE_NAME + 1];

    if (unknown) {
        unsigned bit = (unsigned)__builtin_ctzll(unknown);

        feature_name(rd->area, bit, name, sizeof(name));
        return err_set(rd->err, -EOPNOTSUPP,
                       "disk '%s': %s needs a feature that is not supported: %s (bit %u); "
                       "`qemu-img convert` can make an image without it",
                       rd->q->store.name, rd->path, name, bit);
    }
    if (h->compression > 1 || !h->compression != !(h->incompatible & QCOW2_COMPRESSION))
        return bad(rd, "its compression is neither zlib nor zstd");
    if (write && h->incompatible & QCOW2_CORRUPT)
        return err_set(rd->err, -EIO,
                       "disk '%s': %s is marked corrupt; open it read-only to save what is there",
                       rd->q->store.name, rd->path);
    if (write && h->bitmaps)
        return err_set(rd->err, -EOPNOTSUPP,
                       "disk '%s': %s has dirty bitmaps, which writing would make wrong; remove "
                       "them with `qemu-img bitmap --remove`, or open it read-only",
                       rd->q->store.name, rd->path);
    return 0;
}

static int must_use parse_backing(const struct reading *rd, size_t end)
{
    struct qcow2_header *h = &rd->q->h;
    uint64_t offset = ld_be64(rd->area->data + AT_BACKING);
    uint32_t len = ld_be32(rd->area->data + AT_BACKING_LEN);

    if (!offset)
        return 0;
    if (!len || len > QCOW2_BACKING_MAX || !range_within(offset, len, end) ||
        memchr(rd->area->data + offset, 0, len))
        return bad(rd, "the name of its backing file is broken");
    memcpy(h->backing, rd->area->data + offset, len);
    h->backing[len] = 0;
    return 0;
}

static int must_use parse(struct reading *rd, uint64_t file_size)
{
    struct qcow2_header *h = &rd->q->h;
    struct area *area = rd->area;
    size_t end;
    int r;

    if (area->len < V2_LENGTH || ld_be32(area->data) != MAGIC)
        return bad(rd, "it does not start like one");
    parse_fixed(area->data, h);
    if (h->version != 2 && h->version != 3)
        return bad(rd, "versions 2 and 3 are known");
    if (ld_be32(area->data + AT_CRYPT))
        return bad(rd, "it is encrypted");
    if (h->cluster_bits < 9 || h->cluster_bits > 21)
        return bad(rd, "its cluster size is not between 512 bytes and 2 MiB");
    end = (size_t)1 << h->cluster_bits;
    end = end < area->len ? end : area->len;
    if (h->version == 3 && end >= V3_LENGTH_MIN)
        parse_v3(area->data, h);
    if (h->length < (h->version == 3 ? V3_LENGTH_MIN : V2_LENGTH) || h->length > end ||
        h->length % 8 || h->refcount_order > 6)
        return bad(rd, "its header is broken");
    r = parse_extensions(rd, end);
    if (!r)
        r = check_features(rd);
    if (!r)
        r = parse_backing(rd, end);
    return r ? r : check_geometry(rd, file_size);
}

int qcow2_header_read(struct qcow2 *q, uint64_t file_size, const char *path, struct err *err)
{
    struct area *area = calloc(1, sizeof(*area));
    struct reading rd = {q, area, path, err};
    int r;

    if (!area)
        return err_set(err, -ENOMEM, "disk %s: out of memory", path);
    area->len = file_size < AREA_MAX ? (size_t)file_size : AREA_MAX;
    r = image_read(q->fd, 0, area->data, area->len);
    r = r ? err_set(err, r, "disk '%s': cannot read %s: %s", q->store.name, path, strerror(-r))
          : parse(&rd, file_size);
    memcpy(q->sector, area->data, sizeof(q->sector));
    free(area);
    return r;
}

/* --- Writing --- */
static void encode(const struct qcow2_header *h, uint8_t *p)
{
    st_be64(p + AT_SIZE, h->size);
    st_be32(p + AT_L1_SIZE, h->l1_size);
    st_be64(p + AT_L1, h->l1_offset);
    st_be64(p + AT_TABLE, h->table_offset);
    st_be32(p + AT_TABLE_CLUSTERS, h->table_clusters);
    st_be32(p + AT_SNAPSHOTS, h->snapshots);
    st_be64(p + AT_SNAPSHOT_TABLE, h->snapshots_offset);
    if (h->version < 3)
        return;
    st_be64(p + AT_INCOMPATIBLE, h->incompatible);
    st_be64(p + AT_AUTOCLEAR, h->autoclear);
}

int qcow2_header_write(struct qcow2 *q)
{
    encode(&q->h, q->sector);
    return image_write(q->fd, 0, q->sector, sizeof(q->sector));
}

static size_t put_extension(uint8_t *at, uint32_t type, const void *data, size_t len)
{
    st_be32(at, type);
    st_be32(at + 4, (uint32_t)len);
    if (len)
        memcpy(at + 8, data, len);
    return 8 + ((len + 7) & ~(size_t)7);
}

size_t qcow2_header_size(const struct qcow2_header *h)
{
    size_t format = h->backing[0] ? 8 + ((strlen(h->backing_format) + 7) & ~(size_t)7) : 0;

    return V3_LENGTH + format + 8 + strlen(h->backing);
}

void qcow2_header_make(const struct qcow2_header *h, uint8_t *buf)
{
    size_t at = V3_LENGTH;

    st_be32(buf, MAGIC);
    st_be32(buf + AT_VERSION, 3);
    st_be32(buf + AT_CLUSTER_BITS, h->cluster_bits);
    st_be32(buf + AT_REFCOUNT_ORDER, h->refcount_order);
    st_be32(buf + AT_LENGTH, V3_LENGTH);
    st_be64(buf + AT_COMPATIBLE, h->compatible);
    encode(h, buf);
    if (!h->backing[0])
        return;
    at += put_extension(buf + at, EXT_BACKING_FORMAT, h->backing_format, strlen(h->backing_format));
    at += put_extension(buf + at, 0, NULL, 0);
    st_be64(buf + AT_BACKING, at);
    st_be32(buf + AT_BACKING_LEN, (uint32_t)strlen(h->backing));
    memcpy(buf + at, h->backing, strlen(h->backing));
}
