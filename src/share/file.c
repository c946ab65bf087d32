/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files and directories of a share. A guest's handle is a slot and its generation, so one that
 * was closed finds nothing. A file lives while it is open or a thread works with it.
 */
#include "share/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int share_files_init(struct share_files *t, unsigned max, uint32_t session)
{
    *t = (struct share_files){.max = max, .free_count = max};
    t->slot = calloc(max, sizeof(struct share_file *));
    t->generation = calloc(max, sizeof(*t->generation));
    t->free = calloc(max, sizeof(*t->free));
    if (!t->slot || !t->generation || !t->free || pthread_mutex_init(&t->lock, NULL))
        return -ENOMEM;
    for (unsigned i = 0; i < max; i++) {
        t->free[i] = max - 1 - i;
        t->generation[i] = session;
    }
    return 0;
}

static void file_free(struct share_file *f)
{
    close(f->fd);
    pthread_mutex_destroy(&f->lock);
    free(f->buffer);
    free(f);
}

/* Lock held. */
static bool file_drop(struct share_file *f)
{
    return --f->refs == 0;
}

/* Lock held. The slot is free for others; true: the file is to be freed. */
static bool files_vacate(struct share_files *t, struct share_file *f)
{
    t->slot[f->slot] = NULL;
    t->free[t->free_count++] = f->slot;
    return file_drop(f);
}

void share_files_clear(struct share_files *t)
{
    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->max; i++) {
        struct share_file *f = t->slot[i];

        if (f && files_vacate(t, f))
            file_free(f);
    }
    pthread_mutex_unlock(&t->lock);
}

void share_files_done(struct share_files *t)
{
    if (t->slot && t->free && t->generation)
        share_files_clear(t);
    free(t->slot);
    free(t->generation);
    free(t->free);
}

static struct share_file *file_new(int fd, bool dir)
{
    struct share_file *f = calloc(1, sizeof(*f));

    if (f && pthread_mutex_init(&f->lock, NULL)) {
        free(f);
        f = NULL;
    }
    if (!f) {
        close(fd);
        return NULL;
    }
    f->fd = fd;
    f->dir = dir;
    f->refs = 1;
    return f;
}

int share_file_add(struct share_files *t, int fd, bool dir, uint64_t *ret_fh)
{
    struct share_file *f = file_new(fd, dir);
    int r = 0;

    if (!f)
        return -ENOMEM;
    pthread_mutex_lock(&t->lock);
    if (t->free_count) {
        f->slot = t->free[--t->free_count];
        f->generation = ++t->generation[f->slot];
        t->slot[f->slot] = f;
        *ret_fh = (uint64_t)f->generation << 32 | f->slot;
    } else {
        r = -ENFILE;
    }
    pthread_mutex_unlock(&t->lock);
    if (r < 0)
        file_free(f);
    return r;
}

/* Lock held. */
static struct share_file *files_find(const struct share_files *t, uint64_t fh, bool dir)
{
    struct share_file *f = (uint32_t)fh < t->max ? t->slot[(uint32_t)fh] : NULL;

    return f && f->generation == fh >> 32 && f->dir == dir ? f : NULL;
}

struct share_file *share_file_get(struct share_files *t, uint64_t fh, bool dir)
{
    struct share_file *f;

    pthread_mutex_lock(&t->lock);
    f = files_find(t, fh, dir);
    if (f)
        f->refs++;
    pthread_mutex_unlock(&t->lock);
    return f;
}

void share_file_put(struct share_files *t, struct share_file *f)
{
    bool last;

    pthread_mutex_lock(&t->lock);
    last = file_drop(f);
    pthread_mutex_unlock(&t->lock);
    if (last)
        file_free(f);
}

void share_file_close(struct share_files *t, uint64_t fh, bool dir)
{
    struct share_file *f;
    bool last;

    pthread_mutex_lock(&t->lock);
    f = files_find(t, fh, dir);
    last = f && files_vacate(t, f);
    pthread_mutex_unlock(&t->lock);
    if (last)
        file_free(f);
}
