/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of posada image share. */
#pragma once

#include "cli/cli.h"
#include <posada/vm.h>

struct image;

#define CLI_IMAGE_ARCH                                                                             \
    {                                                                                              \
        "arch", 0, "ARCH",                                                                         \
            "riscv64, arm64 or amd64; without it the host's own if an engine runs it, else "       \
            "riscv64"                                                                              \
    }

extern const struct cli_verb cli_image_import_verb, cli_image_prune_verb, cli_image_pull_verb;

/* ARCH_COUNT when --arch was not given. */
int must_use cli_image_arch(const struct cli_args *args, enum vm_arch *ret_arch, struct err *err);
/* One line about an image that is there now. */
void cli_print_image(const struct image *image);
