/* SPDX-License-Identifier: Apache-2.0 */
/* Firmware's variables: begun from the template, written after a change, read at the next start. */
#include "base/unit_test.h"
#include "host/file.h"
#include "host/loop.h"
#include "vm/firmware.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 2 * 4096 };

struct house {
    char folder[32], template[48];
    int dir_fd;
    struct loop *loop;
    struct firmware_files files;
};

static void up(struct house *h)
{
    uint8_t data[SIZE];
    struct err err;

    *h = (struct house){.folder = "/tmp/posada-vars-XXXXXX"};
    assert_non_null(mkdtemp(h->folder));
    snprintf(h->template, sizeof(h->template), "%s/template", h->folder);
    h->dir_fd = open(h->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(h->dir_fd >= 0);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(file_write(h->dir_fd, "template", data, sizeof(data), 0600, &err), 0);
    assert_int_equal(loop_new(NULL, &h->loop, &err), 0);
    h->files = (struct firmware_files){"code", h->template};
}

static void down(struct house *h)
{
    struct err err;

    loop_free(h->loop);
    close(h->dir_fd);
    assert_int_equal(file_remove_tree(AT_FDCWD, h->folder, &err), 0);
}

static void kept_from_start_to_start(void **state)
{
    struct firmware_vars *vars = NULL;
    struct board_flash flash;
    uint8_t array[SIZE];
    struct house h;
    struct err err;

    up(&h);
    assert_int_equal(firmware_vars_open(&h.files, h.dir_fd, h.loop, &vars, &err), 0);
    flash = firmware_vars_flash(vars);
    assert_int_equal(flash.size, SIZE);
    assert_int_equal(flash.contents[5], 0xff);
    memcpy(array, flash.contents, SIZE);
    firmware_vars_close(vars); /* nothing has changed: no file */
    assert_int_equal(faccessat(h.dir_fd, FIRMWARE_VARS_FILE, F_OK, 0), -1);

    assert_int_equal(firmware_vars_open(&h.files, h.dir_fd, h.loop, &vars, &err), 0);
    flash = firmware_vars_flash(vars);
    array[5] = 7;
    flash.changed(flash.arg, array);
    firmware_vars_close(vars);
    assert_int_equal(firmware_vars_open(&h.files, h.dir_fd, h.loop, &vars, &err), 0);
    assert_int_equal(firmware_vars_flash(vars).contents[5], 7);
    firmware_vars_close(vars);

    assert_int_equal(firmware_vars_open(&h.files, -1, h.loop, &vars, &err), 0); /* kept nowhere */
    assert_int_equal(firmware_vars_flash(vars).contents[5], 0xff);
    firmware_vars_close(vars);
    down(&h);
}

static void files_that_do_not_fit(void **state)
{
    struct firmware_vars *vars = NULL;
    struct house h;
    struct err err;

    up(&h);
    assert_int_equal(file_write(h.dir_fd, FIRMWARE_VARS_FILE, "short", 5, 0600, &err), 0);
    assert_int_equal(firmware_vars_open(&h.files, h.dir_fd, h.loop, &vars, &err), -EINVAL);
    assert_non_null(strstr(err.text, FIRMWARE_VARS_FILE));
    assert_int_equal(file_write(h.dir_fd, "template", "short", 5, 0600, &err), 0);
    assert_int_equal(firmware_vars_open(&h.files, -1, h.loop, &vars, &err), -ENOEXEC);
    h.files.vars = NULL;
    assert_int_equal(firmware_vars_open(&h.files, h.dir_fd, h.loop, &vars, &err), 0);
    assert_null(vars);
    assert_null(firmware_vars_flash(vars).contents);
    down(&h);
}

static void names_and_paths(void **state)
{
    char bios[] = "bios", path[] = "/x/bios";
    struct vm_config config = {.arch = ARCH_RISCV64, .firmware = bios};
    struct firmware_files files;
    struct err err;

    assert_true(firmware_is_name("uefi"));
    assert_false(firmware_is_name("./uefi"));
    assert_int_equal(firmware_find(&config, &files, &err), -EINVAL);
    config.firmware = path;
    assert_int_equal(firmware_find(&config, &files, &err), 0);
    assert_string_equal(files.code, path);
    assert_null(files.vars);
    config.firmware = NULL;
    assert_int_equal(firmware_find(&config, &files, &err), 0);
    assert_null(files.code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_from_start_to_start),
        cmocka_unit_test(files_that_do_not_fit),
        cmocka_unit_test(names_and_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
