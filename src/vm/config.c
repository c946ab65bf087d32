/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest configuration to and from JSON, by one table of fields: a new field is one line. Values
 * are checked for type and length here; whether they make sense together is the verb's business.
 */
#include "vm/config.h"

#include "base/suggest.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_VERSION = 1 };

static const char *const technique_names[TECHNIQUE_COUNT] = {"auto",     "emulate", "full",
                                                             "hardware", "para",    "container"};

static int names_find(const char *const *names, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return (int)i;
    return -1;
}

int vm_technique_parse(const char *name)
{
    return names_find(technique_names, TECHNIQUE_COUNT, name);
}

const char *vm_technique_name(enum vm_technique technique)
{
    return technique_names[technique];
}

const char *vm_state_name(enum vm_state state)
{
    static const char *const names[] = {"created",  "starting", "running", "paused",
                                        "stopping", "stopped",  "failed"};

    return names[state];
}

int vm_name_check(const char *name, struct err *err)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";

    if (!*name || !strchr(first, *name) || name[strspn(name, rest)] || strlen(name) > VM_NAME_MAX)
        return err_set(err, -EINVAL,
                       "name '%.80s': use up to %d lower-case letters, digits, '_', '.' and '-', "
                       "with a letter or digit first",
                       name, VM_NAME_MAX);
    return 0;
}

/* --- lists of strings --- */

void vm_strings_free(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

int vm_strings_copy(char *const *from, size_t count, char ***ret)
{
    char **copy;

    if (!from)
        return 0;
    copy = calloc(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(from[i]);
        if (!copy[i]) {
            vm_strings_free(copy);
            return -ENOMEM;
        }
    }
    *ret = copy;
    return copy ? 0 : -ENOMEM;
}

static json_t *strings_to_json(char *const *strings)
{
    json_t *array = json_array();

    for (size_t i = 0; array && strings[i]; i++)
        json_array_append_new(array, json_string(strings[i]));
    return array;
}

static int strings_from_json(const json_t *array, char ***ret)
{
    size_t count = json_array_size(array);
    char **strings;

    if (!json_is_array(array))
        return -EINVAL;
    strings = calloc(count + 1, sizeof(*strings));
    if (!strings)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(array, i));

        strings[i] = text ? strdup(text) : NULL;
        if (!strings[i]) {
            vm_strings_free(strings);
            return -EINVAL;
        }
    }
    *ret = strings;
    return 0;
}

/* --- the table --- */

enum field_kind {
    FIELD_ARRAY, /* char[size] */
    FIELD_TEXT,  /* char *, heap */
    FIELD_LIST,  /* char **, heap */
    FIELD_UINT,
    FIELD_U64,
    FIELD_BOOL,
    FIELD_ARCH,
    FIELD_TECHNIQUE,
};

struct field {
    const char *key;
    enum field_kind kind;
    size_t offset, size;
};

#define FIELD(type, kind, member)                                                                  \
    {                                                                                              \
#member, kind, offsetof(struct type, member), sizeof(((struct type *)NULL)->member)        \
    }

