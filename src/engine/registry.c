/* SPDX-License-Identifier: Apache-2.0 */
/* Every engine, sorted by name. */
#include "engine/soft/soft.h"

const struct engine_ops *const engine_registry[] = {
    &engine_interp_ops,
    &engine_jit_ops,
    NULL,
};
