/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For chamber.test:
 *     chamber ids                     user and group that have to own everything
 *     chamber check                   whether this host makes chambers
 *     chamber run DIR PROGRAM ARG...  as chamber_run()
 *     chamber foreign MACHINE DIR PROGRAM ARG...  the same with programs of another architecture
 *     chamber disk DIR SCRIPT         as image_run_here(): a second stage that leaves a disk
 */
#include "container/chamber.h"
#include "cli/image_stage.h"
#include "container/binfmt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

static int run(const struct chamber_ids *ids, const struct binfmt *foreign, char **argv,
               struct err *err)
{
    int dir = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0)
        return err_set(err, -errno, "%s: %s", argv[0], strerror(errno));
    return chamber_run(ids, foreign, dir, (const char *const *)(uintptr_t)(argv + 1), err);
}

static int foreign(const struct chamber_ids *ids, char **argv, struct err *err)
{
    struct binfmt b;
    int r = binfmt_find(argv[0], &b, err);

    return r < 0 ? r : run(ids, &b, argv + 1, err);
}

static int disk(char **argv, struct err *err)
{
    struct image_stage stage = {.dir = argv[0], .script = argv[1]};
    struct utsname host;
    char raw[PATH_MAX];

    if (uname(&host) < 0 || vm_arch_parse(host.machine) < 0)
        return err_set(err, -EOPNOTSUPP, "what host is this?");
    stage.arch = (enum vm_arch)vm_arch_parse(host.machine);
    return image_run_here(&stage, raw, sizeof(raw), err);
}

int main(int argc, char **argv)
{
    struct chamber_ids ids;
    struct err err;
    int r = argc < 2 ? err_set(&err, -EINVAL, "what?") : chamber_ids(&ids, &err);

    if (r == 0 && strcmp(argv[1], "ids") == 0)
        printf("%u %u\n", ids.uid, ids.gid);
    else if (r == 0 && strcmp(argv[1], "check") == 0)
        r = chamber_check(&ids, NULL, &err);
    else if (r == 0 && argc == 4 && strcmp(argv[1], "disk") == 0)
        r = disk(argv + 2, &err);
    else if (r == 0 && argc > 4 && strcmp(argv[1], "foreign") == 0)
        r = foreign(&ids, argv + 2, &err);
    else if (r == 0 && argc > 3)
        r = run(&ids, NULL, argv + 2, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    return r < 0 ? 125 : r;
}