/* One a line, so that two additions do not collide. */
/* clang-format off */
static const struct field config_fields[] = {
    FIELD(vm_config, FIELD_ARRAY, name),
    FIELD(vm_config, FIELD_ARRAY, uuid),
    FIELD(vm_config, FIELD_ARCH, arch),
    FIELD(vm_config, FIELD_TECHNIQUE, technique),
    FIELD(vm_config, FIELD_ARRAY, engine),
    FIELD(vm_config, FIELD_ARRAY, cpu_model),
    FIELD(vm_config, FIELD_UINT, cpus),
    FIELD(vm_config, FIELD_U64, memory),
    FIELD(vm_config, FIELD_U64, memory_low),
    FIELD(vm_config, FIELD_U64, memory_high),
    FIELD(vm_config, FIELD_BOOL, memory_auto),
    FIELD(vm_config, FIELD_TEXT, image),
    FIELD(vm_config, FIELD_TEXT, kernel),
    FIELD(vm_config, FIELD_TEXT, initrd),
    FIELD(vm_config, FIELD_TEXT, append),
    FIELD(vm_config, FIELD_TEXT, firmware),
    FIELD(vm_config, FIELD_BOOL, tohost),
    FIELD(vm_config, FIELD_LIST, command),
    FIELD(vm_config, FIELD_LIST, env),
    FIELD(vm_config, FIELD_TEXT, user),
    FIELD(vm_config, FIELD_TEXT, workdir),
    FIELD(vm_config, FIELD_BOOL, tty),
    FIELD(vm_config, FIELD_BOOL, open_stdin),
    FIELD(vm_config, FIELD_BOOL, auto_remove),
    FIELD(vm_config, FIELD_TEXT, net_rate),
    FIELD(vm_config, FIELD_TEXT, restart),
    FIELD(vm_config, FIELD_TEXT, file),
    FIELD(vm_config, FIELD_TEXT, spec),
    FIELD(vm_config, FIELD_TEXT, sandbox),
    FIELD(vm_config, FIELD_UINT, gdb_port),
    FIELD(vm_config, FIELD_LIST, ports),
    FIELD(vm_config, FIELD_TEXT, vsock),
    FIELD(vm_config, FIELD_UINT, vsock_cid),
    FIELD(vm_config, FIELD_TEXT, trace),
    FIELD(vm_config, FIELD_BOOL, perf_map),
    FIELD(vm_config, FIELD_TEXT, symbols),
    FIELD(vm_config, FIELD_LIST, layers),
    FIELD(vm_config, FIELD_TEXT, tree),
    FIELD(vm_config, FIELD_UINT, millicpus),
    FIELD(vm_config, FIELD_UINT, pids),
    FIELD(vm_config, FIELD_TEXT, stop_signal),
    {0},
};
/* clang-format on */

static const struct field disk_fields[] = {
    FIELD(vm_disk, FIELD_TEXT, path),
    FIELD(vm_disk, FIELD_TEXT, format),
    FIELD(vm_disk, FIELD_TEXT, backing_dir),
    FIELD(vm_disk, FIELD_UINT, queues),
    FIELD(vm_disk, FIELD_BOOL, split_rings),
    FIELD(vm_disk, FIELD_TEXT, cache),
    FIELD(vm_disk, FIELD_TEXT, aio),
    FIELD(vm_disk, FIELD_BOOL, read_only),
    {0},
};

static const struct field net_fields[] = {
    FIELD(vm_net, FIELD_TEXT, network),
    FIELD(vm_net, FIELD_ARRAY, mac),
    {0},
};

static const struct field share_fields[] = {
    FIELD(vm_share, FIELD_TEXT, host),      FIELD(vm_share, FIELD_TEXT, guest),
    FIELD(vm_share, FIELD_ARRAY, tag),      FIELD(vm_share, FIELD_BOOL, read_only),
    FIELD(vm_share, FIELD_BOOL, squash),    FIELD(vm_share, FIELD_UINT, uid),
    FIELD(vm_share, FIELD_UINT, gid),       FIELD(vm_share, FIELD_UINT, guest_uid),
    FIELD(vm_share, FIELD_UINT, guest_gid), {0},
};

static json_t *field_to_json(const struct field *f, const void *object)
{
    const void *p = (const char *)object + f->offset;

    switch (f->kind) {
    case FIELD_ARRAY: return json_string(p);
    case FIELD_TEXT: return *(char *const *)p ? json_string(*(char *const *)p) : NULL;
    case FIELD_LIST: return *(char **const *)p ? strings_to_json(*(char **const *)p) : NULL;
    case FIELD_UINT: return json_integer(*(const unsigned *)p);
    case FIELD_U64: return json_integer((json_int_t) * (const uint64_t *)p);
    case FIELD_BOOL: return json_boolean(*(const bool *)p);
    case FIELD_ARCH: return json_string(vm_arch_name(*(const enum vm_arch *)p));
    case FIELD_TECHNIQUE: return json_string(vm_technique_name(*(const enum vm_technique *)p));
    }
    return NULL;
}

static int field_array(char *p, size_t size, const char *text)
{
    if (!text || strlen(text) >= size)
        return -EINVAL;
    strcpy(p, text);
    return 0;
}

static int field_text(char **p, const char *text)
{
    if (!text)
        return -EINVAL;
    free(*p);
    *p = strdup(text);
    return *p ? 0 : -ENOMEM;
}

