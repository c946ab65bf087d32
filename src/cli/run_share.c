/* SPDX-License-Identifier: Apache-2.0 */
/* The option of run that shares folders, and the hidden verb of their helper. */
#include "cli/run.h"

#include "cli/cli.h"
#include "cli/verbs.h"
#include "share/share.h"
#include "vm/shares.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What a machine's share can do and a bind mount cannot. */
static int share_check_container(const struct vm_share *share, struct err *err)
{
    if (!strcmp(share->guest, "/proc") || !strncmp(share->guest, "/proc/", 6))
        return err_set(err, -EINVAL,
                       "--volume: '%s': /proc is the kernel's in a container; choose another place",
                       share->guest);
    if (share->guest_uid || share->guest_gid || (share->squash && !geteuid()))
        return err_set(err, -EINVAL,
                       "--volume: uid= and gid=: files in a container's volumes keep their owners; "
                       "these are for virtual machines");
    return 0;
}

int run_share_options(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text;
    int r = 0;

    for (unsigned i = 0; !r && (text = cli_nth(args, "volume", i)); i++)
        r = vm_share_add("--volume", text, config, err);
    for (unsigned i = 0; !r && config->technique == TECHNIQUE_CONTAINER && i < config->share_count;
         i++)
        r = share_check_container(&config->share[i], err);
    return r;
}

static int share_helper_run(const struct cli_args *args)
{
    return share_main(args->operands, args->operand_count);
}

const struct cli_verb cli_share_helper_verb = {
    .name = "share-helper",
    .operands = "GUEST PATH MODE SQUASH UID GID GUEST-UID GUEST-GID",
    .summary = "A share's helper (started by a guest's process)",
    .min = 8,
    .max = 8,
    .hidden = true,
    .run = share_helper_run,
};
