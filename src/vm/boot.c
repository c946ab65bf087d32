/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot plans. There are three: a Linux kernel entered directly, the board serving its firmware
 * calls; firmware at the highest privilege, with or without a kernel to go on to; a bare ELF
 * program at the highest privilege. A vmlinux (an ELF file linked below RAM) is a kernel.
 * Contract: boot.h.
 */
#include "vm/boot.h"
#include <errno.h>
#include <string.h>

static int boot_check_config(const struct vm_config *config, struct err *err)
{
    if (!config->kernel && !config->firmware)
        return err_set(err, -EINVAL, "nothing to boot: give an image, --kernel or --firmware");
    if (config->tohost && config->firmware)
        return err_set(err, -EINVAL, "--tohost runs a bare program: leave out --firmware");
    if (config->tohost && !config->kernel)
        return err_set(err, -EINVAL, "--tohost needs the program's path in --kernel");
    return 0;
}

static int boot_open_files(struct boot *boot, const struct vm_config *config, struct err *err)
{
    int r = 0;

    if (config->firmware)
        r = loader_open_firmware(&boot->firmware, config->firmware, config->arch, err);
    if (!r && config->kernel)
        r = loader_open_kernel(&boot->kernel, config->kernel, config->arch, err);
    if (!r && config->initrd)
        r = loader_open_initrd(&boot->initrd, config->initrd, err);
    return r;
}

static uint64_t boot_lowest(const struct loader_image *image)
{
    uint64_t lowest = UINT64_MAX;

    for (unsigned i = 0; i < image->segment_count; i++)
        if (image->segment[i].address < lowest)
            lowest = image->segment[i].address;
    return lowest;
}

/* A program linked for RAM, as opposed to a vmlinux, which is linked from 0 on. */
static bool boot_is_bare(const struct boot *boot, const struct board_places *places)
{
    return boot->kernel.kind == LOADER_ELF && boot_lowest(&boot->kernel) >= places->firmware;
}

static int boot_plan_tohost(struct boot *boot, const struct vm_config *config, struct err *err)
{
    if (!config->tohost)
        return 0;
    if (!boot->kernel.has_tohost)
        return err_set(err, -ENOEXEC,
                       "kernel '%s': it has no symbol 'tohost', so --tohost cannot see its result",
                       config->kernel);
    boot->has_tohost = true;
    boot->tohost = boot->kernel.tohost;
    return 0;
}

static void boot_plan_entry(struct boot *boot, const struct board_places *places)
{
    bool bare = boot->kernel.segment_count && boot_is_bare(boot, places);
    uint64_t kernel_entry;

    boot->firmware_at = boot->firmware.kind == LOADER_RAW ? places->firmware : 0;
    boot->kernel_at = bare ? 0 : places->kernel;
    boot->initrd_at = places->initrd;
    kernel_entry = boot->kernel_at + boot->kernel.entry;
    if (boot->firmware.segment_count) {
        boot->board.entry = boot->firmware_at + boot->firmware.entry;
        boot->board.next = boot->kernel.segment_count ? kernel_entry : 0;
    } else {
        boot->board.entry = kernel_entry;
    }
    boot->board.bare = bare || boot->firmware.segment_count;
}

static int boot_plan(struct boot *boot, const struct vm_config *config,
                     const struct board_ops *board, struct err *err)
{
    const struct loader_image *kernel = &boot->kernel;
    bool is_image = kernel->segment_count && kernel->kind == LOADER_LINUX;
    struct board_places places;
    int r = boot_plan_tohost(boot, config, err);

    if (!r)
        r = board->place(config->memory, is_image ? kernel->text_offset : 0,
                         is_image ? kernel->memory_size : 0, boot->initrd.bytes.len, &places, err);
    if (r)
        return r;
    boot_plan_entry(boot, &places);
    boot->board.initrd = places.initrd;
    boot->board.initrd_len = boot->initrd.bytes.len;
    boot->board.append = config->append ? config->append : "";
    return 0;
}

int boot_open(struct boot *ret_boot, const struct vm_config *config, const struct board_ops *board,
              struct err *err)
{
    struct boot boot = {0};
    int r = boot_check_config(config, err);

    if (!r)
        r = boot_open_files(&boot, config, err);
    if (!r)
        r = boot_plan(&boot, config, board, err);
    if (r)
        boot_close(&boot);
    else
        *ret_boot = boot;
    return r;
}

void boot_close(struct boot *boot)
{
    loader_close(&boot->firmware);
    loader_close(&boot->kernel);
    loader_close(&boot->initrd);
}

int boot_write(struct boot *boot, struct mem *mem, struct err *err)
{
    int r = loader_write(&boot->firmware, mem, boot->firmware_at, err);

    if (!r)
        r = loader_write(&boot->kernel, mem, boot->kernel_at, err);
    return r ? r : loader_write(&boot->initrd, mem, boot->initrd_at, err);
}
