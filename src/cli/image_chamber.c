/* SPDX-License-Identifier: Apache-2.0 */
/* The second stage of an image in a chamber of this host. Contract: cli/image_stage.h. */
#include "cli/image_stage.h"

#include "base/cleanup.h"
#include "container/binfmt.h"
#include "container/chamber.h"
#include "image/child.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

struct stage_here {
    const struct image_stage *stage;
    struct chamber_ids ids;
    const struct binfmt *foreign; /* NULL: of the host's own architecture */
};

bool image_is_native(enum vm_arch arch)
{
    struct utsname host;

    return uname(&host) == 0 && strcmp(host.machine, vm_arch_name(arch)) == 0;
}

static int here_plan(const struct binfmt *foreign, struct image_plan *ret_plan, struct err *err)
{
    struct chamber_ids ids;
    int r = chamber_ids(&ids, err);

    if (r == 0)
        r = chamber_check(&ids, foreign, err);
    if (r < 0)
        return err_wrap(err, r, "not contained on this host");
    *ret_plan = (struct image_plan){.here = true, .uid = ids.uid, .gid = ids.gid};
    return 0;
}

int image_plan_here(enum vm_arch arch, struct image_plan *ret_plan, struct err *err)
{
    return image_is_native(arch)
               ? here_plan(NULL, ret_plan, err)
               : err_set(err, -EOPNOTSUPP, "this host is of another architecture");
}

int image_plan_foreign(enum vm_arch arch, struct image_plan *ret_plan, struct err *err)
{
    struct binfmt foreign;
    int r = binfmt_find(vm_arch_name(arch), &foreign, err);

    return r < 0 ? r : here_plan(&foreign, ret_plan, err);
}

/* In a process of its own (child_run). */
static int here_run(void *arg)
{
    const struct stage_here *h = arg;
    const char *const argv[] = {"/bin/sh", "-c", h->stage->script, NULL};
    CLEANUP(fd) int dir = open(h->stage->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err err;
    int r = dir < 0 ? err_set(&err, -errno, "%s: %s", h->stage->dir, strerror(errno))
                    : chamber_run(&h->ids, h->foreign, dir, argv, &err);

    if (r < 0)
        fprintf(stderr, "%s\n", err.text);
    return r < 0 ? 125 : r;
}

int image_clear_foreign(int dir_fd, const char *name, struct err *err)
{
    struct chamber_ids ids;
    int r = chamber_ids(&ids, err);

    return r < 0 ? r : chamber_remove(&ids, dir_fd, name, err);
}

/* What is at the disk's place afterwards is the stage's choice: a link would lead out of the
 * chamber, a device to the host's disks. */
int image_run_here(const struct image_stage *stage, char *ret_raw, size_t size, struct err *err)
{
    static const char *const argv[] = {"second stage", NULL};
    struct stage_here here = {.stage = stage};
    struct binfmt foreign;
    struct child c = {.argv = argv, .run = here_run, .run_arg = &here};
    struct stat st;
    int r = chamber_ids(&here.ids, err);

    (void)snprintf(ret_raw, size, "%s/share/disk", stage->dir);
    if (r == 0 && !image_is_native(stage->arch)) {
        r = binfmt_find(vm_arch_name(stage->arch), &foreign, err);
        here.foreign = &foreign;
    }
    if (r == 0)
        r = image_stage_empty_disk(ret_raw, err);
    if (r == 0 && geteuid() == 0 && chown(ret_raw, here.ids.uid, here.ids.gid) < 0)
        r = err_set(err, -errno, "%s: %s", ret_raw, strerror(errno));
    if (r == 0)
        r = image_stage_run(stage, &c, err);
    if (r == 0 && (lstat(ret_raw, &st) < 0 || !S_ISREG(st.st_mode)))
        r = err_set(err, -EIO, "its second stage left something else than a disk");
    return r;
}
