/* SPDX-License-Identifier: Apache-2.0 */
/* Block-local clean-up: constants and copies forward, dead pure operations backward. */
#include "ir/ir.h"

void ir_optimise(struct ir_block *b)
{
    (void)b; /* TODO(core): constant and copy propagation, dead operations */
}
