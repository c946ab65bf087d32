/* SPDX-License-Identifier: Apache-2.0 */
/* From an image's name to the files of a guest; and whether an engine here can run it. */
#include "cli/run.h"

#include "board/board.h"
#include "cli/progress.h"
#include "image/image.h"
#include <errno.h>
#include <posada/engine.h>
#include <stdlib.h>
#include <string.h>

/* What the user gave stands before what the image has. */
static void take_text(char **own, char **image)
{
    if (*own)
        return;
    *own = *image;
    *image = NULL;
}

int run_resolve_image(struct vm_config *config, struct err *err)
{
    struct image image;
    int r;

    if (!config->image)
        return 0;
    r = image_resolve(config->image, config->arch, cli_progress_start(config->image), &image, err);
    cli_progress_end();
    if (r < 0)
        return r;
    take_text(&config->kernel, &image.kernel);
    take_text(&config->initrd, &image.initrd);
    take_text(&config->append, &image.append);
    image_done(&image);
    return 0;
}

int run_check_engine(const struct vm_config *config, struct err *err)
{
    const struct board_ops *board = board_find(config->arch);
    const struct engine_ops *ops;
    struct engine_wish wish = {
        .technique =
            config->technique == TECHNIQUE_AUTO ? NULL : vm_technique_name(config->technique),
        .name = config->engine,
    };

    if (!board)
        return err_set(err, -EOPNOTSUPP,
                       "--arch %s: no engine of this version of Posada runs such guests; use "
                       "--arch riscv64",
                       vm_arch_debian_name(config->arch));
    wish.cpu_ops = board->cpu_ops;
    return engine_choose(&wish, &ops, err);
}
