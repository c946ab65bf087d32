/* SPDX-License-Identifier: Apache-2.0 */
/* A store as a back end that guests use. */
#pragma once

#include <posada/blockdev.h>

struct blk_source;
struct blk_store;
struct loop;

/* Uses of source: write_through, ignore_flush and aio. On success the store belongs to the new
 * back end. */
int must_use blk_async_new(struct blk_store *store, const struct blk_source *source,
                           struct loop *loop, struct blockdev **ret_dev, struct err *err);
