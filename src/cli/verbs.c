/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs, sorted by name: a new verb is a file and a line here. */
#include "cli/verbs.h"

const struct cli_verb *const cli_verbs[] = {
    &cli_image_verb,
    &cli_version_verb,
    NULL,
};
