/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's control group tells of its memory, and its high mark. Contract:
 * ctr/internal.h. */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "ctr/bundle.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/log.h>
#include <string.h>

static int memory_group(const struct ctr *c, int *ret_fd)
{
    char group[CTR_GROUP_NAME];

    ctr_bundle_group(&c->config, group);
    return ctr_group_open(c->pid, group, ret_fd);
}

void ctr_memory_watch(struct ctr *c)
{
    uint64_t max = c->config.memory ? c->config.memory : CTR_MARK_NONE;
    struct err err = {0};
    int group_fd = -1;

    ctr_pressure_end(&c->pressure);
    if (!c->config.memory_auto)
        return;
    if (memory_group(c, &group_fd) < 0)
        (void)err_set(&err, -ENOENT, "it has no control group of version 2");
    else
        (void)!ctr_pressure_watch(&c->pressure, c->all->loop, group_fd, c->config.memory_low, max,
                                  &err);
    if (err.code)
        log_warn("guest '%s': --memory-high auto: %s; its mark stays where it is", c->guest.name,
                 err.text);
}

/* "oom_kill N" among the lines: memory.events of version 2, memory.oom_control of version 1. */
static unsigned long memory_oom_kills(int dir_fd, const char *file)
{
    CLEANUP(free) char *text = NULL;
    const char *at;

    if (file_read(dir_fd, file, 4096, &text, NULL, NULL) < 0)
        return 0;
    at = strstr(text, "oom_kill ");
    return at ? strtoul(at + strlen("oom_kill "), NULL, 10) : 0;
}

bool ctr_memory_was_short(const struct ctr *c)
{
    CLEANUP(fd) int group_fd = -1;
    char group[CTR_GROUP_NAME], path[1200];

    ctr_bundle_group(&c->config, group);
    (void)snprintf(path, sizeof(path), "/sys/fs/cgroup/memory%s/memory.oom_control", group);
    if (memory_oom_kills(AT_FDCWD, path))
        return true;
    (void)snprintf(path, sizeof(path), "/sys/fs/cgroup%.900s%s", c->all->group.path, group);
    group_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return group_fd >= 0 && memory_oom_kills(group_fd, "memory.events");
}

/* A mark that is not set is not told. */
void ctr_memory_numbers(const struct ctr *c, json_t *numbers)
{
    static const struct {
        const char *file, *name;
    } marks[] = {{"memory.low", "memory_low_bytes"}, {"memory.high", "memory_high_bytes"}};
    CLEANUP(fd) int group_fd = -1;
    uint64_t value;

    if (memory_group(c, &group_fd) < 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (ctr_group_number(group_fd, marks[i].file, &value) == 0 && value &&
            value != CTR_MARK_NONE)
            json_object_set_new(numbers, marks[i].name, json_integer((json_int_t)value));
    if (ctr_group_stalled(group_fd, &value) == 0)
        json_object_set_new(numbers, "memory_stalled_ns", json_integer((json_int_t)value * 1000));
}
