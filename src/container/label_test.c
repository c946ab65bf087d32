/* SPDX-License-Identifier: Apache-2.0 */
/* Labels: asked of kernels that have a module on, off, or not at all, all made of files. */
#include "container/label.h"

#include "base/unit_test.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char noted[512];

static void note(void *arg, const char *text)
{
    snprintf(noted, sizeof(noted), "%s", text);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[256], *slash;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(file_make_dirs(path, 0755, NULL), 0);
    *slash = '/';
    file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_usable(void **state)
{
    static const char parameter[] = "module/apparmor/parameters/enabled";
    char dir[] = "/tmp/posada-label-XXXXXX";

    assert_non_null(mkdtemp(dir));
    assert_false(label_usable_at(dir, dir, LABEL_APPARMOR));
    assert_false(label_usable_at(dir, dir, LABEL_SELINUX));
    put(dir, parameter, "N\n");
    put(dir, "filesystems", "nodev\tnoselinuxfs\nnodev\tproc\n");
    assert_false(label_usable_at(dir, dir, LABEL_APPARMOR));
    assert_false(label_usable_at(dir, dir, LABEL_SELINUX));
    put(dir, parameter, "Y\n");
    assert_true(label_usable_at(dir, dir, LABEL_APPARMOR));
    assert_false(label_usable_at(dir, dir, LABEL_SELINUX));
    put(dir, "filesystems", "nodev\tproc\nnodev\tselinuxfs\n\text4\n");
    put(dir, "self/attr/current", "kernel"); /* started, but without a policy */
    assert_false(label_usable_at(dir, dir, LABEL_SELINUX));
    put(dir, "self/attr/current", "system_u:system_r:kernel_t:s0");
    assert_true(label_usable_at(dir, dir, LABEL_SELINUX));
    assert_int_equal(file_remove_tree(AT_FDCWD, dir, NULL), 0);
}

/* On whatever kernel this runs: a label is taken exactly when its module is on. */
static void test_check(void **state)
{
    const struct spec_process none = {0}, empty = {.apparmor = "", .selinux = ""},
                              profile = {.apparmor = "p"}, context = {.selinux = "c"},
                              both = {.apparmor = "p", .selinux = "c"};
    struct err err = {0};
    int r;

    assert_int_equal(label_check(&none, &err), 0);
    assert_int_equal(label_check(&empty, &err), 0);
    r = label_check(&profile, &err);
    assert_int_equal(r, label_usable(LABEL_APPARMOR) ? 0 : -EOPNOTSUPP);
    assert_true(!r || strstr(err.text, "apparmorProfile 'p' cannot be applied"));
    r = label_check(&context, &err);
    assert_int_equal(r, label_usable(LABEL_SELINUX) ? 0 : -EOPNOTSUPP);
    assert_true(!r || strstr(err.text, "selinuxLabel 'c' cannot be applied"));
    assert_true(label_check(&both, &err) < 0);
}

static void test_mounts(void **state)
{
    struct arena arena = {0};

    label_check_mounts(NULL, note, NULL);
    label_check_mounts("", note, NULL);
    assert_string_equal(noted, "");
    label_check_mounts("c", note, NULL);
    assert_true(label_usable(LABEL_SELINUX) || strstr(noted, "mountLabel: 'c' is not applied"));
    assert_string_equal(label_mount_data(&arena, "tmpfs", NULL, "a:b:c:s0:c1,c2"),
                        "context=\"a:b:c:s0:c1,c2\"");
    assert_string_equal(label_mount_data(&arena, "devpts", "gid=5", "l"), "gid=5,context=\"l\"");
    assert_string_equal(label_mount_data(&arena, "proc", NULL, "l"), "");
    arena_done(&arena);
}

/* What arrives in the kernel's file, "-" when none is opened. */
static void check_written(const char *dir, const struct spec_process *p, const char *name,
                          const char *want)
{
    int proc = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
    struct err err = {0};
    char *text;

    put(dir, "thread-self/attr/apparmor/exec", "");
    put(dir, "thread-self/attr/exec", "");
    assert_int_equal(label_open(p, proc, &fd, &err), 0);
    assert_int_equal(label_set(p, fd, &err), 0);
    assert_true((fd >= 0) == (*want != '\0'));
    assert_int_equal(file_read(proc, name, 100, &text, NULL, NULL), 0);
    assert_string_equal(text, want);
    free(text);
    close(proc);
    if (fd >= 0)
        close(fd);
}

static void test_set(void **state)
{
    const struct spec_process profile = {.apparmor = "p", .selinux = ""},
                              context = {.apparmor = "", .selinux = "c"}, none = {.apparmor = ""};
    char dir[] = "/tmp/posada-label-XXXXXX";
    struct err err = {0};
    int proc, fd;

    assert_non_null(mkdtemp(dir));
    check_written(dir, &profile, "thread-self/attr/apparmor/exec", "exec p");
    check_written(dir, &context, "thread-self/attr/exec", "c");
    check_written(dir, &none, "thread-self/attr/exec", "");
    assert_int_equal(file_remove_tree(AT_FDCWD, dir, NULL), 0);
    proc = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(label_open(&profile, proc, &fd, &err), -ENOENT);
    assert_non_null(strstr(err.text, "attr/apparmor/exec"));
    close(proc);
    /* A file that takes nothing: the label is named, nothing is passed over. */
    fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_int_equal(label_set(&context, fd, &err), -ENOSPC);
    assert_non_null(strstr(err.text, "selinuxLabel 'c'"));
    close(fd);
}

RUN_TESTS(cmocka_unit_test(test_usable), cmocka_unit_test(test_check),
          cmocka_unit_test(test_mounts), cmocka_unit_test(test_set))
