/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The architecture of a guest whose command line does not say: what its kernel or firmware is made
 * for, what its image is there for, the host's own where the technique can run that, else riscv64,
 * which any host emulates.
 */
#include "cli/run.h"

#include "cli/cli.h"
#include "image/image.h"
#include "vm/config.h"
#include "vm/firmware.h"
#include "vm/loader.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/utsname.h>

enum vm_arch run_host_arch(void)
{
    struct utsname host;
    int arch = uname(&host) < 0 ? -1 : vm_arch_parse(host.machine);

    return arch < 0 ? ARCH_X86_64 : (enum vm_arch)arch;
}

static bool arch_runs(const struct vm_config *config, enum vm_arch arch)
{
    struct vm_config wanted = *config;
    struct err why;

    wanted.arch = arch;
    return run_check_engine(&wanted, &why) == 0;
}

/* Recipes can be built for every architecture, other images are what they are. */
static bool arch_has_image(const char *name, enum vm_arch arch)
{
    struct image image;
    bool made;

    if (image_find(name, arch, &image, NULL) < 0)
        return false;
    made = image.suite != NULL;
    image_done(&image);
    return !made;
}

/* -1: no image by that name says it. */
static int arch_of_image(const struct vm_config *config, const char *name, enum vm_arch usual)
{
    if (arch_has_image(name, usual))
        return (int)usual;
    for (int arch = 0; arch < ARCH_COUNT; arch++)
        if (arch_has_image(name, (enum vm_arch)arch) && arch_runs(config, (enum vm_arch)arch))
            return arch;
    return -1;
}

static int arch_setting(int *ret, struct err *err)
{
    const char *text = getenv("POSADA_ARCH");

    *ret = text && *text ? vm_arch_parse(text) : ARCH_COUNT;
    return *ret < 0 ? err_set(err, -EINVAL, "POSADA_ARCH '%.40s': expected riscv64, arm64 or amd64",
                              text)
                    : 0;
}

static enum vm_arch arch_usual(const struct vm_config *config)
{
    enum vm_arch host = run_host_arch();
    bool own = config->technique != TECHNIQUE_AUTO && config->technique != TECHNIQUE_EMULATE;

    return own || arch_runs(config, host) ? host : ARCH_RISCV64;
}

int run_usual_arch(enum vm_arch *ret, struct err *err)
{
    const struct vm_config any = {.technique = TECHNIQUE_AUTO};
    int arch, r = arch_setting(&arch, err);

    if (!r)
        *ret = arch == ARCH_COUNT ? arch_usual(&any) : (enum vm_arch)arch;
    return r;
}

/* Its kernel's, or that of firmware which is an ELF file. -1: neither says it. */
static int arch_of_file(const struct cli_args *args)
{
    const char *file = cli_value(args, "kernel"), *firmware = cli_value(args, "firmware");

    if (!file && firmware && !firmware_is_name(firmware))
        file = firmware;
    return file ? loader_kernel_arch(file) : -1;
}

int run_find_arch(const struct cli_args *args, struct vm_config *config, struct err *err)
{
    const char *text = cli_value(args, "arch");
    const char *name = args->operand_count && !cli_has(args, "kernel") ? args->operands[0] : NULL;
    int found, arch = text ? vm_arch_parse(text) : ARCH_COUNT;
    bool container = config->technique == TECHNIQUE_CONTAINER;
    int r = text || container ? 0 : arch_setting(&arch, err);

    if (r < 0)
        return r;
    if (arch < 0)
        return err_set(err, -EINVAL, "--arch '%s': expected riscv64, arm64 or amd64", text);
    if (arch == ARCH_COUNT) {
        arch = (int)arch_usual(config);
        found = arch_of_file(args);
        if (found < 0 && name && !container)
            found = arch_of_image(config, name, (enum vm_arch)arch);
        arch = found < 0 ? arch : found;
    }
    config->arch = (enum vm_arch)arch;
    return 0;
}
