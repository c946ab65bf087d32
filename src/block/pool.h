/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Worker threads that carry out a store's requests. Every function but blk_pool_free() is called
 * with the machine lock held (where there is one).
 */
#pragma once

#include <posada/blockdev.h>

struct blk_pool;
struct blk_store;
struct loop;

/* The store stays the caller's and outlives the pool. */
int must_use blk_pool_new(struct blk_store *store, struct loop *loop, struct blk_pool **ret_pool,
                          struct err *err);
/* Starts the workers, once the process is sandboxed; else the first request does, on whatever
 * thread it comes from. */
int must_use blk_pool_begin(struct blk_pool *pool);
/* Queues; done() is called later, never inside. */
void blk_pool_add(struct blk_pool *pool, struct blk_req *req);
/* done(req, result) later, without work. */
void blk_pool_answer(struct blk_pool *pool, struct blk_req *req, int result);
/* Waits until nothing is queued or running and calls done() for all that is complete; true when
 * there was anything. */
bool blk_pool_drain(struct blk_pool *pool);
/* Nothing is in flight. Accepts NULL. */
void blk_pool_free(struct blk_pool *pool);
