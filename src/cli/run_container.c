/* SPDX-License-Identifier: Apache-2.0 */
/* From an image to a container: what it is made of, and what a container cannot have. */
#include "cli/run.h"

#include "base/cleanup.h"
#include "block/convert.h"
#include "cli/cli.h"
#include "ctr/group.h"
#include "ctr/root.h"
#include "image/image.h"
#include "vm/config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CPUS_MAX = 1024, PIDS_MAX = 1 << 22 };

/* "2", "0.5", "1.25": thousandths of a processor. */
static int container_cpus(const char *text, unsigned *ret, struct err *err)
{
    size_t whole = strspn(text, "0123456789");
    const char *point = text[whole] == '.' ? text + whole + 1 : "";
    size_t part = strspn(point, "0123456789");
    unsigned long value = strtoul(text, NULL, 10) * 1000, scale = 100;

    if (!whole || whole > 4 || part > 3 || (*point ? point[part] : text[whole]))
        return err_set(err, -EINVAL, "--cpus '%.40s': expected a number such as 2 or 0.5", text);
    for (size_t i = 0; i < part; i++, scale /= 10)
        value += (unsigned long)(point[i] - '0') * scale;
    if (value < 10 || value > CPUS_MAX * 1000)
        return err_set(err, -EINVAL, "--cpus %s: expected 0.01 to %d", text, CPUS_MAX);
    *ret = (unsigned)value;
    return 0;
}

static int container_low(const char *text, struct vm_config *config, struct err *err)
{
    uint64_t low;
    int r = cli_parse_size("--memory-reservation", text, &low, err);

    if (!r)
        config->memory_low = low;
    return r;
}

static int container_high(const char *text, struct vm_config *config, struct err *err)
{
    uint64_t high = 0;
    bool moves = !strcmp(text, "auto");

    if (!moves && cli_parse_size("--memory-high", text, &high, err) < 0)
        return err->code;
    config->memory_high = high;
    config->memory_auto = moves;
    return 0;
}

static int container_marks(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *low = cli_value(args, "memory-reservation"), *high = cli_value(args, "memory-high");
    uint64_t max = config->memory ? config->memory : UINT64_MAX;
    int r = low ? container_low(low, config, err) : 0;

    if (!r && high)
        r = container_high(high, config, err);
    if (!r && config->memory_low > max)
        r = err_set(err, -EINVAL, "--memory-reservation: more than its memory (%llu MiB)",
                    (unsigned long long)(max >> 20));
    if (!r && config->memory_high &&
        (config->memory_high > max || config->memory_high < config->memory_low))
        r = err_set(err, -EINVAL,
                    "--memory-high: expected a size from --memory-reservation to --memory");
    return r;
}

int run_container_sizes(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *cpus = cli_value(args, "cpus"), *pids = cli_value(args, "pids");
    uint64_t count = config->pids;
    int r = cpus ? container_cpus(cpus, &config->millicpus, err) : 0;

    if (!r)
        r = container_marks(args, config, err);
    if (!r && pids)
        r = cli_parse_number("--pids", pids, 1, PIDS_MAX, &count, err);
    config->pids = (unsigned)count;
    config->cpus = (config->millicpus + 999) / 1000;
    return r;
}

int run_check_limits(const struct vm_config *config, struct err *err)
{
    struct ctr_group group;

    ctr_group_find(&group);
    return ctr_group_check(&group, config, err);
}

/* Options that only a machine has. */
static const char *const container_never[] = {
    "append", "cpu-model", "disk",    "disk-size", "engine", "firmware", "gdb",  "initrd",
    "kernel", "perf-map",  "sandbox", "symbols",   "tohost", "trace",    "vsock"};

int run_check_container(const struct cli_args *args, const struct vm_config *config,
                        struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(container_never); i++)
        if (cli_has(args, container_never[i]))
            return err_set(err, -EINVAL,
                           "--%s: a container has no machine of its own; leave it out, or choose "
                           "another --technique",
                           container_never[i]);
    for (unsigned i = 0; cli_nth(args, "net", i); i++)
        if (!strncmp(cli_nth(args, "net", i), "tap:", 4))
            return err_set(err, -EINVAL,
                           "--net %s: a container's networks are user, none, or a name",
                           cli_nth(args, "net", i));
    if (config->arch != run_host_arch())
        return err_set(err, -EOPNOTSUPP,
                       "--arch %s: a container's programs run on this host's processor, %s; "
                       "--technique emulate runs others",
                       vm_arch_debian_name(config->arch), vm_arch_debian_name(run_host_arch()));
    return 0;
}

