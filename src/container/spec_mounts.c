/* SPDX-License-Identifier: Apache-2.0 */
/* mounts (runtime-spec config.md "Mounts"): options become flags, the rest is the file system's. */
#include "container/names.h"
#include "container/spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

static const char *spec_join(struct json_reader *r, const char *data, const char *more)
{
    const char *joined = data ? arena_text(r->arena, "%s,%s", data, more) : more;

    if (!joined)
        r->code = -ENOMEM;
    return joined;
}

static void spec_read_mount_option(struct json_reader *r, const char *text, struct spec_mount *m)
{
    const struct name_mount_option *o = name_mount_option(text);

    if (!strncmp(text, "idmap=", 6) || !strncmp(text, "ridmap=", 7)) {
        m->extra |= NAME_MOUNT_IDMAP | (*text == 'r' ? NAME_MOUNT_RIDMAP : 0u);
        m->idmap_text = strchr(text, '=') + 1;
        return;
    }
    if (!o) {
        m->data = spec_join(r, m->data, text);
        return;
    }
    m->flags = (m->flags & ~o->clear) | o->set;
    m->rec_set |= o->rec_set;
    m->rec_clear |= o->rec_clear;
    m->extra |= o->extra;
    if (o->propagation && m->propagations < ARRAY_LEN(m->propagation))
        m->propagation[m->propagations++] = o->propagation;
}

/* crun's "uids=0-1-100#...;gids=0-1-100": container, host, size; "@" makes a triple relative,
 * which we refuse. */
static void spec_read_idmap_part(struct json_reader *r, const struct spec_mount *m, const char *at,
                                 struct spec_map **ret, unsigned *ret_count)
{
    unsigned count = 1;

    for (const char *c = at; *c && *c != ';'; c++)
        count += *c == '#';
    *ret = spec_array(r, count, sizeof(**ret));
    while (*ret && *ret_count < count) {
        struct spec_map *map = &(*ret)[*ret_count];
        int used = 0;

        if (sscanf(at, "%u-%u-%u%n", &map->inside, &map->outside, &map->size, &used) != 3 ||
            (at[used] && at[used] != '#' && at[used] != ';')) {
            (void)json_refuse(r, m->at, "idmap=%s: expected uids=C-H-N[#...];gids=C-H-N[#...]",
                              m->idmap_text);
            return;
        }
        (*ret_count)++;
        at += used + (at[used] == '#');
    }
}

static void spec_read_idmap_text(struct json_reader *r, struct spec_mount *m)
{
    const char *uids = strstr(m->idmap_text, "uids="), *gids = strstr(m->idmap_text, "gids=");

    if (!uids || !gids) {
        (void)json_refuse(r, m->at, "idmap=%s: expected uids=C-H-N;gids=C-H-N", m->idmap_text);
        return;
    }
    spec_read_idmap_part(r, m, uids + 5, &m->maps.uid, &m->maps.uids);
    spec_read_idmap_part(r, m, gids + 5, &m->maps.gid, &m->maps.gids);
}

static void spec_check_mount(struct json_reader *r, struct spec_mount *m, const struct spec *spec)
{
    bool maps = m->maps.uids || m->maps.gids;

    if (!m->destination || !*m->destination)
        (void)json_refuse(r, m->at, "destination is missing");
    if (!m->type && !(m->flags & (MS_BIND | MS_REMOUNT)))
        (void)json_refuse(r, m->at, "type is missing (or bind among the options)");
    if ((m->flags & MS_BIND) && !m->source)
        (void)json_refuse(r, m->at, "source is missing: what shall be bound?");
    if (!!m->maps.uids != !!m->maps.gids)
        (void)json_refuse(r, m->at, "uidMappings and gidMappings come together");
    if (maps || (m->extra & NAME_MOUNT_IDMAP))
        m->extra |= NAME_MOUNT_IDMAP;
    /* The user namespace's own maps are meant when none are given. */
    if ((m->extra & NAME_MOUNT_IDMAP) && !maps)
        m->maps = spec->maps;
}

static void spec_read_mount(struct json_reader *r, const struct json *at, struct spec_mount *m,
                            const struct spec *spec)
{
    const char **options = json_take_texts(r, at, "options");

    m->at = at;
    m->destination = json_take_text(r, at, "destination");
    m->type = json_take_text(r, at, "type");
    m->source = json_take_text(r, at, "source");
    for (; options && *options; options++)
        spec_read_mount_option(r, *options, m);
    if (m->type && !strcmp(m->type, "bind") && !(m->flags & MS_BIND))
        m->flags |= MS_BIND;
    spec_read_maps(r, at, "uidMappings", &m->maps.uid, &m->maps.uids);
    spec_read_maps(r, at, "gidMappings", &m->maps.gid, &m->maps.gids);
    if (m->idmap_text && !r->code)
        spec_read_idmap_text(r, m);
    m->recursive_idmap = m->extra & NAME_MOUNT_RIDMAP;
    if (!r->code)
        spec_check_mount(r, m, spec);
}

void spec_read_mounts(struct json_reader *r, const struct json *at, struct spec *spec)
{
    spec->mounts = at ? spec_array(r, at->count, sizeof(*spec->mounts)) : NULL;
    if (!spec->mounts)
        return;
    for (const struct json *c = at->child; c; c = c->next) {
        if (c->kind != JSON_OBJECT)
            (void)json_refuse(r, c, "expected an object");
        else
            spec_read_mount(r, c, &spec->mounts[spec->mount_count++], spec);
    }
}
