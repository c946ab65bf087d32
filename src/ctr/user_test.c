/* SPDX-License-Identifier: Apache-2.0 */
/* Users by name in a hostile root; the configuration made of them; bundles. */
#include "ctr/user.h"

#include "base/unit_test.h"
#include "ctr/bundle.h"
#include "ctr/profile.h"
#include "host/file.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char dir[64];
    int outside, root; /* root is dir/root */
};

static void put(int at, const char *name, const char *text)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof(*p));

    strcpy(p->dir, "/tmp/user_test.XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->outside = open(p->dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(mkdirat(p->outside, "root", 0755), 0);
    p->root = openat(p->outside, "root", O_RDONLY | O_DIRECTORY);
    assert_int_equal(mkdirat(p->root, "etc", 0755), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;

    (void)!file_remove_tree(AT_FDCWD, p->dir, NULL);
    close(p->outside);
    close(p->root);
    free(p);
    return 0;
}

static void test_names(void **state)
{
    const struct place *p = *state;
    struct ctr_user u;
    struct err err;

    put(p->root, "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nbad line\nshort:x:1\nno:x:no:2:::\n"
        "web:x:33:34:Web:/var/www:/bin/sh\nhomeless:x:40:41\nrel:x:50:51::x:\n");
    put(p->root, "etc/group",
        "root:x:0:\nweb:x:34:web\nmore:x:100:a,web,b\nlast:x:200:web\nbad:x:y:web\n");
    assert_int_equal(ctr_user_find(p->root, "", &u, &err), 0);
    assert_true(u.uid == 0 && u.gid == 0 && !strcmp(u.home, "/root"));
    assert_int_equal(ctr_user_find(p->root, "web", &u, &err), 0);
    assert_true(u.uid == 33 && u.gid == 34 && !strcmp(u.home, "/var/www"));
    assert_int_equal(u.group_count, 2);
    assert_true(u.groups[0] == 100 && u.groups[1] == 200);
    assert_int_equal(ctr_user_find(p->root, "web:more", &u, &err), 0);
    assert_true(u.gid == 100 && u.group_count == 0);
    assert_int_equal(ctr_user_find(p->root, "33", &u, &err), 0);
    assert_true(u.uid == 33 && u.gid == 34 && u.group_count == 0);
    assert_int_equal(ctr_user_find(p->root, "77:88", &u, &err), 0);
    assert_true(u.uid == 77 && u.gid == 88 && !strcmp(u.home, "/"));
    assert_int_equal(ctr_user_find(p->root, "homeless", &u, &err), 0);
    assert_string_equal(u.home, "/");
    assert_int_equal(ctr_user_find(p->root, "rel", &u, &err), 0);
    assert_string_equal(u.home, "/"); /* a home that is no absolute path is none */
    for (unsigned i = 0; i < 3; i++)
        assert_true(ctr_user_find(p->root, (const char *const[]){"none", "web:none", "no"}[i], &u,
                                  &err) < 0);
}

/* Links lead around in the root; what is no file, or too large, is nothing. */
static void test_hostile_files(void **state)
{
    const struct place *p = *state;
    struct ctr_user u;
    struct err err;

    put(p->outside, "passwd", "evil:x:0:0:::\n");
    assert_int_equal(symlinkat("../../passwd", p->root, "etc/passwd"), 0);
    assert_true(ctr_user_find(p->root, "evil", &u, &err) < 0);
    put(p->root, "passwd", "good:x:5:6:::\n"); /* ".." stops at the root, so this is the one */
    assert_int_equal(ctr_user_find(p->root, "good", &u, &err), 0);
    assert_int_equal(unlinkat(p->root, "etc/passwd", 0), 0);
    assert_int_equal(mkfifoat(p->root, "etc/passwd", 0644), 0);
    assert_true(ctr_user_find(p->root, "good", &u, &err) < 0); /* and does not wait */
    assert_int_equal(ctr_user_find(p->root, "5", &u, &err), 0);
    assert_int_equal(unlinkat(p->root, "etc/passwd", 0), 0);
    put(p->root, "etc/passwd", "good:x:5:6:::\n");
    assert_int_equal(fchmodat(p->root, "etc/passwd", 0644, 0), 0);
    {
        int fd = openat(p->root, "etc/passwd", O_WRONLY);

        assert_int_equal(ftruncate(fd, 2 << 20), 0);
        close(fd);
    }
    assert_true(ctr_user_find(p->root, "good", &u, &err) < 0);
}

static void test_bad_wishes(void **state)
{
    const struct place *p = *state;
    static const char *const bad[] = {"-1",     "0x10", "4294967295",  "4294967296",
                                      "1 ",     " 1",   "1:-1",        "99999999999999999999",
                                      "root\n", "../x", "1:4294967295"};
    struct ctr_user u = {.uid = 12345};
    char large[400];
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_true(ctr_user_find(p->root, bad[i], &u, &err) < 0);
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    assert_true(ctr_user_find(p->root, large, &u, &err) < 0);
    assert_int_equal(u.uid, 12345); /* untouched */
}

/* Of two settings of one name the last counts, whoever made it. */
static void test_process(void **state)
{
    char *env[] = {(char[]){"A=image"}, (char[]){"AB=1"}, (char[]){"A=user"}, (char[]){"PATH=/x"},
                   NULL};
    char *command[] = {(char[]){"sh"}, NULL}, *more[] = {(char[]){"A=exec"}, NULL};
    struct vm_config config = {.env = env, .command = command, .name = "c"};
    struct vm_config wanted = {
        .env = more, .command = command, .workdir = (char[]){"not/absolute"}};
    struct ctr_user user = {.uid = 5, .gid = 6, .home = "/home"};
    json_t *p = ctr_bundle_process(&config, &wanted, &user);
    json_t *list = json_object_get(p, "env");
    unsigned seen = 0;
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one) seen += !strncmp(json_string_value(one), "A=", 2);
    assert_int_equal(seen, 1);
    assert_string_equal(json_string_value(json_array_get(list, 0)), "PATH=/x");
    assert_string_equal(json_string_value(json_object_get(p, "cwd")), "/");
    assert_null(json_object_get(json_object_get(p, "capabilities"), "effective")); /* no root */
    json_decref(p);
}

