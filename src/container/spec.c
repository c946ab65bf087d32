/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: the top level, hooks, and what holds between parts. Contract: container/spec.h. */
#include "container/spec.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const spec_hook_names[SPEC_HOOK_KINDS] = {
    [SPEC_PRESTART] = "prestart",
    [SPEC_CREATE_RUNTIME] = "createRuntime",
    [SPEC_CREATE_CONTAINER] = "createContainer",
    [SPEC_START_CONTAINER] = "startContainer",
    [SPEC_POSTSTART] = "poststart",
    [SPEC_POSTSTOP] = "poststop",
};

void *spec_array(struct json_reader *r, unsigned count, size_t size)
{
    void *array = arena_get(r->arena, count + 1, size);

    if (!array && !r->code)
        r->code = err_set(r->err, -ENOMEM, "%s: no memory", r->what);
    return array;
}

static void spec_read_hook(struct json_reader *r, const struct json *at, struct spec_hook *hook)
{
    if (at->kind != JSON_OBJECT) {
        (void)json_refuse(r, at, "expected an object");
        return;
    }
    hook->path = json_take_text(r, at, "path");
    hook->args = json_take_texts(r, at, "args");
    hook->env = json_take_texts(r, at, "env");
    hook->timeout = (int)json_take_int(r, at, "timeout", 0, 1 << 20, 0);
    if (!hook->path)
        (void)json_refuse(r, at, "a hook needs a path");
    else if (*hook->path != '/')
        (void)json_refuse(r, at, "path '%s' must be absolute", hook->path);
}

static void spec_read_hooks(struct json_reader *r, const struct json *at, struct spec *spec)
{
    for (unsigned kind = 0; kind < SPEC_HOOK_KINDS; kind++) {
        const struct json *list = json_take(r, at, spec_hook_names[kind], JSON_ARRAY);
        struct spec_hook *hooks = list ? spec_array(r, list->count, sizeof(*hooks)) : NULL;

        if (!hooks)
            continue;
        spec->hooks[kind] = hooks;
        for (const struct json *c = list->child; c; c = c->next)
            spec_read_hook(r, c, &hooks[spec->hook_count[kind]++]);
    }
}

static void spec_read_annotations(struct json_reader *r, struct spec *spec)
{
    spec->annotations = json_take(r, spec->root, "annotations", JSON_OBJECT);
    for (struct json *c = spec->annotations ? spec->annotations->child : NULL; c; c = c->next) {
        c->seen = true;
        if (c->kind != JSON_TEXT)
            (void)json_refuse(r, c, "an annotation is a text");
    }
}

/* "1.0.2-dev": the major number is all that may not differ. */
static void spec_check_version(struct json_reader *r, const struct spec *spec)
{
    if (!spec->version)
        (void)json_refuse(r, spec->root, "ociVersion is missing");
    else if (strncmp(spec->version, "1.", 2))
        (void)json_refuse(r, json_get(spec->root, "ociVersion"),
                          "version '%s' is not of the 1.x family that posada knows", spec->version);
}

static void spec_read_root(struct json_reader *r, struct spec *spec)
{
    const struct json *root = json_take(r, spec->root, "root", JSON_OBJECT);

    spec->rootfs = json_take_text(r, root, "path");
    spec->rootfs_readonly = json_take_bool(r, root, "readonly", false);
    if (!r->code && (!root || !spec->rootfs || !*spec->rootfs))
        (void)json_refuse(r, root ? root : spec->root,
                          "%s is missing: a container needs a root file system",
                          root ? "path" : "root");
}

static void spec_check_names(struct json_reader *r, const struct spec *spec)
{
    const struct json *at;

    if (spec->hostname && !spec_namespace(spec, CLONE_NEWUTS))
        (void)json_refuse(r, json_get(spec->root, "hostname"),
                          "needs a uts namespace, or it would rename the host");
    if (spec->domainname && !spec_namespace(spec, CLONE_NEWUTS))
        (void)json_refuse(r, json_get(spec->root, "domainname"),
                          "needs a uts namespace, or it would rename the host");
    if (json_get(spec->sysctl, "kernel.hostname"))
        (void)json_refuse(r, spec->sysctl, "kernel.hostname: say it by the field hostname");
    at = json_get(spec->sysctl, "kernel.domainname");
    if (spec->domainname && at && at->text && strcmp(at->text, spec->domainname))
        (void)json_refuse(r, spec->sysctl, "kernel.domainname: contradicts the field domainname");
    if (spec->hostname && strlen(spec->hostname) > 64)
        (void)json_refuse(r, json_get(spec->root, "hostname"), "longer than 64 bytes");
}

