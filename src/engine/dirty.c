/* SPDX-License-Identifier: Apache-2.0 */
/* Written pages, whichever engine runs the guest. Contract: engine/dirty.h. */
#include "engine/dirty.h"

int engine_track_dirty(struct engine *engine, bool on, struct err *err)
{
    return engine->ops->track_dirty ? engine->ops->track_dirty(engine, on, err) : 0;
}

int engine_collect_dirty(struct engine *engine, struct mem_dirty *set, struct err *err)
{
    int r = engine->ops->sync_dirty ? engine->ops->sync_dirty(engine, err) : 0;

    if (r)
        return r;
    (void)mem_dirty_take(set);
    if (engine->ops->forget_dirty)
        engine->ops->forget_dirty(engine);
    return 0;
}
