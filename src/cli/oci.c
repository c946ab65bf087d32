/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci: hands over to posada-oci, which lies beside this program (cli/oci_main.c says why it
 * is one of its own). */
#include "cli/verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int oci_exec_program(const struct cli_args *args)
{
    char path[PATH_MAX + 16], *slash;
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    char **words = calloc(args->operand_count + 2, sizeof(*words));
    struct err err;

    if (n < 0 || !words) {
        err_set(&err, -errno, "oci: %s", strerror(errno));
        return cli_fail(&err);
    }
    path[n] = '\0';
    slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, "posada-oci");
    words[0] = path;
    memcpy(words + 1, args->operands, args->operand_count * sizeof(*words));
    execv(path, words);
    err_set(&err, -errno, "oci: %s: %s; it is installed together with posada", path,
            strerror(errno));
    free(words);
    return cli_fail(&err);
}

const struct cli_verb cli_oci_verb = {
    .name = "oci",
    .operands = "COMMAND [ARGUMENTS]",
    .summary = "Run containers of an OCI bundle, as runc and crun do",
    .max = CLI_ANY_NUMBER,
    .raw = true,
    .run = oci_exec_program,
};
