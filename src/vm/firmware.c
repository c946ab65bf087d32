/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware's files. Contract: firmware.h. */
#include "vm/firmware.h"
#include "base/bits.h"
#include "base/cleanup.h"
#include "host/file.h"
#include "host/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/log.h>
#include <posada/vm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VARS_MAX = 4 << 20, VARS_DELAY_NS = 300000000 };

static const struct {
    const char *name;
    enum vm_arch arch;
    const char *package;
    struct firmware_files files;
} firmware_names[] = {
    {"bios", ARCH_X86_64, "seabios", {"/usr/share/seabios/bios-256k.bin", NULL}},
    {"uefi",
     ARCH_X86_64,
     "ovmf",
     {"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"}},
};

struct firmware_vars {
    struct loop_timer *timer;
    uint8_t *contents;
    uint32_t size;
    int dir_fd;
    const uint8_t *array; /* the chip's; NULL: nothing has changed */
};

bool firmware_is_name(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(firmware_names); i++)
        if (!strcmp(firmware_names[i].name, text))
            return true;
    return false;
}

int firmware_find(const struct vm_config *config, struct firmware_files *ret_files, struct err *err)
{
    const char *name = config->firmware;

    *ret_files = (struct firmware_files){.code = name};
    if (!name || !firmware_is_name(name))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(firmware_names); i++) {
        if (strcmp(firmware_names[i].name, name) || firmware_names[i].arch != config->arch)
            continue;
        *ret_files = firmware_names[i].files;
        if (access(ret_files->code, R_OK))
            return err_set(err, -ENOENT, "firmware '%s': %s is not there; install the package %s",
                           name, ret_files->code, firmware_names[i].package);
        return 0;
    }
    return err_set(err, -EINVAL, "firmware '%s': there is none for %s; give a file", name,
                   vm_arch_name(config->arch));
}

/* --- Variables --- */
static void vars_write(struct firmware_vars *v)
{
    const uint8_t *array = TAKE(v->array);
    struct err err;

    if (array && v->dir_fd >= 0 &&
        file_write(v->dir_fd, FIRMWARE_VARS_FILE, array, v->size, 0600, &err))
        log_warn("the firmware's variables cannot be kept: %s", err.text);
}

static void vars_due(void *arg)
{
    vars_write((struct firmware_vars *)arg);
}

/* Firmware writes a byte at a time: the file follows when it has come to rest. */
static void vars_changed(void *arg, const uint8_t *array)
{
    struct firmware_vars *v = (struct firmware_vars *)arg;

    v->array = array;
    loop_timer_set(v->timer, VARS_DELAY_NS);
}

static int vars_read(struct firmware_vars *v, const char *template, struct err *err)
{
    CLEANUP(free) char *data = NULL, *kept = NULL;
    size_t len = 0, kept_len = 0;
    int r = file_read(AT_FDCWD, template, VARS_MAX, &data, &len, err);

    if (r)
        return r;
    if (!len || len % GUEST_PAGE_SIZE)
        return err_set(err, -ENOEXEC, "firmware '%s': no whole pages of variables", template);
    r = v->dir_fd < 0 ? -ENOENT
                      : file_read(v->dir_fd, FIRMWARE_VARS_FILE, VARS_MAX, &kept, &kept_len, err);
    if (r && r != -ENOENT)
        return r;
    if (!r && kept_len != len)
        return err_set(
            err, -EINVAL,
            "the firmware's variables (%s, %zu bytes) are of another firmware, whose are "
            "%zu bytes; remove the file to start with new ones",
            FIRMWARE_VARS_FILE, kept_len, len);
    v->size = (uint32_t)len;
    v->contents = (uint8_t *)(r ? TAKE(data) : TAKE(kept));
    return 0;
}

int firmware_vars_open(const struct firmware_files *files, int dir_fd, struct loop *loop,
                       struct firmware_vars **ret, struct err *err)
{
    struct firmware_vars *v;
    int r;

    *ret = NULL;
    if (!files->vars)
        return 0;
    v = calloc(1, sizeof(*v));
    if (!v)
        return err_set(err, -ENOMEM, "no memory for the firmware's variables");
    v->dir_fd = dir_fd;
    v->timer = loop_timer_new(loop, vars_due, v);
    r = v->timer ? vars_read(v, files->vars, err) : err_set(err, -ENOMEM, "out of memory");
    if (r) {
        firmware_vars_close(v);
        return r;
    }
    *ret = v;
    return 0;
}

struct board_flash firmware_vars_flash(struct firmware_vars *v)
{
    if (!v)
        return (struct board_flash){0};
    return (struct board_flash){
        .contents = v->contents, .size = v->size, .changed = vars_changed, .arg = v};
}

void firmware_vars_close(struct firmware_vars *v)
{
    if (!v)
        return;
    vars_write(v);
    loop_timer_free(v->timer);
    free(v->contents);
    free(v);
}
