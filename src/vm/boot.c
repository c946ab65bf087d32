/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a machine starts from. The files are opened here; where they go and how the first vCPU
 * enters them is the board's plan. Contract: boot.h.
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
    const char *firmware;
    int r = firmware_find(config, &boot->firmware_files, err);

    firmware = boot->firmware_files.code;
    if (!r && firmware)
        r = loader_open_firmware(&boot->firmware, firmware, config->arch, err);
    if (!r && config->kernel)
        r = loader_open_kernel(&boot->kernel, config->kernel, config->arch, err);
    if (!r && config->initrd)
        r = loader_open_initrd(&boot->initrd, config->initrd, err);
    return r;
}

static struct board_image boot_describe(const struct loader_image *image)
{
    static const enum board_image_kind kinds[] = {[LOADER_LINUX] = BOARD_IMAGE_LINUX,
                                                  [LOADER_ELF] = BOARD_IMAGE_ELF,
                                                  [LOADER_RAW] = BOARD_IMAGE_RAW};
    struct board_image b = {.entry = image->entry,
                            .lowest = UINT64_MAX,
                            .text_offset = image->text_offset,
                            .memory_size = image->memory_size,
                            .setup = image->setup,
                            .setup_len = image->setup_len,
                            .alignment = image->alignment,
                            .narrow = image->narrow,
                            .multiboot = image->multiboot,
                            .pvh_entry = image->pvh_entry};

    if (!image->segment_count)
        return (struct board_image){0};
    b.kind = kinds[image->kind];
    for (unsigned i = 0; i < image->segment_count; i++) {
        const struct loader_segment *s = &image->segment[i];

        b.lowest = s->address < b.lowest ? s->address : b.lowest;
        b.end = s->address + s->memory_len > b.end ? s->address + s->memory_len : b.end;
    }
    return b;
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

static int boot_plan(struct boot *boot, const struct vm_config *config,
                     const struct board_ops *board, struct err *err)
{
    const struct board_files files = {
        .memory = config->memory,
        .firmware = boot_describe(&boot->firmware),
        .kernel = boot_describe(&boot->kernel),
        .initrd_len = boot->initrd.bytes.len,
        .append = config->append ? config->append : "",
    };
    int r = boot_plan_tohost(boot, config, err);

    return r ? r : board->plan(&files, &boot->board, err);
}

int boot_open(struct boot *ret_boot, const struct vm_config *config, const struct board_ops *board,
              struct err *err)
{
    int r = boot_check_config(config, err);

    *ret_boot = (struct boot){0};
    if (!r)
        r = boot_open_files(ret_boot, config, err);
    if (!r)
        r = boot_plan(ret_boot, config, board, err);
    if (r)
        boot_close(ret_boot);
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
    int r = loader_write(&boot->firmware, mem, boot->board.firmware_at, err);

    if (!r)
        r = loader_write(&boot->kernel, mem, boot->board.kernel_at, err);
    return r ? r : loader_write(&boot->initrd, mem, boot->board.initrd, err);
}
