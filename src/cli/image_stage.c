/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the disk of an image: where, and in a guest. It runs as any other does, by this same
 * program, in a house of its own below the build's temporary directory: it is in nobody's list, and
 * ends with us.
 */
#include "cli/image_stage.h"

#include "base/cleanup.h"
#include "block/convert.h"
#include "cli/run.h"
#include "image/child.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { STAGE_DISK_GIB = 8, STAGE_PATH = 512 };

struct stage_progress {
    const struct image_progress *progress;
    unsigned units; /* packages configured */
};

/* What dpkg and the script say. */
static void stage_line(void *arg, const char *line)
{
    struct stage_progress *p = arg;
    char step[120];

    if (!p->progress || !p->progress->step)
        return;
    if (strncmp(line, "Setting up ", 11) == 0) {
        (void)snprintf(step, sizeof(step), "configuring %.*s", (int)strcspn(line + 11, " "),
                       line + 11);
        if (p->units++ % 20 == 0)
            p->progress->step(p->progress->arg, step);
    } else if (strcmp(line, "copying the packages") == 0 || strcmp(line, "tidying up") == 0 ||
               strcmp(line, "making the file system") == 0) {
        p->progress->step(p->progress->arg, line);
    }
}

int image_stage_empty_disk(const char *path, struct err *err)
{
    CLEANUP(fd) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, (off_t)STAGE_DISK_GIB << 30) < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

/* The last lines it said, for who has to find out why. */
static int stage_failed(const struct child *c, int status, struct err *err)
{
    const char *last = c->errors + strlen(c->errors);

    for (unsigned lines = 0; last > c->errors; last--)
        if (last[-1] == '\n' && lines++ == 3)
            break;
    return err_set(err, -EIO, "its second stage failed (exit code %d): %s", status, last);
}

int image_stage_run(const struct image_stage *stage, struct child *c, struct err *err)
{
    struct stage_progress progress = {stage->progress, 0};
    int r;

    c->status = stage_line;
    c->output_is_status = true;
    c->arg = &progress;
    r = child_run(c, err);
    return r > 0 ? stage_failed(c, r, err) : r;
}

static int stage_run_guest(const struct image_stage *stage, const char *raw, struct err *err)
{
    char first[STAGE_PATH + 32], second[STAGE_PATH + 32];
    const char *const argv[] = {"/proc/self/exe",
                                "run",
                                "--rm",
                                "--name",
                                "stage",
                                "--memory",
                                "1G",
                                "--arch",
                                vm_arch_debian_name(stage->arch),
                                "--kernel",
                                stage->kernel,
                                "--initrd",
                                stage->initrd,
                                "--append",
                                "console=ttyS0 quiet cryptomgr.notests "
                                "initcall_blacklist=jent_mod_init",
                                "--disk",
                                first,
                                "--disk",
                                second,
                                "sh",
                                "-c",
                                stage->script,
                                NULL};
    struct child c = {.argv = argv};

    (void)snprintf(first, sizeof(first), "%s,format=raw,ro", stage->image);
    (void)snprintf(second, sizeof(second), "%s,format=raw,cache=unsafe", raw);
    if (stage->progress && stage->progress->step)
        stage->progress->step(stage->progress->arg, "starting a guest for the second stage");
    return image_stage_run(stage, &c, err);
}

static int stage_convert(const char *raw, const char *disk, struct err *err)
{
    const struct blk_source source = {.format = "raw", .path = raw, .read_only = true};
    const struct disk_target target = {.path = disk, .format = "qcow2", .cluster_bits = 16};
    struct blk_store *store;
    int r = blk_store_open(&source, &store, err);

    if (r < 0)
        return r;
    r = disk_make(store, &target, err);
    (void)blk_store_close(store);
    return r;
}

/* A house for one guest; its sockets' names must be short. */
static int stage_house(const char *temp, struct err *err)
{
    char data[STAGE_PATH], run[STAGE_PATH];

    (void)snprintf(data, sizeof(data), "%s/data", temp);
    (void)snprintf(run, sizeof(run), "%s/run", temp);
    if (mkdir(data, 0700) < 0 || mkdir(run, 0700) < 0)
        return err_set(err, -errno, "%s: %s", temp, strerror(errno));
    if (setenv("POSADA_DATA_DIR", data, 1) < 0 || setenv("POSADA_RUN_DIR", run, 1) < 0)
        return err_set(err, -errno, "%s", strerror(errno));
    return 0;
}

struct stage_environment {
    char *data, *run;
};

static void stage_restore(const char *name, char *value)
{
    if (value)
        (void)setenv(name, value, 1);
    else
        (void)unsetenv(name);
    free(value);
}

static int stage_in_guest(const struct image_stage *stage, char *raw, size_t size, struct err *err)
{
    const char *data = getenv("POSADA_DATA_DIR"), *run = getenv("POSADA_RUN_DIR");
    struct stage_environment old = {data ? strdup(data) : NULL, run ? strdup(run) : NULL};
    int r;

    (void)snprintf(raw, size, "%s/disk", stage->temp);
    r = image_stage_empty_disk(raw, err);
    if (r == 0)
        r = stage_house(stage->temp, err);
    if (r == 0)
        r = stage_run_guest(stage, raw, err);
    stage_restore("POSADA_DATA_DIR", old.data);
    stage_restore("POSADA_RUN_DIR", old.run);
    return r;
}

int image_plan_stage(enum vm_arch arch, struct image_plan *ret_plan, struct err *err)
{
    struct vm_config config = {.arch = arch};
    struct err here, guest, foreign;

    if (image_plan_here(arch, ret_plan, &here) == 0)
        return 0;
    if (run_check_engine(&config, &guest) == 0) {
        *ret_plan = (struct image_plan){.here = false};
        return 0;
    }
    if (image_is_native(arch))
        return err_set(err, -EOPNOTSUPP, "%s; %s", here.text, guest.text);
    if (image_plan_foreign(arch, ret_plan, &foreign) == 0)
        return 0;
    return err_set(err, -EOPNOTSUPP, "no engine of this version of Posada does, and %s",
                   foreign.text);
}

int image_run_stage(const struct image_stage *stage, struct err *err)
{
    char raw[STAGE_PATH];
    int r = stage->plan.here ? image_run_here(stage, raw, sizeof(raw), err)
                             : stage_in_guest(stage, raw, sizeof(raw), err);

    if (r == 0 && stage->progress && stage->progress->step)
        stage->progress->step(stage->progress->arg, "packing the disk");
    return r < 0 ? r : stage_convert(raw, stage->disk, err);
}
