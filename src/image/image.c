/* SPDX-License-Identifier: Apache-2.0 */
/* Images by name: from manifest to paths, and from recipe to manifest. Contract: image/image.h. */
#include "image/image.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "host/file.h"
#include "image/build.h"
#include "image/digest.h"
#include "image/resource.h"
#include "image/store.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECIPE_MAX = 256 * 1024, IMAGE_FORMAT = 1 };

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

static void cleanup_image_store(struct image_store *s)
{
    image_store_close(s);
}

static void cleanup_apt(struct apt *a)
{
    apt_close(a);
}

void image_done(struct image *i)
{
    free(i->name);
    free(i->suite);
    free(i->built);
    free(i->release);
    free(i->kernel);
    free(i->initrd);
    free(i->append);
    *i = (struct image){0};
}

/* Names and recipes */

static int image_check_name(const char *name, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";

    if (!*name || *name == '.' || *name == '-' || strspn(name, allowed) != strlen(name) ||
        strlen(name) > VM_NAME_MAX)
        return err_set(err, -EINVAL,
                       "image name '%.60s': lower-case letters, digits, '_', '.' and '-' only",
                       name);
    return 0;
}

static void image_suggest(struct suggest *s, char *best, size_t size)
{
    CLEANUP(free) char *folder = resource_find(RESOURCE_RECIPES, NULL);
    DIR *dir = folder ? opendir(folder) : NULL;
    const struct dirent *e;

    while (dir && (e = readdir(dir))) {
        const char *dot = strstr(e->d_name, ".yaml");
        const char *before = s->best;
        char name[VM_NAME_MAX + 1];

        if (!dot || dot - e->d_name > VM_NAME_MAX)
            continue;
        (void)snprintf(name, sizeof(name), "%.*s", (int)(dot - e->d_name), e->d_name);
        suggest_offer(s, name);
        if (s->best == name)
            (void)snprintf(best, size, "%s", name);
        s->best = s->best == name ? best : before;
    }
    if (dir)
        (void)closedir(dir);
}

static int image_unknown(const char *name, struct err *err)
{
    struct suggest s = {.word = name};
    char best[VM_NAME_MAX + 1] = "";

    image_suggest(&s, best, sizeof(best));
    return err_set(err, -ENOENT, "image '%s': there is no such image and no recipe for it%s%s%s",
                   name, *best ? "; did you mean '" : "", best, *best ? "'?" : "");
}

static int image_load_recipe(const char *name, struct recipe *recipe, char **ret_text,
                             struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(free) char *text = NULL;
    char file[VM_NAME_MAX + 8];
    size_t len;
    int r;

    (void)snprintf(file, sizeof(file), "%s.yaml", name);
    path = resource_find(RESOURCE_RECIPES, file);
    if (!path)
        return image_unknown(name, err);
    r = file_read(AT_FDCWD, path, RECIPE_MAX, &text, &len, err);
    if (r == 0)
        r = recipe_parse(path, text, len, recipe, err);
    if (r == 0)
        *ret_text = TAKE(text);
    return r;
}

static void image_key_program(struct digest *d, const char *name, enum vm_arch arch)
{
    CLEANUP(free) char *path = NULL;
    char file[64], sha256[DIGEST_TEXT] = "";

    (void)snprintf(file, sizeof(file), "%s.%s", name, vm_arch_name(arch));
    path = resource_find(RESOURCE_GUEST, file);
    if (path && digest_file(path, sha256) == 0)
        digest_add(d, sha256, strlen(sha256));
}

/* What an image is made from, other than the packages: a difference means building again. */
static int image_key(const char *recipe_text, const char *suite, enum vm_arch arch,
                     char key[DIGEST_TEXT])
{
    struct digest *d = digest_new();
    const uint8_t format = IMAGE_FORMAT;

    if (!d)
        return -ENOMEM;
    digest_add(d, &format, 1);
    digest_add(d, recipe_text, strlen(recipe_text) + 1);
    digest_add(d, suite, strlen(suite) + 1);
    image_key_program(d, "init", arch);
    image_key_program(d, "agent", arch);
    digest_end(d, key);
    return 0;
}

