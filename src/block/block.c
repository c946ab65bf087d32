/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: block.h. */
#include "block.h"

#include "async.h"

#include <errno.h>
#include <string.h>

int blockdev_open(const struct blk_source *source, struct loop *loop, struct blockdev **ret_dev,
                  struct err *err)
{
    struct blk_store *store;
    int r = blk_store_open(source, &store, err);

    if (r < 0)
        return r;
    r = blk_async_new(store, source, loop, ret_dev, err);
    if (r < 0)
        (void)blk_store_close(store);
    return r;
}

int blk_source_set_cache(struct blk_source *source, const char *word, struct err *err)
{
    static const struct {
        const char *word;
        bool direct, write_through, ignore_flush;
    } modes[] = {
        {"writeback", false, false, false},   {"none", true, false, false},
        {"writethrough", false, true, false}, {"directsync", true, true, false},
        {"unsafe", false, false, true},
    };

    for (unsigned i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcmp(word, modes[i].word))
            continue;
        source->direct = modes[i].direct;
        source->write_through = modes[i].write_through;
        source->ignore_flush = modes[i].ignore_flush;
        return 0;
    }
    return err_set(err, -EINVAL,
                   "cache=%s: expected writeback, none, writethrough, directsync or unsafe", word);
}

int blk_source_set_aio(struct blk_source *source, const char *word, struct err *err)
{
    if (!strcmp(word, "io_uring"))
        source->aio = BLK_AIO_URING;
    else if (!strcmp(word, "threads"))
        source->aio = BLK_AIO_THREADS;
    else
        return err_set(err, -EINVAL, "aio=%s: expected io_uring or threads", word);
    return 0;
}

void blockdev_close(struct blockdev *dev)
{
    if (dev)
        dev->ops->close(dev);
}
