/* SPDX-License-Identifier: Apache-2.0 */
/* From an image's name to the files of a guest; and whether an engine here can run it. */
#include "cli/run.h"

#include "board/board.h"
#include "cli/guests.h"
#include "cli/image_stage.h"
#include "cli/progress.h"
#include "image/image.h"
#include "vm/config.h"
#include <errno.h>
#include <posada/engine.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DISK_DEFAULT ((uint64_t)8 << 30)

/* What the user gave stands before what the image has. */
static void take_text(char **own, char **image)
{
    if (*own)
        return;
    *own = *image;
    *image = NULL;
}

static void take_boot(struct vm_config *config, struct image *image)
{
    take_text(&config->kernel, &image->kernel);
    take_text(&config->initrd, &image->initrd);
    take_text(&config->append, &image->append);
}

static int out_of_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "out of memory");
}

/* The image's disks come first, before those of --disk. */
static int insert_disks(struct vm_config *config, unsigned count, struct err *err)
{
    if (config->disk_count + count > VM_DISKS_MAX)
        return err_set(err, -EINVAL, "--disk: at most %u beside those of image '%s'",
                       VM_DISKS_MAX - count, config->image);
    memmove(&config->disk[count], &config->disk[0], config->disk_count * sizeof(config->disk[0]));
    memset(&config->disk[0], 0, count * sizeof(config->disk[0]));
    config->disk_count += count;
    return 0;
}

static int set_overlay(struct vm_disk *disk, const char *path, const char *format, uint64_t size,
                       struct err *err)
{
    disk->base = strdup(path);
    disk->base_format = strdup(format);
    disk->size = size;
    return disk->base && disk->base_format ? 0 : out_of_memory(err);
}

static int take_disk(struct vm_config *config, struct image *image, struct err *err)
{
    int r = insert_disks(config, 1, err);

    return r ? r
             : set_overlay(&config->disk[0], image->disk, image->disk_format, config->disk_size,
                           err);
}

/* --- OCI images --- */

/* Entrypoint and command; the user's words stand in the command's place. */
static int take_command(struct vm_config *config, const struct image_process *p, struct err *err)
{
    char **words[2] = {p->entrypoint, config->command ? config->command : p->cmd};
    size_t n = 0;
    char **all;

    for (size_t w = 0; w < 2; w++)
        for (size_t i = 0; words[w] && words[w][i]; i++)
            n++;
    if (!n)
        return 0;
    all = calloc(n + 1, sizeof(*all));
    n = 0;
    for (size_t w = 0; all && w < 2; w++)
        for (size_t i = 0; words[w] && words[w][i]; i++)
            if (!(all[n++] = strdup(words[w][i])))
                return out_of_memory(err);
    if (!all)
        return out_of_memory(err);
    vm_strings_free(config->command);
    config->command = all;
    return 0;
}

/* The image's settings before the user's: of two of one name the later counts. */
int run_env_below(struct vm_config *config, char *const *env, struct err *err)
{
    size_t mine = 0, n = 0;
    char **all;

    while (env && env[n])
        n++;
    while (config->env && config->env[mine])
        mine++;
    all = calloc(n + mine + 1, sizeof(*all));
    if (!all)
        return out_of_memory(err);
    for (size_t i = 0; i < n; i++)
        if (!(all[i] = strdup(env[i])))
            return out_of_memory(err);
    if (mine)
        memcpy(all + n, config->env, mine * sizeof(*all));
    free(config->env);
    config->env = all;
    return 0;
}

int run_take_process(struct vm_config *config, struct image *image, struct err *err)
{
    int r = take_command(config, &image->process, err);

    take_text(&config->user, &image->process.user);
    take_text(&config->workdir, &image->process.workdir);
    if (!r && !config->workdir && !(config->workdir = strdup("/")))
        return out_of_memory(err);
    return r ? r : run_env_below(config, image->process.env, err);
}

