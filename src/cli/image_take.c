/* SPDX-License-Identifier: Apache-2.0 */
/* posada image pull, import, prune. */
#include "base/cleanup.h"
#include "block/store.h"
#include "cli/image_stage.h"
#include "cli/image_verbs.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "image/image.h"
#include "vm/config.h"
#include "vm/store.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static int take_arch(const struct cli_args *args, enum vm_arch *ret, struct err *err)
{
    int r = cli_image_arch(args, ret, err);

    return !r && *ret == ARCH_COUNT ? run_usual_arch(ret, err) : r;
}

/* --- pull --- */

/* A registry on this host is used as it is; others need TLS. */
static bool pull_is_local(const char *reference)
{
    static const char *const hosts[] = {"localhost:", "localhost/", "127.", "[::1]"};

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (!strncmp(reference, hosts[i], strlen(hosts[i])))
            return true;
    return false;
}

/* HOST[:PORT]/NAME[:TAG]: a name without a host is Docker's, as everywhere. */
static char *pull_full_name(const char *text)
{
    size_t host = strcspn(text, "/");
    char *full = NULL;
    bool has_host = text[host] && (memchr(text, '.', host) || memchr(text, ':', host) ||
                                   !strncmp(text, "localhost/", 10));

    if (asprintf(&full, "%s%s%s", has_host ? "" : "docker.io/",
                 has_host || text[host] ? "" : "library/", text) < 0)
        return NULL;
    return full;
}

int run_pull_image(const char *reference, const char *name, enum vm_arch arch, bool plain,
                   const struct image_progress *progress, struct image *ret_image, struct err *err)
{
    const char *text = strncmp(reference, "docker://", 9) ? reference : reference + 9;
    CLEANUP(free) char *full = pull_full_name(text);
    CLEANUP(free) char *own = full ? strdup(name ? name : full) : NULL;
    struct image_import import = {.source = IMAGE_FROM_REGISTRY,
                                  .path = full,
                                  .name = own,
                                  .arch = arch,
                                  .progress = progress};
    size_t len;

    if (!full || !own)
        return err_set(err, -ENOMEM, "out of memory");
    if (!*text)
        return err_set(err, -EINVAL, "image pull: the reference is empty: HOST[:PORT]/NAME[:TAG]");
    import.plain = plain || pull_is_local(full);
    len = strlen(own);
    if (!name && len > 7 && !strcmp(own + len - 7, ":latest"))
        own[len - 7] = '\0';
    return image_import_oci(&import, ret_image, err);
}

static int pull_run(const struct cli_args *args)
{
    const char *reference = args->operands[0];
    struct image image;
    enum vm_arch arch;
    struct err err;
    int r = take_arch(args, &arch, &err);

    if (!r)
        r = run_pull_image(reference, cli_value(args, "name"), arch, cli_has(args, "plain"),
                           cli_progress_start(reference), &image, &err);
    cli_progress_end();
    if (r < 0)
        return cli_fail(&err);
    cli_print_image(&image);
    image_done(&image);
    return EXIT_OK;
}

static const struct cli_option pull_options[] = {
    CLI_IMAGE_ARCH,
    {"name", 0, "NAME", "what to call it here (default: as there)"},
    {"plain", 0, NULL, "without TLS; a registry on this host is always asked so"},
    CLI_OPTIONS_END,
};
const struct cli_verb cli_image_pull_verb = {
    .name = "pull",
    .operands = "REFERENCE",
    .summary = "Fetch an OCI image from a registry",
    .details =
        "REFERENCE is HOST[:PORT]/NAME[:TAG] or HOST[:PORT]/NAME@sha256:DIGEST. Fetching is\n"
        "skopeo's work; what it brings is verified against its digests here.",
    .options = pull_options,
    .min = 1,
    .max = 1,
    .run = pull_run,
};

/* --- import --- */

static const struct {
    const char *word;
    enum image_source source;
} import_sources[] = {
    {"oci", IMAGE_FROM_LAYOUT},
    {"oci-archive", IMAGE_FROM_OCI_ARCHIVE},
    {"docker-archive", IMAGE_FROM_DOCKER_ARCHIVE},
};

/* The file's name without what follows its first dot. */
static char *import_name(const struct cli_args *args, const char *path)
{
    const char *name = cli_value(args, "name"), *slash;
    size_t len = strlen(path);

    if (name)
        return strdup(name);
    while (len && path[len - 1] == '/')
        len--;
    slash = memrchr(path, '/', len);
    name = slash ? slash + 1 : path;
    return strndup(name, strcspn(name, "./:"));
}

static int import_oci(const struct cli_args *args, enum image_source source, const char *path,
                      enum vm_arch arch, struct image *ret, struct err *err)
{
    CLEANUP(free) char *name = import_name(args, path);
    CLEANUP(free) char *file = strdup(path);
    char *colon = file ? strrchr(file, ':') : NULL;
    struct image_import import = {.source = source, .path = file, .name = name, .arch = arch};

    if (!name || !file)
        return err_set(err, -ENOMEM, "out of memory");
    if (cli_has(args, "kernel") || cli_has(args, "initrd") || cli_has(args, "append"))
        return err_set(err, -EINVAL, "--kernel, --initrd and --append go with a disk's format");
    if (colon && !strchr(colon, '/')) {
        *colon = '\0';
        import.tag = colon + 1;
    }
    import.progress = cli_progress_start(name);
    return image_import_oci(&import, ret, err);
}

