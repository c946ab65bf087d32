/* SPDX-License-Identifier: Apache-2.0 */
/* Which world a limit belongs to on a hybrid host. Contract: container/cgroup.h. */
#include "container/cgroup.h"

#include <string.h>

struct split {
    const struct cgroup *g;
    char have[512]; /* the version 2 group's controllers */
};

/* A controller is in one hierarchy at a time (cgroup-v2.rst, "Mounting"). */
static bool split_is_v2(const struct split *s, const char *v1_name, const char *v2_name)
{
    return cgroup_lists(s->have, v2_name) && !cgroup_controller(s->g, v1_name);
}

static void split_cpu(const struct split *s, const struct spec_resources *none,
                      struct spec_resources *v1, struct spec_resources *v2)
{
    if (split_is_v2(s, "cpu", "cpu")) {
        const char *cpus = v1->cpu.cpus, *mems = v1->cpu.mems;

        v2->cpu = v1->cpu;
        v1->cpu = none->cpu;
        v1->cpu.cpus = cpus;
        v1->cpu.mems = mems;
        v2->cpu.cpus = v2->cpu.mems = NULL;
        v2->given = true;
    }
    if (split_is_v2(s, "cpuset", "cpuset")) {
        v2->cpu.cpus = v1->cpu.cpus;
        v2->cpu.mems = v1->cpu.mems;
        v1->cpu.cpus = v1->cpu.mems = NULL;
        v2->given = true;
    }
}

void cgroup_split(const struct cgroup *g, const struct spec_resources *all,
                  struct spec_resources *ret_v1, struct spec_resources *ret_v2)
{
    const struct cgroup_hierarchy *h = cgroup_unified(g);
    struct split s = {.g = g};
    struct spec_resources none;

    if (!h || !(g->joined & 1u << (h - g->at)) ||
        cgroup_read(g, h, "cgroup.controllers", s.have, sizeof(s.have)) < 0)
        *s.have = '\0';
    spec_resources_init(&none);
    *ret_v1 = *all;
    *ret_v2 = none;
    split_cpu(&s, &none, ret_v1, ret_v2);
    if (split_is_v2(&s, "memory", "memory")) {
        ret_v2->memory = ret_v1->memory;
        ret_v1->memory = none.memory;
        ret_v2->given = true;
    }
    if (split_is_v2(&s, "pids", "pids")) {
        ret_v2->pids = ret_v1->pids;
        ret_v1->pids = none.pids;
        ret_v2->given = true;
    }
    if (split_is_v2(&s, "blkio", "io")) {
        ret_v2->block = ret_v1->block;
        ret_v1->block = none.block;
        ret_v2->given = true;
    }
    if (split_is_v2(&s, "hugetlb", "hugetlb")) {
        ret_v2->huge = ret_v1->huge;
        ret_v2->huge_count = ret_v1->huge_count;
        ret_v1->huge_count = 0;
        ret_v2->given = true;
    }
    if (split_is_v2(&s, "rdma", "rdma")) {
        ret_v2->rdma = ret_v1->rdma;
        ret_v2->rdma_count = ret_v1->rdma_count;
        ret_v1->rdma_count = 0;
        ret_v2->given = true;
    }
}