/* The kernel and init of tiny, the image's root below, the guest's own changes above. */
static int take_root(struct vm_config *config, struct image *image,
                     const struct image_options *options, struct err *err)
{
    struct vm_disk *disk = config->disk;
    struct image tiny;
    int r = image_resolve("tiny", config->arch, options, &tiny, err);

    if (r < 0)
        return err_wrap(err, r, "image '%s' is started with the kernel of 'tiny'", image->name);
    if (!config->append && asprintf(&config->append, "%s posada.root=overlay", tiny.append) < 0)
        r = out_of_memory(err);
    take_boot(config, &tiny);
    image_done(&tiny);
    if (!r)
        r = insert_disks(config, 2, err);
    if (!r) {
        disk[0].path = strdup(image->root);
        disk[0].format = strdup("raw");
        disk[0].read_only = true;
        r = disk[0].path && disk[0].format ? 0 : out_of_memory(err);
    }
    if (!r)
        r = set_overlay(&disk[1], image->blank, "raw", config->disk_size, err);
    return r ? r : run_take_process(config, image, err);
}

/* --disk-size, where one was given, against what the image has. */
static int check_disk_size(const struct vm_config *config, const struct image *image,
                           struct err *err)
{
    uint64_t least = image->disk_size ? image->disk_size : DISK_DEFAULT; /* a recipe's */
    char text[24];
    struct stat st;

    if (!config->disk_size)
        return 0;
    if (image->kind == IMAGE_MEMORY)
        return err_set(err, -EINVAL, "--disk-size: image '%s' has no disk; use --disk",
                       config->image);
    if (image->kind == IMAGE_ROOT && stat(image->blank, &st) == 0)
        least = (uint64_t)st.st_size;
    if (config->disk_size >= least)
        return 0;
    guests_size_text(least, text, sizeof(text));
    return err_set(err, -EINVAL,
                   "--disk-size: the disk of image '%s' has %s, and a guest's is no smaller",
                   config->image, text);
}

int run_resolve_image(struct vm_config *config, bool *ret_has_console, struct err *err)
{
    struct image_options options = {.plan_stage = image_plan_stage, .run_stage = image_run_stage};
    struct image image;
    int r;

    if (ret_has_console)
        *ret_has_console = false;
    if (!config->image)
        return 0;
    options.progress = cli_progress_start(config->image);
    r = image_resolve(config->image, config->arch, &options, &image, err);
    if (r == -ENOENT && strchr(config->image, '/')) /* a registry's name */
        r = run_pull_image(config->image, NULL, config->arch, false, options.progress, &image, err);
    if (r == 0)
        r = check_disk_size(config, &image, err);
    if (r == 0 && !config->disk_size && config->technique != TECHNIQUE_CONTAINER)
        config->disk_size = DISK_DEFAULT;
    if (r == 0 && image.kind == IMAGE_DISK && config->technique != TECHNIQUE_CONTAINER)
        r = take_disk(config, &image, err);
    if (r == 0 && config->technique == TECHNIQUE_CONTAINER)
        r = run_take_container(config, &image, options.progress, err);
    else if (r == 0 && image.kind == IMAGE_ROOT)
        r = take_root(config, &image, &options, err);
    cli_progress_end();
    if (r < 0)
        return r;
    if (ret_has_console)
        *ret_has_console = image.kind == IMAGE_DISK && config->technique != TECHNIQUE_CONTAINER;
    if (config->technique != TECHNIQUE_CONTAINER)
        take_boot(config, &image);
    image_done(&image);
    return 0;
}

int run_check_engine(const struct vm_config *config, struct err *err)
{
    const struct board_ops *board = board_find(config->arch);
    const struct engine_ops *ops;
    struct engine_wish wish = {
        .technique =
            config->technique == TECHNIQUE_AUTO ? NULL : vm_technique_name(config->technique),
        .name = config->engine,
    };

    if (config->technique == TECHNIQUE_CONTAINER)
        return 0; /* run_check_container() has looked */
    if (!board)
        return err_set(err, -EOPNOTSUPP,
                       "--arch %s: no engine of this version of Posada runs such guests; use "
                       "--arch riscv64",
                       vm_arch_debian_name(config->arch));
    wish.cpu_ops = board->cpu_ops;
    return engine_choose(&wish, &ops, err);
}
