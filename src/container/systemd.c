/* SPDX-License-Identifier: Apache-2.0 */
/* Talking to systemd. Contract: container/systemd.h. */
#include "container/systemd.h"

#include "base/cleanup.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSTEMD_SERVICE   "org.freedesktop.systemd1"
#define SYSTEMD_PATH      "/org/freedesktop/systemd1"
#define SYSTEMD_INTERFACE "org.freedesktop.systemd1.Manager"

enum { SYSTEMD_JOB_MS = 60000, SYSTEMD_UNIT_NAME = 255 };

bool systemd_is_rootless(void)
{
    CLEANUP(free) char *text = NULL;
    unsigned inside, outside, size;

    if (geteuid())
        return true;
    return file_read(AT_FDCWD, "/proc/self/uid_map", 65536, &text, NULL, NULL) == 0 &&
           sscanf(text, "%u %u %u", &inside, &outside, &size) == 3 && size != UINT32_MAX;
}

/* systemd.slice(5): names of parts joined by one dash each. */
static bool systemd_is_slice(const char *name)
{
    size_t len = strlen(name);

    return len > 6 && len <= SYSTEMD_UNIT_NAME && !strcmp(name + len - 6, ".slice") &&
           !strchr(name, '/') && !strstr(name, "--") && *name != '-' && name[len - 7] != '-' &&
           *name != '.';
}

/* systemd.unit(5): what a unit's name may be made of. */
static bool systemd_is_unit(const char *name)
{
    return strlen(name) <= SYSTEMD_UNIT_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.-\\@") ==
               strlen(name);
}

int systemd_names(struct arena *arena, const char *path, const char *id, bool rootless,
                  struct systemd_scope *ret, struct err *err)
{
    const char *first = path ? strchr(path, ':') : NULL;
    const char *second = first ? strchr(first + 1, ':') : NULL;
    struct systemd_scope s = {.slice = rootless ? "user.slice" : "system.slice", .inner = ""};

    if (!path || !*path) {
        s.name = arena_text(arena, "posada-%s.scope", id);
    } else if (!second || strchr(second + 1, ':')) {
        return err_set(err, -EINVAL,
                       "config.json: linux.cgroupsPath: '%s': the systemd manager wants "
                       "slice:prefix:name",
                       path);
    } else {
        if (first > path)
            s.slice = arena_text(arena, "%.*s", (int)(first - path), path);
        s.name = arena_text(arena, "%.*s%s%s.scope", (int)(second - first - 1), first + 1,
                            second > first + 1 ? "-" : "", second + 1);
    }
    if (!s.slice || !s.name)
        return err_set(err, -ENOMEM, "no memory");
    if (!systemd_is_slice(s.slice))
        return err_set(err, -EINVAL, "config.json: linux.cgroupsPath: '%s' is no slice's name",
                       s.slice);
    if (!systemd_is_unit(s.name) || (second && !second[1]))
        return err_set(err, -EINVAL, "config.json: linux.cgroupsPath: '%s' is no scope's name",
                       s.name);
    *ret = s;
    return 0;
}

const char *systemd_slice_path(struct arena *arena, const char *slice)
{
    const char *path = "";

    for (const char *dash = slice; path && (dash = strchr(dash, '-')); dash++)
        path = arena_text(arena, "%s/%.*s.slice", path, (int)(dash - slice), slice);
    return path ? arena_text(arena, "%s/%s", path, slice) : NULL;
}

/* The path in "unix:path=..." or "unix:abstract=...", the first of several addresses. */
static bool systemd_parse_address(const char *address, char *buf, size_t size)
{
    const char *path = strncmp(address, "unix:path=", 10) ? NULL : address + 10;
    bool abstract = !strncmp(address, "unix:abstract=", 14);

    if (abstract)
        path = address + 14;
    return path && (size_t)snprintf(buf, size, "%s%.*s", abstract ? "@" : "",
                                    (int)strcspn(path, ",;"), path) < size;
}

static int systemd_open_user(struct dbus *d, struct err *err)
{
    const char *address = getenv("DBUS_SESSION_BUS_ADDRESS"), *run = getenv("XDG_RUNTIME_DIR");
    char path[200], own[48];
    struct err ignored;

    if (!run) {
        snprintf(own, sizeof(own), "/run/user/%u", geteuid());
        run = own;
    }
    if (address && systemd_parse_address(address, path, sizeof(path)) &&
        dbus_open(d, path, true, &ignored) == 0)
        return 0;
    snprintf(path, sizeof(path), "%.150s/bus", run);
    if (dbus_open(d, path, true, &ignored) == 0)
        return 0;
    snprintf(path, sizeof(path), "%.150s/systemd/private", run);
    return dbus_open(d, path, false, err);
}

