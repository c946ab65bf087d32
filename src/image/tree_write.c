/* SPDX-License-Identifier: Apache-2.0 */
/* Files' contents in a tree's data file, and directories in order. Contract: image/tree.h. */
#include "image/tree.h"

#include "base/checked.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- contents --- */

void tree_write_begin(struct tree_writer *w, struct tree *t, struct tree_inode *inode)
{
    w->tree = t;
    w->inode = inode;
    w->at = 0;
    w->fill = 0;
    inode->block = t->next;
}

static bool tree_is_zero(const uint8_t *data, size_t len)
{
    return !data[0] && memcmp(data, data + 1, len - 1) == 0;
}

/* Whole blocks to the data file; zeroes become holes. */
static int tree_write_blocks(struct tree_writer *w, size_t len)
{
    struct tree *t = w->tree;

    if (len / TREE_BLOCK > t->data_max - t->next)
        return -ENOSPC;
    for (size_t at = 0; at < len; at += TREE_BLOCK) {
        size_t run = at;
        ssize_t n;

        if (tree_is_zero(w->block + at, TREE_BLOCK))
            continue;
        while (run < len && !tree_is_zero(w->block + run, TREE_BLOCK))
            run += TREE_BLOCK;
        n = pwrite(t->data_fd, w->block + at, run - at, (off_t)(t->next * TREE_BLOCK + at));
        if (n != (ssize_t)(run - at))
            return n < 0 ? -errno : -ENOSPC;
        at = run - TREE_BLOCK;
    }
    t->next += len / TREE_BLOCK;
    return 0;
}

static int tree_write_bytes(struct tree_writer *w, const uint8_t *data, uint64_t len)
{
    while (len) {
        size_t n = sizeof(w->block) - w->fill;
        int r;

        n = n > len ? (size_t)len : n;
        if (data)
            memcpy(w->block + w->fill, data, n);
        else
            memset(w->block + w->fill, 0, n);
        data += data ? n : 0;
        len -= n;
        w->fill += n;
        w->at += n;
        if (w->fill < sizeof(w->block))
            continue;
        r = tree_write_blocks(w, w->fill);
        if (r < 0)
            return r;
        w->fill = 0;
    }
    return 0;
}

int tree_write(struct tree_writer *w, uint64_t offset, const void *data, size_t len)
{
    uint64_t end;
    int r = 0;

    if (offset < w->at || ckd_add(&end, offset, len) || end > INT64_MAX)
        return -EINVAL;
    if (end / TREE_BLOCK > w->tree->data_max - w->inode->block)
        return -ENOSPC;
    if (offset > w->at)
        r = tree_write_bytes(w, NULL, offset - w->at);
    return r < 0 ? r : tree_write_bytes(w, data, len);
}

int tree_write_end(struct tree_writer *w)
{
    struct tree_inode *i = w->inode;
    size_t tail = w->fill % TREE_BLOCK, whole = w->fill - tail;
    int r;

    i->size = w->at;
    if (tail > TREE_TAIL_MAX) {
        memset(w->block + w->fill, 0, TREE_BLOCK - tail);
        whole += TREE_BLOCK;
        tail = 0;
    }
    r = tree_write_blocks(w, whole);
    if (r < 0 || !tail)
        return r;
    i->tail = tree_alloc(w->tree, tail);
    if (!i->tail)
        return -E2BIG;
    memcpy(i->tail, w->block + whole, tail);
    i->tail_len = tail;
    return 0;
}

int tree_put_file(struct tree *t, const char *path, uint32_t mode, const void *data, size_t len,
                  struct err *err)
{
    const struct tree_entry e = {.path = path, .mode = S_IFREG | (mode & 07777)};
    struct tree_writer *w = malloc(sizeof(*w));
    struct tree_inode *inode = NULL;
    int r = w ? tree_put(t, &e, &inode, err) : err_set(err, -ENOMEM, "out of memory");

    if (r == 0) {
        tree_write_begin(w, t, inode);
        r = tree_write(w, 0, data, len);
        if (r == 0)
            r = tree_write_end(w);
        if (r < 0)
            (void)err_set(err, r, "'%.200s': %s", path, strerror(-r));
    }
    free(w);
    return r;
}

/* --- sorting --- */

static int tree_compare(const void *a, const void *b)
{
    const struct tree_node *x = *(struct tree_node *const *)a, *y = *(struct tree_node *const *)b;
    size_t len = x->name_len < y->name_len ? x->name_len : y->name_len;
    int r = memcmp(x->name, y->name, len);

    return r ? r : (int)x->name_len - (int)y->name_len;
}

struct tree_node **tree_sorted(struct tree_inode *dir)
{
    uint32_t i = 0;

    if (dir->sorted)
        return dir->sorted;
    dir->sorted = calloc((size_t)dir->entries + 1, sizeof(struct tree_node *));
    if (!dir->sorted)
        return NULL;
    for (struct tree_node *n = dir->first; n; n = n->next)
        dir->sorted[i++] = n;
    qsort(dir->sorted, i, sizeof(struct tree_node *), tree_compare);
    return dir->sorted;
}