/* Manifests */

static char *image_text(const json_t *manifest, const char *key)
{
    const char *value = json_string_value(json_object_get(manifest, key));

    return value ? strdup(value) : NULL;
}

static uint64_t image_size(const json_t *manifest, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(json_object_get(manifest, key), "size"));

    return n > 0 ? (uint64_t)n : 0;
}

/* -ENOENT: not an image (any more): something is missing. */
static int image_from_json(const struct image_store *s, const char *name, enum vm_arch arch,
                           const json_t *manifest, struct image *ret, struct err *err)
{
    struct image i = {
        .arch = arch,
        .name = strdup(name),
        .suite = image_text(manifest, "suite"),
        .built = image_text(manifest, "built"),
        .release = image_text(manifest, "release"),
        .append = image_text(manifest, "append"),
        .kernel = image_store_object(s, manifest, "kernel"),
        .initrd = image_store_object(s, manifest, "initrd"),
        .bytes = image_size(manifest, "kernel") + image_size(manifest, "initrd"),
    };

    if (!i.name || !i.suite || !i.built || !i.release || !i.append || !i.kernel || !i.initrd) {
        image_done(&i);
        return err_set(err, -ENOENT, "image '%s' (%s): is damaged; build it again", name,
                       vm_arch_name(arch));
    }
    *ret = i;
    return 0;
}

static int image_open(const struct image_store *s, const char *name, enum vm_arch arch,
                      const char *key, struct image *ret, struct err *err)
{
    CLEANUP(json) json_t *manifest = NULL;
    const char *have;
    int r = image_store_read(s, arch, name, &manifest, err);

    if (r < 0)
        return r;
    have = json_string_value(json_object_get(manifest, "key"));
    if (key && (!have || strcmp(have, key) != 0))
        return err_set(err, -ENOENT, "image '%s' (%s): is out of date", name, vm_arch_name(arch));
    return image_from_json(s, name, arch, manifest, ret, err);
}

static json_t *image_packages(const struct build *b)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < BUILD_PACKAGES; i++) {
        const struct apt_package *p = &b->package[i];

        if (json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", p->name, "version",
                                                  p->version, "sha256", p->sha256)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static int image_keep(struct image_store *s, const struct build *b, const char *key,
                      struct err *err)
{
    CLEANUP(json) json_t *kernel = NULL;
    CLEANUP(json) json_t *initrd = NULL;
    CLEANUP(json) json_t *manifest = NULL;
    const struct recipe *recipe = b->recipe;
    char built[32];
    time_t now = time(NULL);
    struct tm tm;
    int r = image_store_take(s, BUILD_KERNEL, &kernel, err);

    if (r == 0)
        r = image_store_take(s, BUILD_INITRD, &initrd, err);
    if (r < 0)
        return r;
    (void)strftime(built, sizeof(built), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    manifest = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:O, s:O, s:o}", "name",
                         recipe->name, "arch", vm_arch_name(b->arch), "summary", recipe->summary,
                         "suite", b->apt->suite, "built", built, "release", b->release, "append",
                         recipe->append[b->arch] ? recipe->append[b->arch] : "", "key", key,
                         "kernel", kernel, "initrd", initrd, "packages", image_packages(b));
    if (!manifest)
        return err_set(err, -ENOMEM, "image %s: out of memory", recipe->name);
    r = image_store_write(s, b->arch, recipe->name, manifest, err);
    if (r == 0)
        image_store_sweep(s);
    return r;
}

/* Building */

struct image_request {
    const char *name;
    enum vm_arch arch;
    struct recipe recipe;
    const struct image_options *options;
    const char *suite;
    char key[DIGEST_TEXT];
};

static void cleanup_image_request(struct image_request *q)
{
    recipe_done(&q->recipe);
}

