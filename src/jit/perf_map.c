/* SPDX-License-Identifier: Apache-2.0 */
/* The perf map. Format: Linux tools/perf/Documentation/jit-interface.txt. Contract: perf_map.h. */
#include "jit/perf_map.h"

#include "jit/symbols.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct perf_map {
    int fd;
    struct symbols *symbols; /* NULL: none */
};

/* By its number among the host's processes, where perf runs; in a pid namespace it is 1 or so. */
static void perf_map_pid(char *buf, size_t size)
{
    ssize_t n = readlink("/proc/self", buf, size - 1);

    if (n > 0)
        buf[n] = 0;
    else
        snprintf(buf, size, "%ld", (long)getpid());
}

/* The name is known beforehand and /tmp is anybody's: nothing that is there is written to. */
static int perf_map_open(struct err *err)
{
    char pid[32], path[64];
    int fd;

    perf_map_pid(pid, sizeof(pid));
    snprintf(path, sizeof(path), "/tmp/perf-%s.map", pid);
    (void)!unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? err_set(err, -errno, "perf map %s: %s", path, strerror(errno)) : fd;
}

int perf_map_new(const char *symbols, struct perf_map **ret_map, struct err *err)
{
    struct perf_map *map = calloc(1, sizeof(*map));
    int r;

    if (!map)
        return err_set(err, -ENOMEM, "perf map: no memory");
    r = map->fd = perf_map_open(err);
    if (r >= 0 && symbols)
        r = symbols_load(symbols, &map->symbols, err);
    if (r < 0) {
        perf_map_free(map);
        return r;
    }
    *ret_map = map;
    return 0;
}

void perf_map_free(struct perf_map *map)
{
    if (!map)
        return;
    if (map->fd >= 0)
        close(map->fd);
    symbols_free(map->symbols);
    free(map);
}

void perf_map_add_named(struct perf_map *map, const void *code, size_t size, const char *name)
{
    char line[256];
    int n = snprintf(line, sizeof(line), "%" PRIxPTR " %zx %.160s\n", (uintptr_t)code, size, name);

    (void)!write(map->fd, line, (size_t)n); /* a full disk costs names, not the guest */
}

void perf_map_add(struct perf_map *map, const void *code, size_t size, uint64_t guest_va,
                  const char *kind)
{
    const char *symbol = map->symbols ? symbols_find(map->symbols, guest_va) : NULL;
    char name[200];

    snprintf(name, sizeof(name), "%s%.150s%sguest:0x%" PRIx64, kind, symbol ? symbol : "",
             symbol ? " " : "", guest_va);
    perf_map_add_named(map, code, size, name);
}

void perf_map_clear(struct perf_map *map)
{
    (void)!ftruncate(map->fd, 0);
}
