/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's doorbells (posada/doorbell.h): an eventfd each, which the engine signals and the
 * loop watches. All are made before the sandbox closes.
 */
#pragma once

#include <posada/doorbell.h>
#include <posada/engine.h>

struct loop;

struct doorbells {
    struct loop *loop;
    struct engine *engine;
    struct doorbell *first;
};

/* What the board hands on; nobody's where the engine has no doorbells or the host one CPU. d must
 * live on. */
struct doorbell_maker doorbells_init(struct doorbells *d, struct loop *loop, struct engine *engine);
/* When nothing rings any more: the board is gone, the engine still there. A zeroed one is fine. */
void doorbells_done(struct doorbells *d);
