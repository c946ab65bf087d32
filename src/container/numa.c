/* SPDX-License-Identifier: Apache-2.0 */
/* NUMA memory policy. Contract: container/numa.h; words: set_mempolicy(2). */
#include "container/numa.h"

#include "container/names.h"
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NUMA_NODES = 1024, NUMA_WORD = 8 * sizeof(unsigned long) };

static const struct name_value numa_modes[] = {
    {"MPOL_DEFAULT", MPOL_DEFAULT},       {"MPOL_BIND", MPOL_BIND},
    {"MPOL_INTERLEAVE", MPOL_INTERLEAVE}, {"MPOL_PREFERRED", MPOL_PREFERRED},
    {"MPOL_LOCAL", MPOL_LOCAL},           {"MPOL_PREFERRED_MANY", 5},
    {"MPOL_WEIGHTED_INTERLEAVE", 6},      {0},
};
static const struct name_value numa_flags[] = {
    {"MPOL_F_NUMA_BALANCING", 1 << 13},
    {"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
    {"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
    {0},
};

static bool numa_parse_nodes(const char *text, unsigned long *mask)
{
    while (*text) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;

        if (end == text)
            return false;
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text)
                return false;
        }
        if ((*end && *end != ',') || first > last || last >= NUMA_NODES)
            return false;
        for (unsigned long n = first; n <= last; n++)
            mask[n / NUMA_WORD] |= 1ul << n % NUMA_WORD;
        text = end + (*end == ',');
    }
    return true;
}

static void numa_read(struct json_reader *r, const struct json *policy, uint64_t *mode,
                      unsigned long *mask)
{
    const char *name = json_take_text(r, policy, "mode");
    const char *nodes = json_take_text(r, policy, "nodes");
    const char **flags = json_take_texts(r, policy, "flags");
    uint64_t flag;

    if (!name || !name_find(numa_modes, name, mode))
        (void)json_refuse(r, policy, "unknown mode '%s'", name ? name : "");
    for (; flags && *flags; flags++) {
        if (name_find(numa_flags, *flags, &flag))
            *mode |= flag;
        else
            (void)json_refuse(r, policy, "unknown flag '%s'", *flags);
    }
    if (nodes && !numa_parse_nodes(nodes, mask))
        (void)json_refuse(r, policy, "nodes '%s': expected a list such as 0-3,7", nodes);
}

void numa_check(struct json_reader *r, const struct json *policy)
{
    unsigned long mask[NUMA_NODES / NUMA_WORD] = {0};
    uint64_t mode = 0;

    if (policy)
        numa_read(r, policy, &mode, mask);
}

int numa_apply(const struct json *policy, struct err *err)
{
    unsigned long mask[NUMA_NODES / NUMA_WORD] = {0};
    struct json_reader r = {.arena = &(struct arena){0}, .what = "config.json", .err = err};
    uint64_t mode = 0;
    bool nodes;

    if (!policy)
        return 0;
    numa_read(&r, policy, &mode, mask);
    arena_done(r.arena);
    if (r.code)
        return r.code;
    nodes = json_get(policy, "nodes");
    if (syscall(SYS_set_mempolicy, (int)mode, nodes ? mask : NULL, nodes ? NUMA_NODES : 0) < 0)
        return err_set(err, -errno, "linux.memoryPolicy: %s", strerror(errno));
    return 0;
}