/* A file that can be read but is no such disk is bad input, whatever is wrong with it. */
static int import_disk_code(int r, struct err *err)
{
    static const int others[] = {-ENOENT, -EACCES, -EPERM, -ENOMEM, -EIO, -EBUSY, -EAGAIN};

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (r == others[i])
            return r;
    err->code = -EINVAL;
    return err->code;
}

/* The disk as it is told to be: its size, and that nothing lies behind it. */
static int import_disk_size(const char *path, const char *format, uint64_t *ret_size,
                            struct err *err)
{
    struct blk_source source = {.format = format, .path = path, .read_only = true};
    struct blk_store *store;
    int r = blk_store_open(&source, &store, err);

    if (r < 0)
        return import_disk_code(r, err);
    *ret_size = store->info.size;
    (void)blk_store_close(store);
    return 0;
}

static int import_disk(const struct cli_args *args, const char *format, const char *path,
                       enum vm_arch arch, struct image *ret, struct err *err)
{
    CLEANUP(free) char *name = import_name(args, path);
    struct image_disk import = {.name = name,
                                .path = path,
                                .format = format,
                                .kernel = cli_value(args, "kernel"),
                                .initrd = cli_value(args, "initrd"),
                                .append = cli_value(args, "append"),
                                .arch = arch};
    int r = import_disk_size(path, format, &import.size, err);

    if (!name)
        return err_set(err, -ENOMEM, "out of memory");
    if (!r && import.initrd && !import.kernel)
        r = err_set(err, -EINVAL, "--initrd: goes with --kernel");
    import.progress = cli_progress_start(name);
    return r ? r : image_import_disk(&import, ret, err);
}

static int import_one(const struct cli_args *args, struct image *ret, struct err *err)
{
    const char *format = cli_value(args, "format"), *path = args->operands[0];
    enum vm_arch arch;
    int r = take_arch(args, &arch, err);

    if (r < 0)
        return r;
    if (format && (!strcmp(format, "raw") || !strcmp(format, "qcow2")))
        return import_disk(args, format, path, arch, ret, err);
    for (size_t i = 0; format && i < ARRAY_LEN(import_sources); i++)
        if (!strcmp(format, import_sources[i].word))
            return import_oci(args, import_sources[i].source, path, arch, ret, err);
    return err_set(err, -EINVAL,
                   "--format%s%s: say what %s is: raw, qcow2, oci, oci-archive or docker-archive; "
                   "it is never guessed",
                   format ? " " : "", format ? format : "", path);
}

static int import_run(const struct cli_args *args)
{
    struct image image;
    struct err err;
    int r = import_one(args, &image, &err);

    cli_progress_end();
    if (r < 0)
        return cli_fail(&err);
    cli_print_image(&image);
    image_done(&image);
    return EXIT_OK;
}

static const struct cli_option import_options[] = {
    {"format", 0, "FORMAT", "raw, qcow2, oci (a layout), oci-archive or docker-archive"},
    CLI_IMAGE_ARCH,
    {"name", 0, "NAME", "what to call it (default: the file's name up to its first dot)"},
    {"kernel", 0, "FILE", "kernel that boots a disk"},
    {"initrd", 0, "FILE", "its initial RAM disk"},
    {"append", 0, "TEXT", "its command line"},
    CLI_OPTIONS_END,
};
const struct cli_verb cli_image_import_verb = {
    .name = "import",
    .operands = "PATH[:TAG]",
    .summary = "Take a disk or an OCI image from files",
    .details = "The files are copied. A disk without --kernel is for guests with --firmware or\n"
               "--kernel of their own. :TAG chooses one of several images in a layout or archive.",
    .options = import_options,
    .min = 1,
    .max = 1,
    .run = import_run,
};

/* --- prune --- */

/* {image name: true} of all guests. */
static int prune_used(json_t *used, struct err *err)
{
    char **names = NULL;
    int r = store_list(&names, err);

    for (char **name = names; !r && *name; name++) {
        struct vm_config config = {0};
        struct guest guest;

        if (store_open(*name, &guest, NULL) < 0)
            continue;
        if (!guest_read_config(&guest, &config, NULL) && config.image)
            r = json_object_set_new(used, config.image, json_true()) < 0
                    ? err_set(err, -ENOMEM, "out of memory")
                    : 0;
        vm_config_done(&config);
        guest_close(&guest);
    }
    vm_strings_free(names);
    return r;
}

static bool prune_wants(void *arg, const struct image *image)
{
    bool wanted = json_object_get(arg, image->name) != NULL;

    if (!wanted)
        printf("%s %s\n", image->name, vm_arch_name(image->arch));
    return wanted;
}

static int prune_run(const struct cli_args *args)
{
    json_t *used = json_object();
    bool all = cli_has(args, "all");
    uint64_t bytes = 0;
    struct err err;
    int r = all ? prune_used(used, &err) : 0;

    if (!r)
        r = image_prune(all ? prune_wants : NULL, used, image_clear_foreign,
                        cli_progress_start("prune"), &bytes, &err);
    cli_progress_end();
    json_decref(used);
    if (r < 0)
        return cli_fail(&err);
    printf("%.1f MB freed\n", (double)bytes / 1e6);
    return EXIT_OK;
}

static const struct cli_option prune_options[] = {
    {"all", 'a', NULL, "images too that no guest was made of"},
    CLI_OPTIONS_END,
};
const struct cli_verb cli_image_prune_verb = {
    .name = "prune",
    .summary = "Give back the space of what no image needs any more",
    .details = "Guests keep what they were made of, whatever is removed here.",
    .options = prune_options,
    .run = prune_run,
};
