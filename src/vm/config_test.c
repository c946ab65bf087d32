/* SPDX-License-Identifier: Apache-2.0 */
/* Guest configuration: JSON and back, refusals, names. */
#include "base/unit_test.h"
#include "vm/config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void config_survives_json(void **state)
{
    char *command[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"exit 7"}, NULL};
    struct vm_config a = {.name = "otter", .arch = ARCH_ARM64, .technique = TECHNIQUE_EMULATE};
    struct vm_config b;
    json_t *json, *again;

    a.cpus = 4;
    a.memory = 3ull << 30;
    a.image = strdup("tiny");
    a.auto_remove = true;
    a.disk[0] = (struct vm_disk){.path = strdup("/a b.img"),
                                 .format = strdup("raw"),
                                 .cache = strdup("none"),
                                 .read_only = true};
    a.disk_count = 1;
    a.net[0] = (struct vm_net){strdup("yard"), "02:00:00:00:00:01"};
    a.net[1] = (struct vm_net){strdup("user"), "02:00:00:00:00:02"};
    a.net_count = 2;
    assert_int_equal(vm_strings_copy(command, 3, &a.command), 0);
    json = vm_config_to_json(&a);
    assert_int_equal(vm_config_from_json(json, &b, NULL), 0);
    again = vm_config_to_json(&b);
    assert_true(json_equal(json, again));
    assert_string_equal(b.command[2], "exit 7");
    assert_null(b.command[3]);
    assert_null(b.kernel);
    assert_int_equal(b.memory, 3ull << 30);
    assert_string_equal(b.disk[0].path, "/a b.img");
    assert_string_equal(b.disk[0].cache, "none");
    assert_null(b.disk[0].aio);
    assert_true(b.disk[0].read_only);
    assert_string_equal(b.net[1].network, "user");
    assert_string_equal(b.net[1].mac, "02:00:00:00:00:02");
    vm_config_done(&a);
    vm_config_done(&b);
    json_decref(json);
    json_decref(again);
}

static void config_refuses_what_it_does_not_know(void **state)
{
    static const char *const wrong[] = {
        "[]",
        "{\"memroy\": 1}",
        "{\"memory\": \"1\"}",
        "{\"memory\": -1}",
        "{\"cpus\": 4294967296}",
        "{\"arch\": \"vax\"}",
        "{\"image\": 5}",
        "{\"uuid\": \"0123456789012345678901234567890123456\"}",
        "{\"command\": [\"a\", 5]}",
        "{\"disks\": [{\"path\": \"a\", \"size\": 1}]}",
        "{\"disks\": [{}]}",
        "{\"nets\": [{\"mac\": \"02:00:00:00:00:01\"}]}",
        "{\"nets\": [{\"network\": \"a\", \"mac\": \"02:00:00:00:00:01:02\"}]}",
        "{\"nets\": [1,2,3,4,5]}",
        "{\"disks\": [1,2,3,4,5,6,7,8,9]}",
    };
    struct vm_config config;
    struct err err;

    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        json_t *json = json_loads(wrong[i], 0, NULL);

        assert_non_null(json);
        assert_int_equal(vm_config_from_json(json, &config, &err), -EINVAL);
        if (i == 1)
            assert_string_equal(err.text, "unknown key 'memroy'; did you mean 'memory'?");
        json_decref(json);
    }
}

static void one_network_of_old_is_a_list(void **state)
{
    json_t *json = json_loads("{\"mac\": \"02:00:00:00:00:01\", \"net\": \"user\"}", 0, NULL);
    struct vm_config config;

    assert_int_equal(vm_config_from_json(json, &config, NULL), 0);
    assert_int_equal(config.net_count, 1);
    assert_string_equal(config.net[0].network, "user");
    assert_string_equal(config.net[0].mac, "02:00:00:00:00:01");
    vm_config_done(&config);
    json_decref(json);
}

static void names_are_checked(void **state)
{
    char longest[VM_NAME_MAX + 2];

    memset(longest, 'a', sizeof(longest));
    longest[VM_NAME_MAX + 1] = '\0';
    assert_int_equal(vm_name_check(longest, NULL), -EINVAL);
    assert_int_equal(vm_name_check(longest + 1, NULL), 0);
    assert_int_equal(vm_name_check("", NULL), -EINVAL);
    assert_int_equal(vm_name_check("../x", NULL), -EINVAL);
    assert_int_equal(vm_name_check(".x", NULL), -EINVAL);
    assert_int_equal(vm_name_check("a/b", NULL), -EINVAL);
    assert_int_equal(vm_name_check("A", NULL), -EINVAL);
    assert_int_equal(vm_name_check("a-1_b.c", NULL), 0);
    assert_int_equal(vm_arch_parse("amd64"), ARCH_X86_64);
    assert_int_equal(vm_arch_parse("aarch64"), ARCH_ARM64);
    assert_int_equal(vm_arch_parse("mips"), -1);
}

RUN_TESTS(cmocka_unit_test(config_survives_json),
          cmocka_unit_test(config_refuses_what_it_does_not_know),
          cmocka_unit_test(one_network_of_old_is_a_list), cmocka_unit_test(names_are_checked))