static int field_number(void *p, bool wide, const json_t *value)
{
    json_int_t v = json_integer_value(value);

    if (!json_is_integer(value) || v < 0 || (!wide && v > UINT32_MAX))
        return -EINVAL;
    if (wide)
        *(uint64_t *)p = (uint64_t)v;
    else
        *(unsigned *)p = (unsigned)v;
    return 0;
}

static int field_name(unsigned *p, int (*parse)(const char *), const char *text)
{
    int v = text ? parse(text) : -1;

    if (v < 0)
        return -EINVAL;
    *p = (unsigned)v;
    return 0;
}

static int field_from_json(const struct field *f, void *object, const json_t *value)
{
    void *p = (char *)object + f->offset;
    const char *text = json_string_value(value);

    switch (f->kind) {
    case FIELD_ARRAY: return field_array(p, f->size, text);
    case FIELD_TEXT: return field_text(p, text);
    case FIELD_LIST: return *(char ***)p ? -EINVAL : strings_from_json(value, p);
    case FIELD_UINT:
    case FIELD_U64: return field_number(p, f->kind == FIELD_U64, value);
    case FIELD_ARCH: return field_name(p, vm_arch_parse, text);
    case FIELD_TECHNIQUE: return field_name(p, vm_technique_parse, text);
    case FIELD_BOOL: *(bool *)p = json_is_true(value); return json_is_boolean(value) ? 0 : -EINVAL;
    }
    return -EINVAL;
}

static const struct field *field_find(const struct field *fields, const char *key)
{
    for (; fields->key; fields++)
        if (!strcmp(fields->key, key))
            return fields;
    return NULL;
}

static int fields_unknown(const struct field *fields, const char *key, struct err *err)
{
    struct suggest s = {.word = key};

    for (; fields->key; fields++)
        suggest_offer(&s, fields->key);
    return err_set(err, -EINVAL, "unknown key '%s'%s%s%s", key, s.best ? "; did you mean '" : "",
                   s.best ? s.best : "", s.best ? "'?" : "");
}

