/* SPDX-License-Identifier: Apache-2.0 */
/* The option of run that attaches disks: --disk PATH[,format=F][,ro][,cache=MODE]... */
#include "cli/run.h"

#include "block/block.h"

#include "cli/cli.h"
#include <errno.h>
#include <posada/log.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISK_QUEUES_MAX = 8 };

static int disk_text(char **target, const char *value, struct err *err)
{
    free(*target);
    *target = strdup(value);
    return *target ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* Words that hold "=VALUE"; false: none of them. */
static bool disk_value(struct vm_disk *disk, const char *word, const char *value, int *ret_r,
                       struct err *err)
{
    struct blk_source checked = {0};

    if (!strncmp(word, "format=", 7) && (!strcmp(value, "raw") || !strcmp(value, "qcow2"))) {
        *ret_r = disk_text(&disk->format, value, err);
    } else if (!strncmp(word, "backing=", 8) && !disk->backing_dir) {
        *ret_r = run_file("disk", value, &disk->backing_dir, err);
    } else if (!strncmp(word, "cache=", 6)) {
        *ret_r = blk_source_set_cache(&checked, value, err);
        if (!*ret_r)
            *ret_r = disk_text(&disk->cache, value, err);
    } else if (!strncmp(word, "aio=", 4)) {
        *ret_r = blk_source_set_aio(&checked, value, err);
        if (!*ret_r)
            *ret_r = disk_text(&disk->aio, value, err);
    } else if (!strncmp(word, "queues=", 7)) {
        uint64_t n = 0;

        *ret_r = cli_parse_number("--disk: queues", value, 1, DISK_QUEUES_MAX, &n, err);
        disk->queues = (unsigned)n;
    } else if (!strcmp(word, "rings=split") || !strcmp(word, "rings=packed")) {
        disk->split_rings = !strcmp(value, "split");
    } else {
        return false;
    }
    return true;
}

/* What stands behind the path. */
static int disk_word(struct vm_disk *disk, const char *text, const char *word, struct err *err)
{
    const char *equals = strchr(word, '=');
    int r = 0;

    if (!strcmp(word, "ro"))
        disk->read_only = true;
    else if (!equals || !disk_value(disk, word, equals + 1, &r, err))
        return err_set(err, -EINVAL,
                       "--disk %s: unknown '%s'; expected ro, format=raw, format=qcow2, "
                       "backing=DIR, cache=MODE, aio=WAY, queues=N or rings=split",
                       text, word);
    return r;
}

static int disk_check(struct vm_disk *disk, struct err *err)
{
    bool raw;

    if (!disk->format)
        disk->format = strdup("raw");
    if (!disk->format)
        return err_set(err, -ENOMEM, "out of memory");
    raw = !strcmp(disk->format, "raw");
    if (disk->backing_dir && raw)
        return err_set(err, -EINVAL, "--disk %s: a raw disk has no backing files", disk->path);
    if (!disk->read_only && access(disk->path, W_OK) < 0)
        return err_set(err, -errno, "disk %s: %s; add ,ro to attach it read-only", disk->path,
                       strerror(errno));
    if (raw && blk_file_is_qcow2(disk->path))
        log_warn("disk %s looks like a qcow2 image but is used as raw; if that is not meant, add "
                 ",format=qcow2",
                 disk->path);
    return 0;
}

static int disk_option(struct vm_disk *disk, const char *text, struct err *err)
{
    char *copy = strdup(text), *save = NULL, *word = copy ? strtok_r(copy, ",", &save) : NULL;
    int r = word ? run_file("disk", word, &disk->path, err)
                 : err_set(err, -EINVAL, "--disk '%s': expected PATH[,format=F][,ro]...", text);

    while (!r && (word = strtok_r(NULL, ",", &save)))
        r = disk_word(disk, text, word, err);
    free(copy);
    return r ? r : disk_check(disk, err);
}

int run_disk_options(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text;
    int r = 0;

    for (unsigned i = 0; !r && (text = cli_nth(args, "disk", i)); i++) {
        if (i == VM_DISKS_MAX)
            return err_set(err, -EINVAL, "--disk: at most %d disks", VM_DISKS_MAX);
        config->disk_count = i + 1;
        r = disk_option(&config->disk[i], text, err);
    }
    return r;
}
