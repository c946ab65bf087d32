/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: what is understood, and one clear sentence for what is not. */
#include "container/cgroup.h"
#include "container/names.h"
#include "container/spec.h"
#include "container/sysctl.h"

#include "base/unit_test.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char noted[4096];

static void note(void *arg, const char *text)
{
    strncat(noted, text, sizeof(noted) - strlen(noted) - 1);
}

static int read_spec(struct arena *arena, const char *json, struct spec *ret, struct err *err)
{
    char *copy = arena_copy(arena, json, strlen(json));

    *noted = '\0';
    return spec_parse(arena, copy, strlen(json), note, NULL, ret, err);
}

#define HEAD                                                                                       \
    "\"ociVersion\":\"1.0.0\",\"process\":{\"args\":[\"a\"],\"cwd\":\"/"                           \
    "\"},\"root\":{\"path\":\"r\"}"
#define NAMESPACES                                                                                 \
    "\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"},{\"type\":\"user\"}],"                \
    "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":2}],"                               \
    "\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":2}]"

static void bad(const char *json, const char *says)
{
    struct arena arena = {0};
    struct spec spec;
    struct err err;
    int r = read_spec(&arena, json, &spec, &err);

    if (r != -EINVAL || !strstr(err.text, says))
        fail_msg("%s: %d %s", json, r, r ? err.text : "was taken");
    arena_done(&arena);
}

static void test_good(void **state)
{
    struct arena arena = {0};
    struct spec s;
    struct err err;
    int r = read_spec(&arena,
                      "{" HEAD ",\"mounts\":[{\"destination\":\"/m\",\"source\":\"/s\",\"options\":"
                      "[\"rbind\",\"ro\",\"nosuid\",\"rslave\",\"size=1\",\"mode=2\"]}],"
                      "\"linux\":{" NAMESPACES
                      ",\"devices\":[{\"path\":\"/d\",\"type\":\"b\",\"major\":1,\"minor\":2}],"
                      "\"resources\":{\"pids\":{\"limit\":-1},\"memory\":{\"limit\":5}},"
                      "\"strange\":1},\"vm\":{\"x\":1}}",
                      &s, &err);

    if (r)
        fail_msg("%s", err.text);
    assert_int_equal(s.mount_count, 1);
    assert_true(s.mounts[0].flags == (MS_BIND | MS_REC | MS_RDONLY | MS_NOSUID));
    assert_true(s.mounts[0].propagation[0] == (MS_SLAVE | MS_REC));
    assert_string_equal(s.mounts[0].data, "size=1,mode=2");
    assert_int_equal(s.devices[0].type, S_IFBLK);
    assert_int_equal(s.maps.uid[0].size, 2);
    assert_true(s.resources.pids == -1 && s.resources.memory.limit == 5);
    assert_true(s.resources.memory.swap == SPEC_UNSET);
    assert_non_null(spec_namespace(&s, CLONE_NEWUSER));
    assert_null(spec_namespace(&s, CLONE_NEWNET));
    assert_string_equal(noted, "config.json: linux.strange: unknown field, ignored");
    arena_done(&arena);
}

static void test_bad(void **state)
{
    bad("[]", "expected an object");
    bad("{}", "ociVersion is missing");
    bad("{\"ociVersion\":\"2.0.0\"}", "version '2.0.0'");
    bad("{\"ociVersion\":\"1.0.0\"}", "root is missing");
    bad("{\"ociVersion\":\"1.0.0\",\"root\":{}}", "root: path is missing");
    bad("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[],\"cwd\":\"/"
        "\"}}",
        "nothing to run");
    bad("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],\"cwd\":"
        "\"x\"}}",
        "absolute");
    bad("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[1],\"cwd\":\"/"
        "\"}}",
        "process.args[0]: expected a text");
    bad("{" HEAD ",\"hostname\":\"h\"}", "needs a uts namespace");
    bad("{" HEAD ",\"mounts\":[{\"type\":\"proc\"}]}", "mounts[0]: destination is missing");
    bad("{" HEAD ",\"mounts\":[{\"destination\":\"/x\",\"options\":[\"bind\"]}]}",
        "source is missing");
    bad("{" HEAD ",\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}}", "must be absolute");
    bad("{" HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}}", "unknown namespace type");
    bad("{" HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}", "twice");
    bad("{" HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"user\"}]}}", "needs uidMappings");
    bad("{" HEAD ",\"linux\":{\"devices\":[{\"path\":\"/d\",\"type\":\"x\"}]}}",
        "none of c, u, b, p");
    bad("{" HEAD ",\"linux\":{\"rootfsPropagation\":\"x\"}}", "none of shared");
    bad("{" HEAD ",\"linux\":{\"resources\":{\"pids\":{\"limit\":1.5}}}}", "whole number");
    bad("{" HEAD ",\"linux\":{\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwx\"}]}}}",
        "letters besides");
    bad("{" HEAD ",\"linux\":{\"resources\":{\"unified\":{\"../a.b\":\"1\"}}}}", "not the name");
    bad("{" HEAD ",\"linux\":{\"memoryPolicy\":{\"mode\":\"MPOL_X\"}}}", "unknown mode");
    bad("{" HEAD ",\"linux\":{\"sysctl\":{\"kernel.hostname\":\"x\"}}}", "field hostname");
    bad("{" HEAD ",\"annotations\":{\"a\":1}}", "an annotation is a text");
}