static int systemd_open_system(struct dbus *d, struct err *err)
{
    const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");
    char path[200] = "/run/dbus/system_bus_socket";
    struct err ignored;

    if (address && !systemd_parse_address(address, path, sizeof(path)))
        return err_set(err, -EINVAL, "DBUS_SYSTEM_BUS_ADDRESS=%s: expected unix:path=FILE",
                       address);
    if (dbus_open(d, path, true, &ignored) == 0)
        return 0;
    return dbus_open(d, address ? path : "/run/systemd/private", address, err);
}

int systemd_open(struct dbus *d, struct err *err)
{
    bool rootless = systemd_is_rootless();
    int r = rootless ? systemd_open_user(d, err) : systemd_open_system(d, err);

    return r < 0 ? err_wrap(err, r,
                            "the systemd cgroup manager was asked for, and the %s's systemd is not "
                            "to be reached",
                            rootless ? "user" : "system")
                 : 0;
}

static int systemd_call(struct dbus *d, const char *member, const char *signature,
                        const struct dbus_body *body, struct dbus_message *ret, struct err *err)
{
    const struct dbus_call c = {.service = SYSTEMD_SERVICE,
                                .path = SYSTEMD_PATH,
                                .interface = SYSTEMD_INTERFACE,
                                .member = member,
                                .signature = signature,
                                .body = body};

    return dbus_call(d, &c, ret, err);
}

/* The manager's own group: everything of a user's manager is below it. */
static int systemd_root_group(struct dbus *d, struct arena *arena, const char **ret,
                              struct err *err)
{
    struct dbus_body body = {0};
    struct dbus_call c = {.service = SYSTEMD_SERVICE,
                          .path = SYSTEMD_PATH,
                          .interface = "org.freedesktop.DBus.Properties",
                          .member = "Get",
                          .signature = "ss",
                          .body = &body};
    struct dbus_message m;
    const char *text;
    int r;

    dbus_put_text(&body, SYSTEMD_INTERFACE);
    dbus_put_text(&body, "ControlGroup");
    r = dbus_call(d, &c, &m, err);
    dbus_body_done(&body);
    if (r < 0)
        return r;
    text = strcmp(dbus_get_signature(&m), "s") ? "" : dbus_get_text(&m);
    if (m.bad || (*text && *text != '/'))
        return err_set(err, -EBADMSG, "systemd: its control group is no text");
    *ret = arena_text(arena, "%s", strcmp(text, "/") ? text : "");
    return *ret ? 0 : err_set(err, -ENOMEM, "no memory");
}

int systemd_find(struct dbus *d, struct arena *arena, bool v2, const char *subgroup,
                 struct systemd_scope *scope, struct err *err)
{
    const char *root, *slice = systemd_slice_path(arena, scope->slice);
    int r = systemd_root_group(d, arena, &root, err);

    if (r < 0)
        return r;
    if (subgroup && (strchr(subgroup, '/') || strstr(subgroup, "..")))
        return err_set(err, -EINVAL, "annotation run.oci.systemd.subgroup: '%s' is no plain name",
                       subgroup);
    scope->group = slice ? arena_text(arena, "%s%s/%s", root, slice, scope->name) : NULL;
    scope->inner = !v2 ? "" : subgroup ? subgroup : "container";
    return scope->group ? 0 : err_set(err, -ENOMEM, "no memory");
}

/* JobRemoved of one unit: how its job ended. */
struct systemd_job {
    const char *unit;
    char result[32]; /* "": not yet */
};

static void systemd_on_signal(void *arg, struct dbus_message *m)
{
    struct systemd_job *job = arg;
    const char *unit, *result;

    if (strcmp(m->member, "JobRemoved") || strcmp(m->interface, SYSTEMD_INTERFACE) ||
        strcmp(m->signature, "uoss"))
        return;
    (void)dbus_get_u32(m);
    (void)dbus_get_text(m);
    unit = dbus_get_text(m);
    result = dbus_get_text(m);
    if (!m->bad && !strcmp(unit, job->unit))
        snprintf(job->result, sizeof(job->result), "%s", result);
}

static bool systemd_job_ended(void *arg)
{
    return *((const struct systemd_job *)arg)->result;
}

/* The manager tells about jobs only who has subscribed, a bus passes on only what matches. */
static int systemd_subscribe(struct dbus *d, struct systemd_job *job, struct err *err)
{
    struct dbus_body body = {0};
    struct dbus_call match = {.service = "org.freedesktop.DBus",
                              .path = "/org/freedesktop/DBus",
                              .interface = "org.freedesktop.DBus",
                              .member = "AddMatch",
                              .signature = "s",
                              .body = &body};
    struct dbus_message m;
    int r = 0;

    d->on_signal = systemd_on_signal;
    d->arg = job;
    dbus_put_text(&body, "type='signal',sender='" SYSTEMD_SERVICE "',interface='" SYSTEMD_INTERFACE
                         "',member='JobRemoved'");
    if (d->daemon)
        r = dbus_call(d, &match, &m, err);
    dbus_body_done(&body);
    if (!r)
        r = systemd_call(d, "Subscribe", NULL, NULL, &m, err);
    return r == -EREMOTEIO && !d->daemon ? 0 : r; /* a direct line may be subscribed already */
}

