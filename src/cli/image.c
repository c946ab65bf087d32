/* SPDX-License-Identifier: Apache-2.0 */
/* posada image: list, build, remove and inspect guest images. */
#include "cli/verbs.h"

#include <errno.h>

static int image_absent(const struct cli_args *args)
{
    struct err err;

    err_set(&err, -ENOSYS, "image %s: not built yet; give run --kernel and --initrd",
            args->verb->name);
    return cli_fail(&err);
}

static const struct cli_verb image_ls_verb = {
    .name = "ls", .summary = "List images", .run = image_absent};

static const struct cli_verb *const image_verbs[] = {&image_ls_verb, NULL};

const struct cli_verb cli_image_verb = {
    .name = "image",
    .summary = "List, build, remove and inspect guest images",
    .verbs = image_verbs,
};