static int image_make(struct image_store *s, const struct image_request *q, struct err *err)
{
    CLEANUP(apt) struct apt apt = {0};
    struct build b = {.recipe = &q->recipe, .arch = q->arch, .temp = s->temp, .apt = &apt};
    int r = apt_open(&apt, q->suite, q->arch, q->options->mirror, q->options->progress, err);

    if (r == 0)
        r = build_run(&b, q->options->force, err);
    if (r == 0)
        r = image_keep(s, &b, q->key, err);
    if (r == 0)
        apt_forget_others(&apt, b.package, BUILD_PACKAGES);
    return r < 0 ? err_wrap(err, r, "image %s (%s)", q->name, vm_arch_name(q->arch)) : 0;
}

static int image_request(const char *name, enum vm_arch arch, const struct image_options *options,
                         struct image_request *q, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    int r;

    *q = (struct image_request){.name = name, .arch = arch, .options = options};
    r = image_check_name(name, err);
    if (r == 0)
        r = image_load_recipe(name, &q->recipe, &text, err);
    if (r < 0 || !text || !q->recipe.name)
        return r;
    if (strcmp(q->recipe.name, name) != 0)
        return err_set(err, -EINVAL, "recipe %s.yaml: its name is '%.60s'", name, q->recipe.name);
    q->suite = options->suite ? options->suite : q->recipe.suite;
    return image_key(text, q->suite, arch, q->key) < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

int image_build(const char *name, enum vm_arch arch, const struct image_options *options,
                struct image *ret_image, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    CLEANUP(image_request) struct image_request q;
    struct err stale;
    int r = image_request(name, arch, options, &q, err);

    if (r == 0)
        r = image_store_open(&s, err);
    if (r == 0 && !options->force && image_open(&s, name, arch, q.key, ret_image, &stale) == 0)
        return 0;
    if (r == 0)
        r = image_store_lock(&s, options->progress, err);
    /* Whoever we waited for may have built it. */
    if (r == 0 && !options->force && image_open(&s, name, arch, q.key, ret_image, &stale) == 0)
        return 0;
    if (r == 0)
        r = image_make(&s, &q, err);
    if (r == 0)
        r = image_open(&s, name, arch, q.key, ret_image, err);
    return r;
}

/* An image of older ingredients is better than none, offline above all. */
static bool image_open_older(const char *name, enum vm_arch arch,
                             const struct image_progress *progress, struct image *ret_image)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    struct err ignored;

    if (image_store_open(&s, &ignored) < 0 ||
        image_open(&s, name, arch, NULL, ret_image, &ignored) < 0)
        return false;
    if (progress && progress->step)
        progress->step(progress->arg, "cannot be brought up to date now; using it as it is");
    return true;
}

int image_resolve(const char *name, enum vm_arch arch, const struct image_progress *progress,
                  struct image *ret_image, struct err *err)
{
    const struct image_options options = {.progress = progress};
    int r = image_build(name, arch, &options, ret_image, err);

    if ((r == -EIO || r == -ENOSPC) && image_open_older(name, arch, progress, ret_image))
        return 0;
    return r;
}

/* Looking and removing */

int image_list(bool (*fn)(void *arg, const struct image *image), void *arg, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    bool go_on = true;
    int r = image_store_open(&s, err);

    for (int a = 0; a < ARCH_COUNT && r == 0 && go_on; a++) {
        CLEANUP(json) json_t *names = NULL;
        const json_t *name;
        size_t i;

        r = image_store_names(&s, a, &names, err);
        json_array_foreach(names, i, name)
        {
            struct image image;
            struct err gone;

            if (!go_on || image_open(&s, json_string_value(name), a, NULL, &image, &gone) < 0)
                continue;
            go_on = fn(arg, &image);
            image_done(&image);
        }
    }
    return r;
}

int image_inspect(const char *name, enum vm_arch arch, json_t **ret_json, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    int r = image_check_name(name, err);

    if (r == 0)
        r = image_store_open(&s, err);
    return r < 0 ? r : image_store_read(&s, arch, name, ret_json, err);
}

int image_remove(const char *name, enum vm_arch arch, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    int r = image_check_name(name, err);

    if (r == 0)
        r = image_store_open(&s, err);
    if (r == 0)
        r = image_store_lock(&s, NULL, err);
    if (r == 0)
        r = image_store_delete(&s, arch, name, err);
    if (r == 0)
        image_store_sweep(&s);
    return r;
}
