/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of a share: what the guest calls by a number, and which file of the host that is.
 * Invariants: at most one node a file (dev, ino), so hard links are one node; a node lives while
 * the guest has lookups to forget or a thread works with it; its number is never given again, so a
 * number from before finds nothing. Node FUSE_ROOT_ID is always there.
 */
#include "share/internal.h"

#include <errno.h>
#include <posada/log.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUCKETS_FIRST = 1024 };

static unsigned hash_id(const struct share_nodes *t, uint64_t id)
{
    return (unsigned)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (t->buckets - 1);
}

static unsigned hash_file(const struct share_nodes *t, dev_t dev, ino_t ino)
{
    return hash_id(t, ino ^ dev * UINT64_C(0x100000001b3));
}

static void nodes_link(struct share_nodes *t, struct share_node *node)
{
    struct share_node **id = &t->by_id[hash_id(t, node->id)];
    struct share_node **file = &t->by_file[hash_file(t, node->dev, node->ino)];

    node->next_by_id = *id;
    *id = node;
    node->next_by_file = *file;
    *file = node;
}

static void nodes_unlink(struct share_nodes *t, const struct share_node *node)
{
    struct share_node **id = &t->by_id[hash_id(t, node->id)];
    struct share_node **file = &t->by_file[hash_file(t, node->dev, node->ino)];

    while (*id != node)
        id = &(*id)->next_by_id;
    *id = node->next_by_id;
    while (*file != node)
        file = &(*file)->next_by_file;
    *file = node->next_by_file;
    t->count--;
}

/* Without memory the chains only get longer. */
static void nodes_grow(struct share_nodes *t)
{
    struct share_nodes old = *t;
    unsigned buckets = t->buckets * 2;
    struct share_node **by_id = calloc(buckets, sizeof(*by_id));
    struct share_node **by_file = calloc(buckets, sizeof(*by_file));

    if (!by_id || !by_file) {
        free(by_id);
        free(by_file);
        return;
    }
    t->by_id = by_id;
    t->by_file = by_file;
    t->buckets = buckets;
    for (unsigned i = 0; i < old.buckets; i++)
        for (struct share_node *n = old.by_id[i], *next; n; n = next) {
            next = n->next_by_id;
            nodes_link(t, n);
        }
    free(old.by_id);
    free(old.by_file);
}

int share_nodes_init(struct share_nodes *t, unsigned max, uint32_t session)
{
    *t = (struct share_nodes){
        .buckets = BUCKETS_FIRST, .max = max, .next_id = (uint64_t)session << 32 | FUSE_ROOT_ID};
    t->by_id = calloc(t->buckets, sizeof(struct share_node *));
    t->by_file = calloc(t->buckets, sizeof(struct share_node *));
    if (!t->by_id || !t->by_file || pthread_mutex_init(&t->lock, NULL))
        return -ENOMEM;
    return 0;
}

static void node_free(struct share_node *node)
{
    close(node->fd);
    free(node);
}

void share_nodes_done(struct share_nodes *t)
{
    for (unsigned i = 0; t->by_id && i < t->buckets; i++)
        for (struct share_node *n = t->by_id[i], *next; n; n = next) {
            next = n->next_by_id;
            node_free(n);
        }
    free(t->by_id);
    free(t->by_file);
}

/* Lock held. Out of the table, if the guest has forgotten it; true: to be freed. */
static bool node_drop(struct share_nodes *t, struct share_node *node)
{
    if (--node->refs)
        return false;
    nodes_unlink(t, node);
    return true;
}

static struct share_node *nodes_by_id(const struct share_nodes *t, uint64_t id)
{
    struct share_node *n = t->by_id[hash_id(t, id)];

    while (n && n->id != id)
        n = n->next_by_id;
    return n;
}

void share_nodes_clear(struct share_nodes *t)
{
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->buckets; i++)
        for (struct share_node *n = t->by_id[i], *next; n; n = next) {
            next = n->next_by_id;
            if (!n->lookups || n->id == FUSE_ROOT_ID)
                continue;
            n->lookups = 0;
            if (node_drop(t, n))
                node_free(n);
        }
    pthread_mutex_unlock(&t->lock);
}

struct share_node *share_node_get(struct share_nodes *t, uint64_t id)
{
    struct share_node *n;

    pthread_mutex_lock(&t->lock);
    n = nodes_by_id(t, id);
    if (n && n->lookups)
        n->refs++;
    else
        n = NULL;
    pthread_mutex_unlock(&t->lock);
    return n;
}

void share_node_put(struct share_nodes *t, struct share_node *node)
{
    bool last;

    pthread_mutex_lock(&t->lock);
    last = node_drop(t, node);
    pthread_mutex_unlock(&t->lock);
    if (last)
        node_free(node);
}

/* Lock held. */
static struct share_node *nodes_by_file(struct share_nodes *t, const struct stat *st)
{
    struct share_node *n = t->by_file[hash_file(t, st->st_dev, st->st_ino)];

    while (n && (n->dev != st->st_dev || n->ino != st->st_ino))
        n = n->next_by_file;
    if (!n || n->lookups == UINT64_MAX)
        return NULL;
    n->refs += n->lookups ? 1 : 2;
    n->lookups++;
    return n;
}

struct share_node *share_node_find(struct share_nodes *t, const struct stat *st)
{
    struct share_node *n;

    pthread_mutex_lock(&t->lock);
    n = nodes_by_file(t, st);
    pthread_mutex_unlock(&t->lock);
    return n;
}

static int nodes_new(struct share_nodes *t, int fd, const struct stat *st,
                     struct share_node **ret_node)
{
    struct share_node *n;

    if (t->count >= t->max) {
        if (!t->complained)
            log_warn("share: the guest remembers %u files, as many as this host's limit of open "
                     "files (ulimit -Hn) allows; others fail with ENFILE",
                     t->count);
        t->complained = true;
        return -ENFILE;
    }
    n = calloc(1, sizeof(*n));
    if (!n)
        return -ENOMEM;
    *n = (struct share_node){.id = t->count ? t->next_id : FUSE_ROOT_ID,
                             .dev = st->st_dev,
                             .ino = st->st_ino,
                             .type = st->st_mode & S_IFMT,
                             .fd = fd,
                             .refs = 2, /* the table's and the caller's */
                             .lookups = 1,
                             .opened_size = -1};
    t->next_id++;
    if (++t->count > t->buckets)
        nodes_grow(t);
    nodes_link(t, n);
    *ret_node = n;
    return 0;
}

int share_node_add(struct share_nodes *t, int fd, const struct stat *st,
                   struct share_node **ret_node)
{
    struct share_node *known;
    int r = 0;

    pthread_mutex_lock(&t->lock);
    known = nodes_by_file(t, st);
    if (known)
        *ret_node = known;
    else
        r = nodes_new(t, fd, st, ret_node);
    pthread_mutex_unlock(&t->lock);
    if (known || r < 0)
        close(fd);
    return r;
}

void share_node_forget(struct share_nodes *t, uint64_t id, uint64_t lookups)
{
    struct share_node *n;
    bool last = false;

    pthread_mutex_lock(&t->lock);
    n = id == FUSE_ROOT_ID ? NULL : nodes_by_id(t, id);
    if (n && n->lookups) {
        n->lookups -= lookups < n->lookups ? lookups : n->lookups;
        last = !n->lookups && node_drop(t, n);
    }
    pthread_mutex_unlock(&t->lock);
    if (last)
        node_free(n);
}
