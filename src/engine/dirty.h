/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of RAM were written: what pre-copy migration and snapshots of running guests need.
 *
 *     engine_track_dirty(engine, true, err);
 *     mem_dirty_add_all(set);
 *     for each round: take pages out of the set, copy them; engine_collect_dirty(engine, set, err);
 *     pause the vCPUs; engine_collect_dirty(); copy the rest
 *     engine_track_dirty(engine, false, err);
 *
 * A write is in the set of the next collection, or, of a vCPU that runs, of a later one; all there
 * were when the vCPUs are parked. A page is copied after the collection that showed it, so what was
 * written between the two is copied, and perhaps shown again.
 */
#pragma once

#include "mem/dirty.h"
#include <posada/engine.h>

int must_use engine_track_dirty(struct engine *engine, bool on, struct err *err);
/* Adds the pages to the set. Machine lock held; the vCPUs parked where engine_ops.forget_dirty is
 * there (software engines), else they may run. */
int must_use engine_collect_dirty(struct engine *engine, struct mem_dirty *set, struct err *err);
