/* SPDX-License-Identifier: Apache-2.0 */
/* From an image's name to the files of a guest; and whether an engine here can run it. */
#include "cli/run.h"

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

static int find_named_engine(const struct vm_config *config, struct err *err)
{
    for (const struct engine_ops *const *ops = engine_registry; *ops; ops++)
        if (!strcmp((*ops)->name, config->engine))
            return (*ops)->probe(err);
    return err_set(err, -EINVAL, "--engine %s: no such engine; posada doctor lists them",
                   config->engine);
}

/* The first engine of the technique; auto takes any that this host can run. */
static int find_engine(const struct vm_config *config, struct err *err)
{
    bool any = config->technique == TECHNIQUE_AUTO;
    int r = -EOPNOTSUPP;

    if (config->engine[0])
        return find_named_engine(config, err);
    err_set(err, r,
            "--technique %s: this version of Posada has no engine for it; use --technique %s",
            vm_technique_name(config->technique), vm_technique_name(TECHNIQUE_EMULATE));
    for (const struct engine_ops *const *ops = engine_registry; *ops && r; ops++)
        if (any || !strcmp((*ops)->technique, vm_technique_name(config->technique)))
            r = (*ops)->probe(err);
    return r;
}

int run_check_engine(const struct vm_config *config, struct err *err)
{
    int r = find_engine(config, err);

    if (r < 0)
        return r;
    if (config->arch != ARCH_RISCV64)
        return err_set(err, -EOPNOTSUPP,
                       "--arch %s: no engine of this version of Posada runs such guests; use "
                       "--arch riscv64",
                       vm_arch_debian_name(config->arch));
    return 0;
}
