/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts from outside, and the file that remembers them. Contract: container/checkpoint.h. */
#include "container/checkpoint.h"

#include "base/cleanup.h"
#include "container/json.h"
#include "container/mounts.h"
#include "container/out.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKPOINT_MOUNTINFO = 4 << 20, CHECKPOINT_RECORD = 1 << 20, CHECKPOINT_LOG = 16 << 20 };

struct checkpoint_line {
    const char *device, *root, *at, *type;
};

/* "36 35 98:0 /root /dir rw,... tags - type source options"; \040 and the like become bytes. */
static bool checkpoint_read_line(char *line, struct checkpoint_line *ret)
{
    char *dash = strstr(line, " - "), *field[5], *save = NULL;

    if (!dash)
        return false;
    *dash = '\0';
    ret->type = strtok_r(dash + 3, " ", &save);
    for (unsigned i = 0; i < ARRAY_LEN(field); i++) {
        field[i] = strtok_r(i ? NULL : line, " ", &save);
        if (!field[i])
            return false;
    }
    for (unsigned i = 3; i < ARRAY_LEN(field); i++) {
        char *to = field[i];

        for (char *c = to; *c; c++)
            if (c[0] == '\\' && c[1] >= '0' && c[1] <= '3' && c[2] && c[3]) {
                *to++ = (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
                c += 3;
            } else {
                *to++ = *c;
            }
        *to = '\0';
    }
    ret->device = field[2];
    ret->root = field[3];
    ret->at = field[4];
    return ret->type;
}

static struct checkpoint_line *checkpoint_read_lines(struct arena *arena, char *text,
                                                     unsigned *ret_count)
{
    struct checkpoint_line *lines;
    char *save = NULL;
    unsigned room = 1;

    for (const char *c = text; *c; c++)
        room += *c == '\n';
    lines = arena_get(arena, room, sizeof(*lines));
    *ret_count = 0;
    for (char *l = strtok_r(text, "\n", &save); l && lines; l = strtok_r(NULL, "\n", &save))
        if (checkpoint_read_line(l, &lines[*ret_count]))
            ++*ret_count;
    return lines;
}

/* A file system that was made inside is seen whole somewhere inside; criu makes it again. */
static bool checkpoint_is_own(const struct checkpoint_line *lines, unsigned count, unsigned i)
{
    for (unsigned k = 0; k < count; k++)
        if (!strcmp(lines[k].device, lines[i].device) && !strcmp(lines[k].root, "/") &&
            strncmp(lines[k].type, "cgroup", 6) != 0)
            return true;
    return false;
}

/* What the host may have by the name of a mount whose file system it does not show: a device is
 * made on one that nobody sees. Any other name would be the container's choice. */
static const char *checkpoint_given_path(const struct spec *spec, const char *at)
{
    if (mounts_is_device(spec, at))
        return at;
    for (unsigned i = 0; i < spec->mount_count; i++) {
        const struct spec_mount *m = &spec->mounts[i];

        if (!strcmp(m->destination, at) && m->flags & MS_BIND && m->source && *m->source == '/')
            return m->source;
    }
    return NULL;
}

/* Where the host shows what the container has at a mount, the deepest such mount. NULL: nowhere. */
static const char *checkpoint_host_path(struct arena *arena, const struct checkpoint_line *host,
                                        unsigned count, const struct checkpoint_line *m)
{
    const char *found = NULL;
    size_t best = 0;

    for (unsigned i = 0; i < count; i++) {
        size_t len = !strcmp(host[i].root, "/") ? 0 : strlen(host[i].root);

        if (strcmp(host[i].device, m->device) || strncmp(host[i].root, m->root, len) != 0 ||
            (m->root[len] && m->root[len] != '/') || (found && len < best))
            continue;
        found = arena_text(arena, "%s%s", strcmp(host[i].at, "/") ? host[i].at : "",
                           strcmp(m->root + len, "/") ? m->root + len : "");
        best = len;
    }
    return found && !*found ? "/" : found;
}

int checkpoint_match_mounts(struct arena *arena, const struct spec *spec, char *inside,
                            char *outside, struct checkpoint_record *ret, struct err *err)
{
    unsigned count, host_count;
    struct checkpoint_line *lines = checkpoint_read_lines(arena, inside, &count);
    struct checkpoint_line *host = checkpoint_read_lines(arena, outside, &host_count);

    ret->count = 0;
    ret->mounts = arena_get(arena, lines ? count + 1 : 1, sizeof(*ret->mounts));
    if (!lines || !host || !ret->mounts)
        return err_set(err, -ENOMEM, "no memory");
    for (unsigned i = 0; i < count; i++) {
        struct checkpoint_mount m = {.at = lines[i].at};

        if (!strcmp(m.at, "/") || checkpoint_is_own(lines, count, i))
            continue;
        m.source = checkpoint_host_path(arena, host, host_count, &lines[i]);
        if (!m.source)
            m.source = checkpoint_given_path(spec, m.at);
        if (!m.source)
            return err_set(err, -EOPNOTSUPP,
                           "the mount at %s in the container comes from a file system this host "
                           "does not show, so it could not be restored; unmount it there",
                           m.at);
        ret->mounts[ret->count++] = m;
    }
    return 0;
}

int checkpoint_find_mounts(struct arena *arena, const struct spec *spec, pid_t pid,
                           struct checkpoint_record *ret, struct err *err)
{
    CLEANUP(free) char *inside = NULL;
    CLEANUP(free) char *host = NULL;
    char path[48], *kept, *kept_host;
    int r;

    snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
    r = file_read(AT_FDCWD, path, CHECKPOINT_MOUNTINFO, &inside, NULL, err);
    if (!r)
        r = file_read(AT_FDCWD, "/proc/self/mountinfo", CHECKPOINT_MOUNTINFO, &host, NULL, err);
    if (r < 0)
        return r;
    kept = arena_copy(arena, inside, strlen(inside));
    kept_host = arena_copy(arena, host, strlen(host));
    if (!kept || !kept_host)
        return err_set(err, -ENOMEM, "no memory");
    return checkpoint_match_mounts(arena, spec, kept, kept_host, ret, err);
}

int checkpoint_save(int images, const struct checkpoint_record *record, struct err *err)
{
    struct out o = {.pretty = true};
    CLEANUP(fd) int fd = -1;
    int r;

    out_begin(&o, NULL, '{');
    out_int(&o, "version", 1);
    out_text(&o, "cgroup", record->cgroup);
    out_begin(&o, "descriptors", '[');
    for (size_t i = 0; i < ARRAY_LEN(record->descriptors); i++)
        out_text(&o, NULL, record->descriptors[i] ? record->descriptors[i] : "");
    out_end(&o, ']');
    out_begin(&o, "mounts", '[');
    for (unsigned i = 0; i < record->count; i++) {
        out_begin(&o, NULL, '{');
        out_text(&o, "at", record->mounts[i].at);
        out_text(&o, "source", record->mounts[i].source);
        out_end(&o, '}');
    }
    out_end(&o, ']');
    out_end(&o, '}');
    out_raw(&o, "\n");
    fd = openat(images, CHECKPOINT_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                0600);
    r = fd < 0 ? -errno : o.failed ? -ENOMEM : file_write_all(fd, buf_data(&o.buf), o.buf.len);
    out_done(&o);
    return r < 0 ? err_set(err, r, "image directory: " CHECKPOINT_FILE ": %s", strerror(-r)) : 0;
}

static void checkpoint_parse(struct json_reader *r, const struct json *at,
                             struct checkpoint_record *ret)
{
    const struct json *mounts = json_take(r, at, "mounts", JSON_ARRAY);
    const char **names = json_take_texts(r, at, "descriptors");

    if (json_take_int(r, at, "version", 0, INT64_MAX, 0) != 1)
        (void)json_refuse(r, at, "version: only 1 is known");
    ret->cgroup = json_take_text(r, at, "cgroup");
    for (size_t i = 0; names && i < ARRAY_LEN(ret->descriptors) && names[i]; i++)
        ret->descriptors[i] = names[i];
    ret->mounts = arena_get(r->arena, mounts ? mounts->count + 1 : 1, sizeof(*ret->mounts));
    for (const struct json *c = mounts && ret->mounts ? mounts->child : NULL; c; c = c->next) {
        struct checkpoint_mount m = {.at = json_take_text(r, c, "at"),
                                     .source = json_take_text(r, c, "source")};

        if (m.at && m.source)
            ret->mounts[ret->count++] = m;
    }
}

int checkpoint_load(struct arena *arena, int images, struct checkpoint_record *ret, struct err *err)
{
    struct json_reader r = {.arena = arena, .what = CHECKPOINT_FILE, .err = err};
    struct checkpoint_record record = {0};
    CLEANUP(free) char *text = NULL;
    struct json *at;
    char *copy;
    size_t len;
    int code = file_read(images, CHECKPOINT_FILE, CHECKPOINT_RECORD, &text, &len, NULL);

    if (code < 0)
        return err_set(err, code,
                       "image directory: " CHECKPOINT_FILE ": %s; only checkpoints made by posada "
                       "can be restored",
                       strerror(-code));
    copy = arena_copy(arena, text, len);
    code =
        copy ? json_parse(arena, r.what, copy, len, &at, err) : err_set(err, -ENOMEM, "no memory");
    if (code < 0)
        return code;
    checkpoint_parse(&r, at, &record);
    if (!r.code)
        *ret = record;
    return r.code;
}

int checkpoint_open_dir(const char *path, bool make, const char *what, struct err *err)
{
    int fd, r = make ? file_make_dirs(path, 0700, err) : 0;

    if (r < 0)
        return r;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set(err, -errno, "%s %s: %s", what, path, strerror(errno)) : fd;
}

const char *checkpoint_config(const struct spec *spec)
{
    static const char *const files[] = {"/etc/criu/posada.conf", "/etc/criu/crun.conf",
                                        "/etc/criu/runc.conf"};
    const char *wanted = spec_annotation(spec, "org.criu.config");

    for (size_t i = 0; !wanted && i < ARRAY_LEN(files); i++)
        if (access(files[i], R_OK) == 0)
            wanted = files[i];
    return wanted;
}

int checkpoint_cgroups_mode(const char *name)
{
    static const char *const modes[] = {"ignore", "none", "props", "soft", "full", "strict"};

    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (!strcmp(name, modes[i]))
            return (int)i;
    return -1;
}

const char *checkpoint_namespace_file(uint64_t flag)
{
    static const struct {
        uint64_t flag;
        const char *name;
    } files[] = {{CLONE_NEWNET, "net"}, {CLONE_NEWPID, "pid"},       {CLONE_NEWIPC, "ipc"},
                 {CLONE_NEWUTS, "uts"}, {CLONE_NEWCGROUP, "cgroup"}, {CLONE_NEWUSER, "user"},
                 {CLONE_NEWNS, "mnt"},  {CLONE_NEWTIME, "time"}};

    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (files[i].flag == flag)
            return files[i].name;
    return "";
}

bool checkpoint_is_our_namespace(const char *path, uint64_t flag)
{
    struct stat theirs, ours;
    char own[48];

    snprintf(own, sizeof(own), "/proc/self/ns/%s", checkpoint_namespace_file(flag));
    return stat(path, &theirs) == 0 && stat(own, &ours) == 0 && theirs.st_ino == ours.st_ino &&
           theirs.st_dev == ours.st_dev;
}

int checkpoint_explain(int work, const char *log, const char *what, const char *id, int code,
                       const char *message, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    int len = 0;

    /* "(00.012345) Error (criu/x.c:12): why"; the first is the cause, the others follow from it,
     * but for what criu says of its own rights and that means nothing here. */
    if (file_read(work, log, CHECKPOINT_LOG, &text, NULL, NULL) == 0)
        for (const char *at = text; (at = strstr(at, "Error (")) && (at = strstr(at, "): "));) {
            at += 3;
            if (strncmp(at, "rlimit: ", 8) != 0 && strncmp(at, "tun: ", 5) != 0) {
                message = at;
                break;
            }
        }
    len = (int)strcspn(message, "\n");
    return err_set(err, code ? -code : -EIO,
                   "container '%s': criu cannot %s it: %.*s (%s has more)", id, what,
                   len > 200 ? 200 : len, message, log);
}
