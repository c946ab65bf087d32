/* SPDX-License-Identifier: Apache-2.0 */
/* Manifests of images. Contract: image/manifest.h. Written by us, yet every field is checked. */
#include "image/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const kind_names[] = {"memory", "disk", "oci"};

const char *image_kind_name(enum image_kind kind)
{
    return kind_names[kind];
}

static void strings_free(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

void image_done(struct image *i)
{
    char **texts[] = {&i->name,
                      &i->summary,
                      &i->suite,
                      &i->built,
                      &i->release,
                      &i->kernel,
                      &i->initrd,
                      &i->append,
                      &i->disk,
                      &i->disk_format,
                      &i->root,
                      &i->blank,
                      &i->digest,
                      &i->reference,
                      &i->process.user,
                      &i->process.workdir,
                      &i->process.stop_signal};

    for (size_t t = 0; t < ARRAY_LEN(texts); t++)
        free(*texts[t]);
    strings_free(i->process.entrypoint);
    strings_free(i->process.cmd);
    strings_free(i->process.env);
    for (unsigned l = 0; l < i->layer_count; l++) {
        free(i->layers[l].path);
        free(i->layers[l].sha256);
        free(i->layers[l].diff_id);
        free(i->layers[l].media);
    }
    free(i->layers);
    *i = (struct image){0};
}

/* Lower case, as registries have it; parts between '/' begin with a letter or digit. */
int image_check_name(const char *name, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-:@/"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    bool good = strlen(name) <= IMAGE_NAME_MAX && strspn(name, allowed) == strlen(name);

    for (const char *at = name; good; at = strchr(at, '/') + 1) {
        good = isalnum((unsigned char)*at);
        if (!strchr(at, '/'))
            break;
    }
    if (!good)
        return err_set(err, -EINVAL,
                       "image name '%.60s': letters, digits, '_', '.', '-', ':' and '/' only, a "
                       "letter or digit first",
                       name);
    return 0;
}

void manifest_time(char *text, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;

    (void)strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

void image_say(const struct image_progress *progress, const char *text)
{
    if (progress && progress->step)
        progress->step(progress->arg, text);
}

static char *manifest_text(const json_t *manifest, const char *key)
{
    const char *value = json_string_value(json_object_get(manifest, key));

    return value ? strdup(value) : NULL;
}

static int manifest_strings(const json_t *array, char ***ret)
{
    size_t n = json_array_size(array);
    char **list;

    if (!json_is_array(array))
        return 0;
    list = calloc(n + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));

        list[i] = text ? strdup(text) : NULL;
        if (!list[i]) {
            strings_free(list);
            return -ENOENT;
        }
    }
    *ret = list;
    return 0;
}

static uint64_t manifest_size(const json_t *object)
{
    json_int_t n = json_integer_value(json_object_get(object, "size"));

    return n > 0 ? (uint64_t)n : 0;
}

static int manifest_process(const json_t *p, struct image_process *ret)
{
    int r = manifest_strings(json_object_get(p, "entrypoint"), &ret->entrypoint);

    if (r == 0)
        r = manifest_strings(json_object_get(p, "cmd"), &ret->cmd);
    if (r == 0)
        r = manifest_strings(json_object_get(p, "env"), &ret->env);
    ret->user = manifest_text(p, "user");
    ret->workdir = manifest_text(p, "workdir");
    ret->stop_signal = manifest_text(p, "stop_signal");
    return r;
}