/* sched(7): 1024 <= runtime <= deadline <= period. */
static void bad_deadline(const char *members, const char *says)
{
    char json[400];

    snprintf(json, sizeof(json),
             "{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"r\"},\"process\":{\"args\":[\"a\"],"
             "\"cwd\":\"/\",\"scheduler\":{\"policy\":\"SCHED_DEADLINE\"%s}}}",
             members);
    bad(json, says);
}

static void test_deadline(void **state)
{
    bad_deadline("", "process.scheduler: sched_setattr: `SCHED_DEADLINE` requires `runtime`");
    bad_deadline(",\"runtime\":2000",
                 "process.scheduler: sched_setattr: `SCHED_DEADLINE` requires `deadline`");
    bad_deadline(",\"runtime\":0,\"deadline\":9", "runtime must be greater than 0");
    bad_deadline(",\"runtime\":1023,\"deadline\":2000", "runtime 1023 must be between 1024");
    bad_deadline(",\"runtime\":9223372036854775808,\"deadline\":9",
                 "must be between 1024 and 2^63-1");
    bad_deadline(",\"runtime\":2000,\"deadline\":1999",
                 "runtime 2000 must be <= the deadline, 1999");
    bad_deadline(",\"runtime\":2000,\"deadline\":3000,\"period\":2999",
                 "deadline 3000 must be <= the period, 2999");
}

static void test_names(void **state)
{
    assert_int_equal(name_signal("SIGTERM"), SIGTERM);
    assert_int_equal(name_signal("kill"), SIGKILL);
    assert_int_equal(name_signal("15"), 15);
    assert_int_equal(name_signal("RTMIN+1"), SIGRTMIN + 1);
    assert_int_equal(name_signal("SIGNONE"), -1);
    assert_int_equal(name_signal("99999"), -1);
    assert_int_equal(name_signal("-1"), -1);
    assert_int_equal(name_capability("cap_kill"), 5);
    assert_int_equal(name_capability("CAP_X"), -1);
    /* The table is searched by halving: it must be sorted. */
    for (const struct name_mount_option *o = name_mount_options; o->name; o++)
        assert_ptr_equal(name_mount_option(o->name), o);
}

static void test_sysctl_owners(void **state)
{
    assert_true(sysctl_namespace("net.ipv4.ip_forward") == CLONE_NEWNET);
    assert_true(sysctl_namespace("kernel.shmmax") == CLONE_NEWIPC);
    assert_true(sysctl_namespace("kernel.panic") == 0);
    assert_true(sysctl_namespace("fs.file-max") == 0);
}

static void test_shares_to_weight(void **state)
{
    assert_int_equal(cgroup_weight_of_shares(2), 1);
    assert_int_equal(cgroup_weight_of_shares(1024), 100);
    assert_int_equal(cgroup_weight_of_shares(262144), 10000);
    for (int64_t shares = 2; shares < 262144; shares += 333)
        assert_true(cgroup_weight_of_shares(shares) <= cgroup_weight_of_shares(shares + 333));
}

RUN_TESTS(cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_deadline),
          cmocka_unit_test(test_names), cmocka_unit_test(test_sysctl_owners),
          cmocka_unit_test(test_shares_to_weight))
