/* SPDX-License-Identifier: Apache-2.0 */
/* The linux object but for resources (runtime-spec config-linux.md). */
#include "container/names.h"
#include "container/numa.h"
#include "container/spec.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

void spec_read_maps(struct json_reader *r, const struct json *object, const char *name,
                    struct spec_map **ret_maps, unsigned *ret_count)
{
    const struct json *list = json_take(r, object, name, JSON_ARRAY);
    struct spec_map *maps;

    if (!list || !list->count)
        return;
    if (list->count > SPEC_IDS) {
        (void)json_refuse(r, list, "more than %d ranges, the kernel's limit", SPEC_IDS);
        return;
    }
    maps = spec_array(r, list->count, sizeof(*maps));
    if (!maps)
        return;
    for (const struct json *c = list->child; c; c = c->next) {
        struct spec_map *map = &maps[(*ret_count)++];

        map->inside = (uint32_t)json_take_int(r, c, "containerID", 0, UINT32_MAX - 1, 0);
        map->outside = (uint32_t)json_take_int(r, c, "hostID", 0, UINT32_MAX - 1, 0);
        map->size = (uint32_t)json_take_int(r, c, "size", 1, UINT32_MAX, 0);
        if (!map->size)
            (void)json_refuse(r, c, "size is missing");
    }
    *ret_maps = maps;
}

static void spec_read_namespaces(struct json_reader *r, const struct json *list, struct spec *spec)
{
    for (const struct json *c = list ? list->child : NULL; c; c = c->next) {
        const char *type = json_take_text(r, c, "type");
        const char *path = json_take_text(r, c, "path");
        uint64_t flag;

        if (!type || !name_find(name_namespaces, type, &flag)) {
            (void)json_refuse(r, c, "unknown namespace type '%s'", type ? type : "");
        } else if (spec_namespace(spec, flag)) {
            (void)json_refuse(r, c, "the %s namespace is there twice", type);
        } else if (path && *path && *path != '/') {
            (void)json_refuse(r, c, "path '%s' must be absolute", path);
        } else {
            spec->namespaces[spec->namespace_count++] =
                (struct spec_namespace){flag, path && *path ? path : NULL};
        }
    }
}

static mode_t spec_device_type(const char *type)
{
    if (!type || !*type || type[1])
        return 0;
    switch (*type) {
    case 'c':
    case 'u': return S_IFCHR;
    case 'b': return S_IFBLK;
    case 'p': return S_IFIFO;
    default: return 0;
    }
}

static void spec_read_device(struct json_reader *r, const struct json *at, struct spec_device *d)
{
    const char *type = json_take_text(r, at, "type");

    d->path = json_take_text(r, at, "path");
    d->type = spec_device_type(type);
    d->major = (unsigned)json_take_int(r, at, "major", 0, 4095, 0);
    d->minor = (unsigned)json_take_int(r, at, "minor", 0, 1048575, 0);
    d->mode = (mode_t)json_take_int(r, at, "fileMode", 0, 0177777, 0666) & 07777;
    d->uid = (uint32_t)json_take_int(r, at, "uid", 0, UINT32_MAX - 1, 0);
    d->gid = (uint32_t)json_take_int(r, at, "gid", 0, UINT32_MAX - 1, 0);
    if (!d->path || *d->path != '/')
        (void)json_refuse(r, at, "path '%s' must be absolute", d->path ? d->path : "");
    else if (!d->type)
        (void)json_refuse(r, at, "type '%s' is none of c, u, b, p", type ? type : "");
}

static void spec_read_devices(struct json_reader *r, const struct json *list, struct spec *spec)
{
    spec->devices = list ? spec_array(r, list->count, sizeof(*spec->devices)) : NULL;
    if (!spec->devices)
        return;
    for (const struct json *c = list->child; c; c = c->next)
        spec_read_device(r, c, &spec->devices[spec->device_count++]);
}

/* config-linux.md "Network Devices": host name to {name}. */
static void spec_read_net_devices(struct json_reader *r, const struct json *at, struct spec *spec)
{
    spec->net_devices = at ? spec_array(r, at->count, sizeof(*spec->net_devices)) : NULL;
    if (!spec->net_devices)
        return;
    for (struct json *c = at->child; c; c = c->next) {
        struct spec_net_device *d = &spec->net_devices[spec->net_device_count++];

        c->seen = true;
        d->host_name = c->name;
        d->name = json_take_text(r, c, "name");
        if (strlen(c->name) > 15 || (d->name && strlen(d->name) > 15))
            (void)json_refuse(r, c, "an interface's name has at most 15 bytes");
    }
    if (!spec_namespace(spec, CLONE_NEWNET))
        (void)json_refuse(r, at, "needs a network namespace to move devices into");
}