static int manifest_layers(const struct image_store *s, const json_t *array, struct image *i)
{
    size_t n = json_array_size(array);

    if (n > IMAGE_LAYERS_MAX)
        return -ENOENT;
    i->layers = calloc(n + 1, sizeof(*i->layers));
    if (!i->layers)
        return -ENOMEM;
    for (; i->layer_count < n; i->layer_count++) {
        const json_t *layer = json_array_get(array, i->layer_count);
        struct image_layer *l = &i->layers[i->layer_count];

        *l = (struct image_layer){.path = image_store_path(s, layer),
                                  .sha256 = manifest_text(layer, "sha256"),
                                  .diff_id = manifest_text(layer, "diff_id"),
                                  .media = manifest_text(layer, "media"),
                                  .bytes = manifest_size(layer)};
        i->bytes += l->bytes;
        if (!l->path || !l->sha256 || !l->diff_id || !l->media) {
            i->layer_count++;
            return -ENOENT;
        }
    }
    return 0;
}

static bool manifest_has_all(const struct image *i, const json_t *manifest)
{
    static const char *const objects[] = {"kernel", "initrd", "disk", "root", "blank"};
    char *const have[] = {i->kernel, i->initrd, i->disk, i->root, i->blank};

    for (size_t k = 0; k < ARRAY_LEN(objects); k++)
        if (!have[k] && json_object_get(manifest, objects[k]))
            return false; /* named, but not there */
    if (i->kind == IMAGE_MEMORY)
        return i->kernel && i->initrd && i->append;
    return i->kind == IMAGE_DISK ? i->disk && i->disk_format : i->root && i->blank;
}

int manifest_read(const struct image_store *s, const char *name, enum vm_arch arch,
                  const json_t *manifest, struct image *ret, struct err *err)
{
    const char *kind = json_string_value(json_object_get(manifest, "kind"));
    struct image i = {
        .arch = arch,
        .name = strdup(name),
        .summary = manifest_text(manifest, "summary"),
        .suite = manifest_text(manifest, "suite"),
        .built = manifest_text(manifest, "built"),
        .release = manifest_text(manifest, "release"),
        .append = manifest_text(manifest, "append"),
        .disk_format = manifest_text(manifest, "disk_format"),
        .digest = manifest_text(manifest, "digest"),
        .reference = manifest_text(manifest, "reference"),
        .kernel = image_store_object(s, manifest, "kernel"),
        .initrd = image_store_object(s, manifest, "initrd"),
        .disk = image_store_object(s, manifest, "disk"),
        .root = image_store_object(s, manifest, "root"),
        .blank = image_store_object(s, manifest, "blank"),
        .disk_size = manifest_size(json_object_get(manifest, "disk_as_seen")),
    };
    static const char *const sized[] = {"kernel", "initrd", "disk", "root"}; /* blank is a hole */
    int r;

    for (size_t k = 0; kind && k < ARRAY_LEN(kind_names); k++)
        if (strcmp(kind, kind_names[k]) == 0)
            i.kind = (enum image_kind)k;
    for (size_t k = 0; k < ARRAY_LEN(sized); k++)
        i.bytes += manifest_size(json_object_get(manifest, sized[k]));
    r = manifest_process(json_object_get(manifest, "process"), &i.process);
    if (r == 0)
        r = manifest_layers(s, json_object_get(manifest, "layers"), &i);
    if (r == 0 && (!i.name || !i.built || !manifest_has_all(&i, manifest)))
        r = -ENOENT;
    if (r < 0) {
        image_done(&i);
        return err_set(err, -ENOENT,
                       "image '%s' (%s): is damaged; remove it and build or pull it again", name,
                       vm_arch_name(arch));
    }
    *ret = i;
    return 0;
}

int manifest_open(const struct image_store *s, const char *name, enum vm_arch arch, const char *key,
                  struct image *ret, struct err *err)
{
    CLEANUP(json) json_t *manifest = NULL;
    const char *have;
    int r = image_store_read(s, arch, name, &manifest, err);

    if (r < 0)
        return r;
    have = json_string_value(json_object_get(manifest, "key"));
    if (key && (!have || strcmp(have, key) != 0))
        return err_set(err, -ENOENT, "image '%s' (%s): is out of date", name, vm_arch_name(arch));
    return manifest_read(s, name, arch, manifest, ret, err);
}