struct spec_noter {
    spec_note_fn fn;
    void *arg;
    const char *what;
};

static void spec_note_unseen(void *arg, const struct json *at)
{
    struct spec_noter *noter = arg;
    char path[160], text[300];

    snprintf(text, sizeof(text), "%s: %s: unknown field, ignored", noter->what,
             json_path(at, path, sizeof(path)));
    noter->fn(noter->arg, text);
}

static void spec_note_unknown(const struct json *root, const char *what, spec_note_fn note,
                              void *arg)
{
    struct spec_noter noter = {note, arg, what};

    if (note)
        json_each_unseen(root, spec_note_unseen, &noter);
}

/* Sections for other platforms are none of ours and no mistake either. */
static void spec_pass_over(const struct json *root)
{
    static const char *const others[] = {"windows", "solaris", "vm", "zos", "freebsd"};

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        (void)json_get(root, others[i]);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        const struct json *at = json_get(root, others[i]);

        if (at)
            json_mark_seen(at);
    }
}

int spec_parse(struct arena *arena, char *text, size_t len, spec_note_fn note, void *arg,
               struct spec *ret_spec, struct err *err)
{
    struct spec spec = {.arena = arena};
    struct json_reader r = {
        .arena = arena, .what = "config.json", .note = note, .note_arg = arg, .err = err};
    int code = json_parse(arena, r.what, text, len, &spec.root, err);

    if (code < 0)
        return code;
    if (spec.root->kind != JSON_OBJECT)
        return json_refuse(&r, spec.root, "expected an object");
    spec.version = json_take_text(&r, spec.root, "ociVersion");
    spec_check_version(&r, &spec);
    spec.hostname = json_take_text(&r, spec.root, "hostname");
    spec.domainname = json_take_text(&r, spec.root, "domainname");
    spec_read_annotations(&r, &spec);
    spec_read_process(&r, json_take(&r, spec.root, "process", JSON_OBJECT), &spec.process);
    spec_read_root(&r, &spec);
    spec_read_hooks(&r, json_take(&r, spec.root, "hooks", JSON_OBJECT), &spec);
    spec_read_linux(&r, json_take(&r, spec.root, "linux", JSON_OBJECT), &spec);
    spec_read_mounts(&r, json_take(&r, spec.root, "mounts", JSON_ARRAY), &spec);
    spec_check_names(&r, &spec);
    spec_pass_over(spec.root);
    if (r.code)
        return r.code;
    spec_note_unknown(spec.root, r.what, note, arg);
    *ret_spec = spec;
    return 0;
}

int spec_parse_process(struct arena *arena, char *text, size_t len, spec_note_fn note, void *arg,
                       struct spec_process *ret_process, struct err *err)
{
    struct json_reader r = {
        .arena = arena, .what = "process document", .note = note, .note_arg = arg, .err = err};
    struct spec_process process = {0};
    struct json *root;
    int code = json_parse(arena, r.what, text, len, &root, err);

    if (code < 0)
        return code;
    if (root->kind != JSON_OBJECT)
        return json_refuse(&r, root, "expected an object");
    spec_read_process(&r, root, &process);
    if (r.code)
        return r.code;
    spec_note_unknown(root, r.what, note, arg);
    *ret_process = process;
    return 0;
}

int spec_parse_resources(struct arena *arena, char *text, size_t len,
                         struct spec_resources *ret_resources, struct err *err)
{
    struct json_reader r = {.arena = arena, .what = "resources", .err = err};
    struct spec_resources resources;
    struct json *root;
    int code = json_parse(arena, r.what, text, len, &root, err);

    if (code < 0)
        return code;
    if (root->kind != JSON_OBJECT)
        return json_refuse(&r, root, "expected an object");
    /* The whole of config.json's linux section or only its resources: both are in use. */
    spec_read_resources(&r, json_get(root, "resources") ? json_get(root, "resources") : root,
                        &resources);
    if (r.code)
        return r.code;
    *ret_resources = resources;
    return 0;
}

const struct spec_namespace *spec_namespace(const struct spec *spec, uint64_t flag)
{
    for (unsigned i = 0; i < spec->namespace_count; i++)
        if (spec->namespaces[i].flag == flag)
            return &spec->namespaces[i];
    return NULL;
}

const char *spec_annotation(const struct spec *spec, const char *name)
{
    const struct json *at = json_get(spec->annotations, name);

    return at ? at->text : NULL;
}
