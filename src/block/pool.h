/* SPDX-License-Identifier: Apache-2.0 */
/* A store as a back end that guests use: requests on worker threads, completions on the loop. */
#pragma once

#include <posada/blockdev.h>

struct blk_store;
struct loop;

/* On success the store belongs to the new back end. */
int must_use blk_pool_new(struct blk_store *store, struct loop *loop, struct blockdev **ret_dev,
                          struct err *err);