/* StartTransientUnit's properties. */
static int systemd_put_properties(struct dbus_body *b, const struct systemd_scope *s,
                                  const char *id, pid_t pid, const struct spec *spec, bool v2,
                                  struct err *err)
{
    char text[300];
    size_t at, pids;
    int r;

    dbus_begin_array(b, 8, &at);
    snprintf(text, sizeof(text), "posada container %.250s", id);
    systemd_put_text(b, "Description", text);
    systemd_put_text(b, "Slice", s->slice);
    systemd_put_text(b, "CollectMode", "inactive-or-failed");
    systemd_put_bool(b, "Delegate", true);
    systemd_put_bool(b, "DefaultDependencies", false);
    dbus_put_struct(b);
    dbus_put_text(b, "PIDs");
    dbus_put_signature(b, "au");
    dbus_begin_array(b, 4, &pids);
    dbus_put_u32(b, (uint32_t)pid);
    dbus_end_array(b, 4, pids);
    if (spec->resources.given)
        systemd_put_resources(b, &spec->resources, v2);
    r = systemd_put_annotations(b, spec->annotations, err);
    dbus_end_array(b, 8, at);
    return r;
}

static int systemd_wait(struct dbus *d, const struct systemd_job *job, struct err *err)
{
    int r = dbus_listen(d, systemd_job_ended, SYSTEMD_JOB_MS, err);

    if (!r && strcmp(job->result, "done"))
        r = err_set(err, -EREMOTEIO, "its job ended as '%s'", job->result);
    return r;
}

int systemd_start(struct dbus *d, const struct systemd_scope *scope, const char *id, pid_t pid,
                  const struct spec *spec, bool v2, struct err *err)
{
    struct systemd_job job = {.unit = scope->name};
    struct dbus_body body = {0};
    struct dbus_message m;
    size_t at;
    int r = systemd_subscribe(d, &job, err);

    dbus_put_text(&body, scope->name);
    dbus_put_text(&body, "fail");
    if (!r)
        r = systemd_put_properties(&body, scope, id, pid, spec, v2, err);
    dbus_begin_array(&body, 8, &at);
    dbus_end_array(&body, 8, at);
    if (!r)
        r = systemd_call(d, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body, &m, err);
    if (!r)
        r = systemd_wait(d, &job, err);
    dbus_body_done(&body);
    return r < 0 ? err_wrap(err, r, "systemd scope %s", scope->name) : 0;
}

int systemd_update(struct dbus *d, const char *name, const struct spec_resources *res, bool v2,
                   struct err *err)
{
    struct dbus_body body = {0};
    struct dbus_message m;
    size_t at;
    int r;

    dbus_put_text(&body, name);
    dbus_put_bool(&body, true);
    dbus_begin_array(&body, 8, &at);
    systemd_put_resources(&body, res, v2);
    dbus_end_array(&body, 8, at);
    r = systemd_call(d, "SetUnitProperties", "sba(sv)", &body, &m, err);
    dbus_body_done(&body);
    return r < 0 ? err_wrap(err, r, "systemd scope %s", name) : 0;
}

int systemd_attach(struct dbus *d, const char *name, const char *inner, pid_t pid, struct err *err)
{
    struct dbus_body body = {0};
    struct dbus_message m;
    size_t at;
    int r;

    dbus_put_text(&body, name);
    dbus_put_text(&body, inner);
    dbus_begin_array(&body, 4, &at);
    dbus_put_u32(&body, (uint32_t)pid);
    dbus_end_array(&body, 4, at);
    r = systemd_call(d, "AttachProcessesToUnit", "ssau", &body, &m, err);
    dbus_body_done(&body);
    return r < 0 ? err_wrap(err, r, "systemd scope %s", name) : 0;
}

static bool systemd_is_unknown(const struct dbus_message *m)
{
    return !strcmp(m->error, SYSTEMD_SERVICE ".NoSuchUnit");
}

int systemd_stop(struct dbus *d, const char *name, struct err *err)
{
    struct systemd_job job = {.unit = name};
    struct dbus_body body = {0}, unit = {0};
    struct dbus_message m = {.error = ""};
    struct err ignored;
    int r = systemd_subscribe(d, &job, err);

    dbus_put_text(&body, name);
    dbus_put_text(&body, "replace");
    dbus_put_text(&unit, name);
    if (!r) {
        r = systemd_call(d, "StopUnit", "ss", &body, &m, err);
        if (r == -EREMOTEIO && systemd_is_unknown(&m))
            r = 0;
        else if (!r)
            r = systemd_wait(d, &job, err);
    }
    if (!r)
        (void)!systemd_call(d, "ResetFailedUnit", "s", &unit, &m, &ignored);
    dbus_body_done(&body);
    dbus_body_done(&unit);
    return r < 0 ? err_wrap(err, r, "systemd scope %s", name) : 0;
}
