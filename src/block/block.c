/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: block.h. */
#include "block.h"

#include "pool.h"

int blockdev_open(const struct blk_source *source, struct loop *loop, struct blockdev **ret_dev,
                  struct err *err)
{
    struct blk_store *store;
    int r = blk_store_open(source, &store, err);

    if (r < 0)
        return r;
    r = blk_pool_new(store, loop, ret_dev, err);
    if (r < 0)
        (void)blk_store_close(store);
    return r;
}

void blockdev_close(struct blockdev *dev)
{
    if (dev)
        dev->ops->close(dev);
}