enum { MARKED = CTR_GROUP_MEMORY | CTR_GROUP_MARKS };

static void test_resources(void **state)
{
    struct vm_config config = {.millicpus = 10, .memory = 1 << 20, .pids = 7};
    json_t *r = ctr_bundle_resources(&config, 0, false), *cpu = json_object_get(r, "cpu");

    assert_int_equal(json_integer_value(json_object_get(cpu, "quota")), 1000);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(r, "memory"), "swap")),
                     1 << 20);
    json_decref(r);
    config = (struct vm_config){0};
    r = ctr_bundle_resources(&config, MARKED, false);
    assert_int_equal(json_object_size(r), 0);
    json_decref(r);
    r = ctr_bundle_resources(&config, CTR_GROUP_CPU | CTR_GROUP_PIDS, true);
    assert_int_equal(json_object_size(r), 0); /* no memory to speak of */
    json_decref(r);
}

static const char *unified_of(const json_t *resources, const char *key)
{
    const char *value =
        json_string_value(json_object_get(json_object_get(resources, "unified"), key));

    return value ? value : "";
}

/* Marks in version 2 groups, a soft limit in version 1; what is not wanted any more is reset. */
static void test_marks(void **state)
{
    struct vm_config config = {.memory_low = 5, .memory_high = 7};
    json_t *r = ctr_bundle_resources(&config, MARKED, false);

    assert_string_equal(unified_of(r, "memory.low"), "5");
    assert_string_equal(unified_of(r, "memory.high"), "7");
    assert_null(json_object_get(r, "memory"));
    json_decref(r);
    r = ctr_bundle_resources(&config, CTR_GROUP_MEMORY, false);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(r, "memory"), "reservation")), 5);
    assert_null(json_object_get(r, "unified"));
    json_decref(r);
    config = (struct vm_config){0};
    r = ctr_bundle_resources(&config, CTR_GROUP_MEMORY, true);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(r, "memory"), "reservation")), -1);
    json_decref(r);
    r = ctr_bundle_resources(&config, MARKED, true);
    assert_string_equal(unified_of(r, "memory.low"), "0");
    assert_string_equal(unified_of(r, "memory.high"), "max");
    json_decref(r);
    config.memory_auto = true; /* somebody else moves that one */
    r = ctr_bundle_resources(&config, MARKED, true);
    assert_string_equal(unified_of(r, "memory.high"), "");
    json_decref(r);
}

/* What would undo the rest must not be among what is allowed. */
static void test_profile(void **state)
{
    static const char *const never[] = {
        "bpf",         "mount",          "setns",  "unshare",           "kexec_load",
        "init_module", "io_uring_setup", "keyctl", "open_by_handle_at", "clone3"};
    json_t *profile = ctr_profile_seccomp();
    const json_t *allowed =
        json_object_get(json_array_get(json_object_get(profile, "syscalls"), 0), "names");
    const json_t *name;
    size_t k;

    assert_string_equal(json_string_value(json_object_get(profile, "defaultAction")),
                        "SCMP_ACT_ERRNO");
    assert_true(json_array_size(allowed) > 250);
    json_array_foreach(allowed, k, name) for (size_t i = 0; i < ARRAY_LEN(never); i++)
        assert_string_not_equal(json_string_value(name), never[i]);
    json_decref(profile);
}

RUN_TESTS(cmocka_unit_test_setup_teardown(test_names, setup, teardown),
          cmocka_unit_test_setup_teardown(test_hostile_files, setup, teardown),
          cmocka_unit_test_setup_teardown(test_bad_wishes, setup, teardown),
          cmocka_unit_test(test_process), cmocka_unit_test(test_resources),
          cmocka_unit_test(test_marks), cmocka_unit_test(test_profile))
