/* SPDX-License-Identifier: Apache-2.0 */
/* resctrl groups. Contract: container/rdt.h. */
#include "container/rdt.h"

#include "base/cleanup.h"
#include "container/path.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RDT_MOUNTINFO = 4 << 20, RDT_SCHEMATA = 65536 };

const char *rdt_find(struct arena *arena)
{
    CLEANUP(free) char *text = NULL;
    char *save = NULL;

    if (file_read(AT_FDCWD, "/proc/self/mountinfo", RDT_MOUNTINFO, &text, NULL, NULL) < 0)
        return NULL;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        char at[PATH_MAX];

        if (strstr(l, " - resctrl ") && sscanf(l, "%*s %*s %*s %*s %4095s", at) == 1)
            return arena_text(arena, "%s", at);
    }
    return NULL;
}

static void rdt_check_line(struct json_reader *r, const struct json *at, const char *line,
                           const char *start)
{
    if (line && (strchr(line, '\n') || strncmp(line, start, strlen(start)) != 0))
        (void)json_refuse(r, at, "'%.80s': expected one line%s%s", line, *start ? " from " : "",
                          start);
}

int rdt_parse(struct arena *arena, const struct json *at, const char *id, struct rdt *ret,
              struct err *err)
{
    struct json_reader r = {.arena = arena, .what = "config.json", .err = err};
    struct rdt rdt = {.group = json_take_text(&r, at, "closID"),
                      .l3 = json_take_text(&r, at, "l3CacheSchema"),
                      .mb = json_take_text(&r, at, "memBwSchema"),
                      .schemata = json_take_texts(&r, at, "schemata"),
                      .monitoring = json_take_bool(&r, at, "enableMonitoring", false)};

    rdt.named = rdt.group;
    if (!rdt.group)
        rdt.group = id;
    if (rdt.named && strcmp(rdt.group, "/") && !path_is_plain_name(rdt.group))
        (void)json_refuse(&r, at, "closID: '%.80s' is no plain name", rdt.group);
    rdt_check_line(&r, at, rdt.l3, "");
    rdt_check_line(&r, at, rdt.mb, "MB:");
    for (const char **s = rdt.schemata; s && *s; s++)
        rdt_check_line(&r, at, *s, "");
    if (!r.code)
        *ret = rdt;
    return r.code;
}

static int rdt_path(const char *root, const struct rdt *rdt, const char *below, char *buf)
{
    int n = snprintf(buf, PATH_MAX, "%s/%s/%s", root, strcmp(rdt->group, "/") ? rdt->group : ".",
                     below);

    return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The kernel tells in info/last_cmd_status why it takes no line. */
static int rdt_write(const char *root, const char *path, const char *text, struct err *err)
{
    CLEANUP(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
    CLEANUP(free) char *why = NULL;
    char status[PATH_MAX];

    if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
        return 0;
    err_set(err, -errno, "linux.intelRdt: %s: %s", path, strerror(errno));
    snprintf(status, sizeof(status), "%s/info/last_cmd_status", root);
    if (fd >= 0 && file_read(AT_FDCWD, status, RDT_SCHEMATA, &why, NULL, NULL) == 0)
        err_set(err, err->code, "linux.intelRdt: %s: %.*s", path, (int)strcspn(why, "\n"), why);
    return err->code;
}

/* Every line as it is in the file, where blanks stand before names. */
static bool rdt_has_line(const char *text, const char *line)
{
    size_t len = strlen(line);

    for (const char *at = text; (at = strstr(at, line)); at += len)
        if ((at == text || at[-1] == '\n' || at[-1] == ' ') && (!at[len] || at[len] == '\n'))
            return true;
    return false;
}

static int rdt_compare(const char *path, const struct rdt *rdt, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    const char *lines[] = {rdt->l3, rdt->mb};
    int r = file_read(AT_FDCWD, path, RDT_SCHEMATA, &text, NULL, err);

    for (size_t i = 0; !r && i < ARRAY_LEN(lines); i++)
        if (lines[i] && !rdt_has_line(text, lines[i]))
            return err_set(err, -EEXIST,
                           "linux.intelRdt: the class '%s' is there already, with another schema "
                           "than '%.80s'",
                           rdt->group, lines[i]);
    return r;
}

static int rdt_write_schemata(const char *root, const struct rdt *rdt, struct err *err)
{
    const char *lines[] = {rdt->l3, rdt->mb};
    char path[PATH_MAX], line[4096];
    int r = rdt_path(root, rdt, "schemata", path);

    for (size_t i = 0; !r && i < ARRAY_LEN(lines); i++)
        if (lines[i]) {
            snprintf(line, sizeof(line), "%s\n", lines[i]);
            r = rdt_write(root, path, line, err);
        }
    for (const char **s = rdt->schemata; !r && s && *s; s++) {
        snprintf(line, sizeof(line), "%s\n", *s);
        r = rdt_write(root, path, line, err);
    }
    return r;
}

/* New groups get the schemata; those of others must have them. */
static int rdt_make(const char *root, const struct rdt *rdt, struct err *err)
{
    bool some = rdt->l3 || rdt->mb || (rdt->schemata && *rdt->schemata);
    char path[PATH_MAX], file[PATH_MAX];
    int r = rdt_path(root, rdt, "", path);

    if (!r)
        r = rdt_path(root, rdt, "schemata", file);
    if (r < 0)
        return err_set(err, r, "linux.intelRdt: closID: too long");
    if (rdt->named && !some)
        return access(path, F_OK) == 0
                   ? 0
                   : err_set(err, -ENOENT,
                             "linux.intelRdt: there is no class '%s', and no schema "
                             "to make one",
                             rdt->group);
    if (mkdir(path, 0755) == 0)
        return rdt_write_schemata(root, rdt, err);
    if (errno != EEXIST)
        return err_set(err, -errno, "linux.intelRdt: %s: %s", path,
                       errno == ENOSPC ? "the CPU has no more classes" : strerror(errno));
    return rdt->named ? rdt_compare(file, rdt, err) : rdt_write_schemata(root, rdt, err);
}

int rdt_apply(const char *root, const struct rdt *rdt, const char *id, pid_t pid, struct err *err)
{
    char path[PATH_MAX], below[300], text[16];
    int r = rdt_make(root, rdt, err);

    snprintf(text, sizeof(text), "%d", pid);
    if (!r)
        r = rdt_path(root, rdt, "tasks", path);
    if (!r)
        r = rdt_write(root, path, text, err);
    if (r < 0 || !rdt->monitoring)
        return r;
    snprintf(below, sizeof(below), "mon_groups/%.250s", id);
    r = rdt_path(root, rdt, below, path);
    if (!r && mkdir(path, 0755) < 0 && errno != EEXIST)
        r = -errno;
    if (r < 0)
        return err_set(err, r, "linux.intelRdt: %s: %s", path, strerror(-r));
    snprintf(below, sizeof(below), "mon_groups/%.250s/tasks", id);
    r = rdt_path(root, rdt, below, path);
    return r ? r : rdt_write(root, path, text, err);
}

void rdt_remove(const char *root, const struct rdt *rdt, const char *id)
{
    char path[PATH_MAX], below[300];

    snprintf(below, sizeof(below), "mon_groups/%.250s", id);
    if (rdt->monitoring && rdt_path(root, rdt, below, path) == 0)
        (void)rmdir(path);
    if (!rdt->named && rdt_path(root, rdt, "", path) == 0)
        (void)rmdir(path);
}
