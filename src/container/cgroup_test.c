/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no groups to be tried; the rest: tests/oci. */
#include "container/cgroup.h"

#include "base/unit_test.h"

static void test_lists(void **state)
{
    static const struct {
        const char *list, *name;
        bool found;
    } cases[] = {{"cpu io memory\n", "cpu", true},
                 {"cpu io memory\n", "io", true},
                 {"cpu io memory\n", "memory", true},
                 {"cpuset cpu\n", "cpu", true},
                 {"cpuset memory\n", "cpu", false},
                 {"rdma hugetlb", "tlb", false},
                 {"xcpu cpux cpu", "cpu", true},
                 {"\n", "cpu", false},
                 {"", "cpu", false}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(cgroup_lists(cases[i].list, cases[i].name), cases[i].found);
}

RUN_TESTS(cmocka_unit_test(test_lists))