static int fields_add(const struct field *fields, const void *object, json_t *json)
{
    for (; fields->key; fields++) {
        json_t *value = field_to_json(fields, object);

        if (value && json_object_set_new(json, fields->key, value) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* --- lists of objects --- */

struct list {
    const char *key;
    const struct field *fields; /* the first one is a text that must be there */
    size_t offset, size;        /* the items in struct vm_config, one item */
    size_t count;               /* unsigned, in struct vm_config */
    unsigned max;
};

#define LIST(name, table, type, items, number)                                                     \
    {                                                                                              \
        name, table, offsetof(struct vm_config, items), sizeof(struct type),                       \
            offsetof(struct vm_config, number), ARRAY_LEN(((struct vm_config *)NULL)->items)       \
    }

static const struct list config_lists[] = {
    LIST("disks", disk_fields, vm_disk, disk, disk_count),
    LIST("nets", net_fields, vm_net, net, net_count),
    LIST("shares", share_fields, vm_share, share, share_count),
};

static const struct list *list_find(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(config_lists); i++)
        if (!strcmp(config_lists[i].key, key))
            return &config_lists[i];
    return NULL;
}

static unsigned list_count(const struct list *l, const struct vm_config *config)
{
    return *(const unsigned *)((const char *)config + l->count);
}

static void *list_item(const struct list *l, struct vm_config *config, unsigned i)
{
    return (char *)config + l->offset + i * l->size;
}

static json_t *list_to_json(const struct list *l, const struct vm_config *config)
{
    json_t *array = json_array();

    for (unsigned i = 0; array && i < list_count(l, config); i++) {
        const void *item = list_item(l, (struct vm_config *)(uintptr_t)config, i);
        json_t *object = json_object();

        if (!object || fields_add(l->fields, item, object) < 0 ||
            json_array_append_new(array, object) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static int item_from_json(const struct list *l, const json_t *json, void *item, struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(json))
        return err_set(err, -EINVAL, "%s: expected a list of objects", l->key);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        const struct field *f = field_find(l->fields, key);

        if (!f)
            return fields_unknown(l->fields, key, err);
        if (field_from_json(f, item, value) < 0)
            return err_set(err, -EINVAL, "%s: key '%s' has a wrong value", l->key, key);
    }
    return *(char *const *)((const char *)item + l->fields->offset)
               ? 0
               : err_set(err, -EINVAL, "%s: one has no %s", l->key, l->fields->key);
}

static int list_from_json(const struct list *l, const json_t *array, struct vm_config *config,
                          struct err *err)
{
    unsigned *count = (unsigned *)(void *)((char *)config + l->count);

    if (!json_is_array(array) || json_array_size(array) > l->max)
        return err_set(err, -EINVAL, "%s: expected a list of at most %u", l->key, l->max);
    while (*count < json_array_size(array)) {
        unsigned i = (*count)++; /* counted first: done() frees a half-read one */
        int r = item_from_json(l, json_array_get(array, i), list_item(l, config, i), err);

        if (r < 0)
            return r;
    }
    return 0;
}

/* --- the whole --- */

json_t *vm_config_to_json(const struct vm_config *config)
{
    json_t *json = json_pack("{s:i}", "version", CONFIG_VERSION);
    bool fine = json && fields_add(config_fields, config, json) == 0;

    for (size_t i = 0; fine && i < ARRAY_LEN(config_lists); i++)
        fine = json_object_set_new(json, config_lists[i].key,
                                   list_to_json(&config_lists[i], config)) == 0;
    if (fine)
        return json;
    json_decref(json);
    return NULL;
}

/* Until guests had several networks, one was two keys of the guest's own. */
static int config_old_key(struct vm_config *config, const char *key, const json_t *value)
{
    const struct field *f = &net_fields[strcmp(key, "net") != 0];

    config->net_count = 1;
    return field_from_json(f, &config->net[0], value);
}

/* Absent in what the first Posada wrote: 1. Keys may be added without a new version, for an older
 * Posada refuses those anyway; one that changes what a key means needs it. */
static int config_version(const json_t *value, struct err *err)
{
    if (!value)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 1)
        return err_set(err, -EINVAL, "key 'version' has a wrong value");
    if (json_integer_value(value) > CONFIG_VERSION)
        return err_set(err, -EPROTO,
                       "it is of version %lld, made by a newer Posada; this one knows up to %d",
                       (long long)json_integer_value(value), CONFIG_VERSION);
    return 0;
}

static int config_key(struct vm_config *config, const char *key, const json_t *value,
                      struct err *err)
{
    const struct field *f = field_find(config_fields, key);
    const struct list *l = list_find(key);
    bool old = !strcmp(key, "net") || !strcmp(key, "mac");

    if (!strcmp(key, "version"))
        return 0;
    if (l)
        return list_from_json(l, value, config, err);
    if (!f && !old)
        return fields_unknown(config_fields, key, err);
    if ((old ? config_old_key(config, key, value) : field_from_json(f, config, value)) < 0)
        return err_set(err, -EINVAL, "key '%s' has a wrong value", key);
    return 0;
}

int vm_config_from_json(const json_t *json, struct vm_config *config, struct err *err)
{
    const char *key;
    json_t *value;
    int r;

    *config = (struct vm_config){0};
    if (!json_is_object(json))
        return err_set(err, -EINVAL, "the configuration is not a JSON object");
    r = config_version(json_object_get(json, "version"), err);
    if (r < 0)
        return r;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
    {
        r = config_key(config, key, value, err);

        if (r < 0) {
            vm_config_done(config);
            return r;
        }
    }
    return 0;
}

static void fields_done(const struct field *fields, void *object)
{
    for (; fields->key; fields++) {
        void *p = (char *)object + fields->offset;

        if (fields->kind == FIELD_TEXT)
            free(*(char **)p);
        if (fields->kind == FIELD_LIST)
            vm_strings_free(*(char ***)p);
    }
}

void vm_config_done(struct vm_config *config)
{
    for (size_t l = 0; l < ARRAY_LEN(config_lists); l++)
        for (unsigned i = 0; i < list_count(&config_lists[l], config); i++)
            fields_done(config_lists[l].fields, list_item(&config_lists[l], config, i));
    for (unsigned i = 0; i < config->disk_count; i++) { /* never recorded */
        free(config->disk[i].base);
        free(config->disk[i].base_format);
    }
    fields_done(config_fields, config);
    *config = (struct vm_config){0};
}
