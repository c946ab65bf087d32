/* SPDX-License-Identifier: Apache-2.0 */
/* posada image: build, list, inspect and remove guest images. */
#include "image/image.h"

#include "cli/image_stage.h"
#include "cli/image_verbs.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/verbs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int cli_image_arch(const struct cli_args *args, enum vm_arch *ret_arch, struct err *err)
{
    const char *name = cli_value(args, "arch");
    int arch = name ? vm_arch_parse(name) : ARCH_COUNT;

    if (arch < 0)
        return err_set(err, -EINVAL, "--arch '%s': expected riscv64, arm64 or amd64", name);
    *ret_arch = (enum vm_arch)arch;
    return 0;
}

/* --- ls --- */

static bool image_add_row(void *arg, const struct image *image)
{
    const char *what = image->release ? image->release : image->digest ? image->digest : "";
    char size[32], version[32];

    snprintf(size, sizeof(size), "%.1f MB", (double)image->bytes / 1e6);
    snprintf(version, sizeof(version), "%.*s", image->release ? 31 : 12, what);
    return json_array_append_new(
               arg, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s*, s:s*}", "name",
                              image->name, "arch", vm_arch_name(image->arch), "kind",
                              image_kind_name(image->kind), "suite",
                              image->suite ? image->suite : "", "version", version, "size", size,
                              "bytes", (json_int_t)image->bytes, "built", image->built, "release",
                              image->release, "digest", image->digest)) == 0;
}

static int image_ls(const struct cli_args *args)
{
    static const struct cli_column columns[] = {
        {"NAME", "name"},       {"ARCH", "arch"}, {"KIND", "kind"},   {"SUITE", "suite"},
        {"VERSION", "version"}, {"SIZE", "size"}, {"BUILT", "built"}, {0},
    };
    json_t *rows = json_array();
    struct err err;
    int r = cli_listing_check(args, &err);

    if (r == 0)
        r = image_list(image_add_row, rows, &err);
    r = r < 0 ? cli_fail(&err) : cli_print_listing(args, rows, columns);
    json_decref(rows);
    return r;
}

static const struct cli_option image_ls_options[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};
static const struct cli_verb image_ls_verb = {
    .name = "ls", .summary = "List images", .options = image_ls_options, .run = image_ls};

/* --- build --- */

void cli_print_image(const struct image *image)
{
    printf("%s %s: %s%s%s%.1f MB, built %s\n", image->name, vm_arch_name(image->arch),
           image->release ? "kernel " : image_kind_name(image->kind),
           image->release ? image->release : "", ", ", (double)image->bytes / 1e6, image->built);
}

static int image_build_one(const struct cli_args *args)
{
    struct image_options options = {
        .suite = cli_value(args, "suite"),
        .mirror = cli_value(args, "mirror"),
        .force = cli_has(args, "force"),
        .plan_stage = image_plan_stage,
        .run_stage = image_run_stage,
    };
    char subject[96];
    struct image image;
    enum vm_arch arch = ARCH_COUNT;
    struct err err;
    int r = cli_image_arch(args, &arch, &err);

    if (!r && arch == ARCH_COUNT)
        r = run_usual_arch(&arch, &err);
    if (r < 0)
        return cli_fail(&err);
    snprintf(subject, sizeof(subject), "image %.60s (%s)", args->operands[0], vm_arch_name(arch));
    options.progress = cli_progress_start(subject);
    r = image_build(args->operands[0], arch, &options, &image, &err);
    cli_progress_end();
    if (r < 0)
        return cli_fail(&err);
    cli_print_image(&image);
    image_done(&image);
    return EXIT_OK;
}

static const struct cli_option image_build_options[] = {
    CLI_IMAGE_ARCH,
    {"suite", 0, "SUITE", "Debian suite instead of the recipe's"},
    {"mirror", 0, "URL", "Debian mirror instead of the host's"},
    {"force", 'f', NULL, "build again, with the archive's newest packages"},
    CLI_OPTIONS_END,
};
static const struct cli_verb image_build_verb = {
    .name = "build",
    .operands = "RECIPE",
    .summary = "Build an image from Debian's signed archive",
    .details = "Does nothing when the image is there and up to date. Downloads are kept and "
               "resumed; interrupting a build leaves nothing behind.",
    .options = image_build_options,
    .min = 1,
    .max = 1,
    .run = image_build_one,
};

/* --- rm, inspect: without --arch, the only architecture that has the image --- */

struct image_search {
    const char *name;
    enum vm_arch arch;
    unsigned found;
};

static bool image_match(void *arg, const struct image *image)
{
    struct image_search *s = arg;

    if (strcmp(image->name, s->name) == 0) {
        s->arch = image->arch;
        s->found++;
    }
    return true;
}

static int image_choose(const char *name, enum vm_arch *arch, struct err *err)
{
    struct image_search s = {.name = name};
    int r;

    if (*arch != ARCH_COUNT)
        return 0;
    r = image_list(image_match, &s, err);
    if (r < 0)
        return r;
    if (s.found == 0)
        return err_set(err, -ENOENT, "image '%s': there is no such image; `posada image ls`", name);
    if (s.found > 1)
        return err_set(err, -EINVAL,
                       "image '%s': there is one for several architectures; choose "
                       "with --arch",
                       name);
    *arch = s.arch;
    return 0;
}

static int image_rm(const struct cli_args *args)
{
    int code = EXIT_OK;

    for (unsigned i = 0; i < args->operand_count; i++) {
        const char *name = args->operands[i];
        enum vm_arch arch = ARCH_COUNT;
        struct err err;
        int r = cli_image_arch(args, &arch, &err);

        if (r == 0)
            r = image_choose(name, &arch, &err);
        if (r == 0)
            r = image_remove(name, arch, cli_progress_start(name), &err);
        cli_progress_end();
        if (r < 0)
            code = cli_fail(&err);
        else
            printf("%s %s\n", name, vm_arch_name(arch));
    }
    return code;
}

static const struct cli_option image_arch_options[] = {
    {"arch", 0, "ARCH", "which one, when there are several of that name"}, CLI_OPTIONS_END};
static const struct cli_verb image_rm_verb = {
    .name = "rm",
    .operands = "IMAGE...",
    .summary = "Remove images",
    .options = image_arch_options,
    .min = 1,
    .max = CLI_ANY_NUMBER,
    .run = image_rm,
};

static int image_show(const struct cli_args *args)
{
    const char *name = args->operands[0];
    json_t *json = NULL;
    enum vm_arch arch = ARCH_COUNT;
    struct err err;
    int r = cli_image_arch(args, &arch, &err);

    if (r == 0)
        r = image_choose(name, &arch, &err);
    if (r == 0)
        r = image_inspect(name, arch, &json, &err);
    if (r < 0)
        return cli_fail(&err);
    cli_print_json(json);
    json_decref(json);
    return EXIT_OK;
}

static const struct cli_verb image_inspect_verb = {
    .name = "inspect",
    .operands = "IMAGE",
    .summary = "Show all that is known of an image, as JSON",
    .options = image_arch_options,
    .min = 1,
    .max = 1,
    .run = image_show,
};

static const struct cli_verb *const image_verbs[] = {
    &image_build_verb,     &cli_image_import_verb, &image_inspect_verb, &image_ls_verb,
    &cli_image_prune_verb, &cli_image_pull_verb,   &image_rm_verb,      NULL};

const struct cli_verb cli_image_verb = {
    .name = "image",
    .summary = "Build, pull, import, list and remove guest images",
    .verbs = image_verbs,
};
