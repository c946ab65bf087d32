/* SPDX-License-Identifier: Apache-2.0 */
/* Every verb, one file each; verbs.c lists them. */
#pragma once

#include "cli/cli.h"

extern const struct cli_verb cli_image_verb;
extern const struct cli_verb cli_version_verb;
