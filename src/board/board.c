/* SPDX-License-Identifier: Apache-2.0 */
/* Every board Posada models. Contract: board.h. */
#include "board/board.h"
#include "board/riscv_virt.h"
#include "board/x86_pc.h"

const struct board_ops *const board_registry[] = {
    &riscv_virt_ops,
    &x86_pc_ops,
    NULL,
};

const struct board_ops *board_find(enum vm_arch arch)
{
    for (const struct board_ops *const *ops = board_registry; *ops; ops++)
        if ((*ops)->arch == arch)
            return *ops;
    return NULL;
}