/* --- auto --- */

static bool auto_is_there(const char *name, enum vm_arch arch)
{
    struct image image;
    bool there;

    if (image_find(name, arch, &image, NULL) < 0)
        return false;
    there = image.kind == IMAGE_ROOT;
    image_done(&image);
    return there;
}

/* A virtual machine isolates better, so it comes first where there can be one. */
void run_auto_container(const struct cli_args *args, struct vm_config *config)
{
    enum vm_arch host = run_host_arch();
    struct vm_config wanted = {.arch = host, .technique = TECHNIQUE_AUTO};
    const char *name = args->operand_count ? args->operands[0] : NULL;
    struct err why;

    for (size_t i = 0; i < ARRAY_LEN(container_never); i++)
        if (cli_has(args, container_never[i]))
            return;
    if (!name || (cli_has(args, "arch") ? config->arch != host : auto_is_there(name, config->arch)))
        return;
    if (!auto_is_there(name, host) || run_check_engine(&wanted, &why) == 0)
        return;
    fprintf(
        stderr,
        "posada: image '%s' runs as a container (--technique container): no engine of this host "
        "runs %s guests\n",
        name, vm_arch_debian_name(host));
    config->arch = host;
    config->technique = TECHNIQUE_CONTAINER;
}

/* --- a recipe's disk --- */

/* The disk as a raw one beside the objects, as long as an image or a guest (by a second name) has
 * it. It appears there whole; whoever makes it at the same time makes the same. */
static int container_raw_disk(const struct image *image, const struct image_progress *progress,
                              char **ret_path, struct err *err)
{
    const char *slash = strrchr(image->disk, '/');
    CLEANUP(free) char *dir = NULL;
    CLEANUP(free) char *path = NULL;
    struct blk_source source = {
        .format = image->disk_format, .path = image->disk, .read_only = true};
    struct disk_target target = {.format = "raw"};
    struct blk_store *store;
    int r;

    if (asprintf(&dir, "%.*s/../trees", (int)(slash - image->disk), image->disk) < 0 ||
        asprintf(&path, "%s/%s.raw", dir, slash + 1) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (mkdir(dir, 0711) < 0 && errno != EEXIST)
        return err_set(err, -errno, "%s: %s", dir, strerror(errno));
    if (access(path, F_OK) < 0) {
        if (progress && progress->step)
            progress->step(progress->arg, "making its disk a raw one");
        r = blk_store_open(&source, &store, err);
        if (r < 0)
            return r;
        target.path = path;
        r = disk_make(store, &target, err);
        (void)blk_store_close(store);
        if (r < 0)
            return r;
    }
    *ret_path = realpath(path, NULL);
    return *ret_path ? 0 : err_set(err, -errno, "%s: %s", path, strerror(errno));
}

/* Nobody's disk but one that a recipe has made here is mounted by this host's kernel. */
static int container_take_disk(struct vm_config *config, const struct image *image,
                               const struct image_progress *progress, struct err *err)
{
    if (image->kind != IMAGE_DISK || !image->suite)
        return err_set(err, -EOPNOTSUPP,
                       "image '%s' is a machine's (%s), not a container's; choose another "
                       "--technique, or an OCI image",
                       image->name, image_kind_name(image->kind));
    if (geteuid())
        return err_set(err, -EPERM,
                       "image '%s': its disk can be mounted for a container by root only; an OCI "
                       "image can be run by everybody",
                       image->name);
    config->layers = calloc(2, sizeof(*config->layers));
    return config->layers ? container_raw_disk(image, progress, &config->layers[0], err)
                          : err_set(err, -ENOMEM, "out of memory");
}

int run_take_container(struct vm_config *config, struct image *image,
                       const struct image_progress *progress, struct err *err)
{
    int r;

    if (image->kind != IMAGE_ROOT)
        return container_take_disk(config, image, progress, err);
    r = run_take_process(config, image, err);
    if (!r && image->process.stop_signal && !config->stop_signal)
        config->stop_signal = TAKE(image->process.stop_signal);
    if (r < 0)
        return r;
    return ctr_root_has_erofs() ? image_mountable_layers(image, progress, &config->layers, err)
                                : image_unpacked(image, progress, &config->tree, err);
}