static void spec_read_propagation(struct json_reader *r, const struct json *at, struct spec *spec)
{
    const char *text = json_take_text(r, at, "rootfsPropagation");
    const struct name_mount_option *o;

    if (!text || !*text)
        return;
    o = name_mount_option(text);
    if (!o || !o->propagation)
        (void)json_refuse(r, json_get(at, "rootfsPropagation"),
                          "'%s' is none of shared, slave, private, unbindable (or r...)", text);
    else
        spec->propagation = o->propagation;
}

static void spec_read_kept(struct json_reader *r, const struct json *at, struct spec *spec)
{
    /* Read where they are used; each reader there refuses what it does not know. */
    const struct json *kept[] = {
        spec->sysctl = json_take(r, at, "sysctl", JSON_OBJECT),
        spec->seccomp = json_take(r, at, "seccomp", JSON_OBJECT),
        spec->time_offsets = json_take(r, at, "timeOffsets", JSON_OBJECT),
        spec->intel_rdt = json_take(r, at, "intelRdt", JSON_OBJECT),
        spec->memory_policy = json_take(r, at, "memoryPolicy", JSON_OBJECT),
    };

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (kept[i])
            json_mark_seen(kept[i]);
    for (const struct json *c = spec->sysctl ? spec->sysctl->child : NULL; c; c = c->next)
        if (c->kind != JSON_TEXT)
            (void)json_refuse(r, c, "the value of a sysctl is a text");
    numa_check(r, spec->memory_policy);
    if (spec->time_offsets && !spec_namespace(spec, CLONE_NEWTIME))
        (void)json_refuse(r, spec->time_offsets, "needs a time namespace");
}

static void spec_read_personality(struct json_reader *r, const struct json *at, struct spec *spec)
{
    const char *domain = json_take_text(r, at, "domain");
    const char **flags = json_take_texts(r, at, "flags");

    if (!at)
        return;
    if (!domain || !name_find(name_personalities, domain, &spec->process.personality))
        (void)json_refuse(r, at, "domain '%s' is none of LINUX, LINUX32", domain ? domain : "");
    if (flags && *flags)
        (void)json_refuse(r, at, "flags are not defined yet by the specification");
    spec->process.has_personality = true;
}

static void spec_check_maps(struct json_reader *r, const struct json *at, const struct spec *spec)
{
    const struct spec_namespace *user = spec_namespace(spec, CLONE_NEWUSER);
    bool maps = spec->maps.uids || spec->maps.gids;

    if (maps && !user)
        (void)json_refuse(r, at, "uidMappings and gidMappings need a user namespace");
    if (user && !user->path && (!spec->maps.uids || !spec->maps.gids))
        (void)json_refuse(r, at, "a new user namespace needs uidMappings and gidMappings");
}

void spec_read_linux(struct json_reader *r, const struct json *at, struct spec *spec)
{
    spec_read_namespaces(r, json_take(r, at, "namespaces", JSON_ARRAY), spec);
    spec_read_maps(r, at, "uidMappings", &spec->maps.uid, &spec->maps.uids);
    spec_read_maps(r, at, "gidMappings", &spec->maps.gid, &spec->maps.gids);
    spec_read_devices(r, json_take(r, at, "devices", JSON_ARRAY), spec);
    spec_read_net_devices(r, json_take(r, at, "netDevices", JSON_OBJECT), spec);
    spec->cgroups_path = json_take_text(r, at, "cgroupsPath");
    spec_read_resources(r, json_take(r, at, "resources", JSON_OBJECT), &spec->resources);
    spec_read_propagation(r, at, spec);
    spec_read_kept(r, at, spec);
    spec->masked = json_take_texts(r, at, "maskedPaths");
    spec->readonly = json_take_texts(r, at, "readonlyPaths");
    spec->mount_label = json_take_text(r, at, "mountLabel");
    spec_read_personality(r, json_take(r, at, "personality", JSON_OBJECT), spec);
    if (!r->code && at)
        spec_check_maps(r, at, spec);
}
