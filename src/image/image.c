/* SPDX-License-Identifier: Apache-2.0 */
/* Images by name: from manifest to paths, and from recipe to manifest. Contract: image/image.h. */
#include "image/image.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "host/file.h"
#include "image/build.h"
#include "image/build_root.h"
#include "image/digest.h"
#include "image/manifest.h"
#include "image/resource.h"
#include "image/store.h"
#include "image/tree_dir.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { RECIPE_MAX = 256 * 1024, IMAGE_FORMAT = 2 };

static void cleanup_apt(struct apt *a)
{
    apt_close(a);
}

/* Names and recipes */

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

/* What an image is made from, other than the packages: a difference means building again. root:
 * of the root on a disk alone, which takes long to make and does not hold init. */
static int image_key(const char *recipe_text, const char *suite, enum vm_arch arch, bool root,
                     char key[DIGEST_TEXT])
{
    struct digest *d = digest_new();
    const uint8_t format = IMAGE_FORMAT;

    if (!d)
        return -ENOMEM;
    digest_add(d, &format, 1);
    digest_add(d, recipe_text, strlen(recipe_text) + 1);
    digest_add(d, suite, strlen(suite) + 1);
    if (!root) {
        image_key_program(d, "init", arch);
        image_key_program(d, "agent", arch);
    }
    digest_end(d, key);
    return 0;
}

/* Manifests */

static int image_add_packages(json_t *list, const struct apt_package *packages, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct apt_package *p = &packages[i];

        if (json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", p->name, "version",
                                                  p->version, "sha256", p->sha256)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* --- building --- */

struct image_request {
    const char *name; /* NAME or NAME:SUITE */
    enum vm_arch arch;
    struct recipe recipe;
    const struct image_options *options;
    char suite[64];
    char key[DIGEST_TEXT], root_key[DIGEST_TEXT];
};

static void cleanup_image_request(struct image_request *q)
{
    recipe_done(&q->recipe);
}

static json_t *image_manifest(const struct image_request *q, const struct build *b, json_t *kernel,
                              json_t *initrd, json_t *disk)
{
    const struct recipe *recipe = &q->recipe;
    json_t *packages = json_array(), *manifest;
    char built[32];

    manifest_time(built, sizeof(built));
    if (image_add_packages(packages, b->package, BUILD_PACKAGES) < 0 ||
        image_add_packages(packages, b->root_package, b->root_count) < 0) {
        json_decref(packages);
        return NULL;
    }
    manifest = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:O, s:O}", "name", q->name, "arch",
        vm_arch_name(b->arch), "kind", image_kind_name(disk ? IMAGE_DISK : IMAGE_MEMORY), "summary",
        recipe->summary, "suite", b->apt->suite, "built", built, "release", b->release, "append",
        recipe->append[b->arch] ? recipe->append[b->arch] : "", "key", q->key, "kernel", kernel,
        "initrd", initrd);
    if (manifest && disk)
        (void)json_object_update_new(manifest,
                                     json_pack("{s:O, s:s, s:s}", "disk", disk, "disk_format",
                                               "qcow2", "root_key", q->root_key));
    if (manifest)
        (void)json_object_set_new(manifest, "packages", packages);
    return manifest;
}

/* The disk of the image that is there, if it is made of the same and fits the kernel. */
static json_t *image_same_disk(const struct image_store *s, const struct image_request *q,
                               const struct build *b)
{
    CLEANUP(json) json_t *old = NULL;
    CLEANUP(free) char *path = NULL;
    struct err ignored;
    const char *key, *release;

    if (q->options->force || image_store_read(s, q->arch, q->name, &old, &ignored) < 0)
        return NULL;
    key = json_string_value(json_object_get(old, "root_key"));
    release = json_string_value(json_object_get(old, "release"));
    path = image_store_object(s, old, "disk");
    if (!key || !release || !path || strcmp(key, q->root_key) != 0 ||
        strcmp(release, b->release) != 0)
        return NULL;
    return json_incref(json_object_get(old, "disk"));
}

static int image_second_stage(struct image_store *s, const struct image_request *q,
                              const struct image_plan *plan, struct err *err)
{
    CLEANUP(free) char *files = NULL;
    char *path[4];
    static const char *const names[] = {BUILD_KERNEL, BUILD_INITRD, BUILD_STAGE, BUILD_ROOT};
    size_t room = strlen(s->temp) + 32;
    struct image_stage stage = {.arch = q->arch,
                                .plan = *plan,
                                .script = plan->here ? build_second_stage_here : build_second_stage,
                                .temp = s->temp,
                                .progress = q->options->progress};

    files = calloc(ARRAY_LEN(names), room);
    if (!files)
        return err_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        path[i] = files + i * room;
        (void)snprintf(path[i], room, "%s/%s", s->temp, names[i]);
    }
    stage.kernel = path[0];
    stage.initrd = path[1];
    stage.image = stage.dir = path[2];
    stage.disk = path[3];
    return q->options->run_stage(&stage, err);
}

static int image_make_disk(struct image_store *s, const struct image_request *q, struct build *b,
                           json_t **ret_disk, struct err *err)
{
    struct image_plan plan = {0};
    struct tree_owner owner;
    int r;

    *ret_disk = image_same_disk(s, q, b);
    if (*ret_disk)
        return 0;
    r = q->options->plan_stage(q->arch, &plan, err);
    owner = (struct tree_owner){plan.uid, plan.gid};
    if (r == 0)
        r = build_stage(b, plan.here ? &owner : NULL, err);
    if (r == 0)
        r = image_second_stage(s, q, &plan, err);
    return r < 0 ? r : image_store_take(s, BUILD_ROOT, ret_disk, err);
}

static int image_keep(struct image_store *s, const struct image_request *q, struct build *b,
                      struct err *err)
{
    CLEANUP(json) json_t *kernel = NULL;
    CLEANUP(json) json_t *initrd = NULL;
    CLEANUP(json) json_t *disk = NULL;
    CLEANUP(json) json_t *manifest = NULL;
    int r = q->recipe.package_count ? image_make_disk(s, q, b, &disk, err) : 0;

    if (r == 0)
        r = image_store_take(s, BUILD_KERNEL, &kernel, err);
    if (r == 0)
        r = image_store_take(s, BUILD_INITRD, &initrd, err);
    if (r < 0)
        return r;
    manifest = image_manifest(q, b, kernel, initrd, disk);
    if (!manifest)
        return err_set(err, -ENOMEM, "image %s: out of memory", q->name);
    r = image_store_write(s, q->arch, q->name, manifest, err);
    if (r == 0)
        (void)image_store_sweep(s);
    return r;
}

static int image_make(struct image_store *s, const struct image_request *q, struct err *err)
{
    CLEANUP(apt) struct apt apt = {0};
    struct build b = {.recipe = &q->recipe, .arch = q->arch, .temp = s->temp, .apt = &apt};
    int r = apt_open(&apt, q->suite, q->arch, q->options->mirror, q->options->progress, err);

    if (r == 0)
        r = build_run(&b, q->options->force, err);
    if (r == 0)
        r = image_keep(s, q, &b, err);
    if (r == 0) {
        apt_forget_older(&apt, b.package, BUILD_PACKAGES);
        apt_forget_older(&apt, b.root_package, b.root_count);
    }
    build_done(&b);
    return r < 0 ? err_wrap(err, r, "image %s (%s)", q->name, vm_arch_name(q->arch)) : 0;
}

/* Packages configure themselves, on a processor of their own kind. */
static int image_can_make(const struct image_request *q, struct err *err)
{
    struct err why = {.text = "this program builds none"};
    struct image_plan plan;

    if (!q->recipe.package_count)
        return 0;
    if (q->options->plan_stage && q->options->plan_stage(q->arch, &plan, &why) == 0)
        return 0;
    return err_set(err, -EOPNOTSUPP,
                   "image %s (%s): its packages are configured by their own programs, which "
                   "nothing runs here: %s",
                   q->name, vm_arch_debian_name(q->arch), why.text);
}

static int image_request(const char *name, enum vm_arch arch, const struct image_options *options,
                         struct image_request *q, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    char recipe[IMAGE_NAME_MAX + 1];
    const char *colon = strchr(name, ':');
    int r;

    *q = (struct image_request){.name = name, .arch = arch, .options = options};
    r = image_check_name(name, err);
    if (r < 0)
        return r;
    (void)snprintf(recipe, sizeof(recipe), "%.*s", (int)strcspn(name, ":"), name);
    if (strlen(recipe) > VM_NAME_MAX || strchr(recipe, '/'))
        return image_unknown(name, err);
    r = image_load_recipe(recipe, &q->recipe, &text, err);
    if (r < 0 || !text || !q->recipe.name)
        return r;
    if (strcmp(q->recipe.name, recipe) != 0)
        return err_set(err, -EINVAL, "recipe %s.yaml: its name is '%.60s'", recipe, q->recipe.name);
    (void)snprintf(q->suite, sizeof(q->suite), "%s",
                   options->suite ? options->suite
                   : colon        ? colon + 1
                                  : q->recipe.suite);
    if (image_key(text, q->suite, arch, false, q->key) < 0 ||
        image_key(text, q->suite, arch, true, q->root_key) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return 0;
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
    if (r == 0 && !options->force && manifest_open(&s, name, arch, q.key, ret_image, &stale) == 0)
        return 0;
    if (r == 0)
        r = image_can_make(&q, err);
    if (r == 0)
        r = image_store_lock(&s, options->progress, err);
    /* Whoever we waited for may have built it. */
    if (r == 0 && !options->force && manifest_open(&s, name, arch, q.key, ret_image, &stale) == 0)
        return 0;
    if (r == 0)
        r = image_make(&s, &q, err);
    if (r == 0)
        r = manifest_open(&s, name, arch, q.key, ret_image, err);
    return r;
}

int image_find(const char *name, enum vm_arch arch, struct image *ret_image, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    int r = image_check_name(name, err);

    if (r == 0)
        r = image_store_open(&s, err);
    return r < 0 ? r : manifest_open(&s, name, arch, NULL, ret_image, err);
}

/* An image of older ingredients is better than none, offline above all. */
static bool image_open_older(const char *name, enum vm_arch arch,
                             const struct image_progress *progress, struct image *ret_image)
{
    struct err ignored;

    if (image_find(name, arch, ret_image, &ignored) < 0)
        return false;
    image_say(progress, "cannot be brought up to date now; using it as it is");
    return true;
}

/* Whether the name is of something that no recipe makes: pulled or imported. */
static bool image_is_given(const char *name, enum vm_arch arch, struct image *ret_image)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    CLEANUP(json) json_t *manifest = NULL;
    struct err ignored;

    if (image_store_open(&s, &ignored) < 0 ||
        image_store_read(&s, arch, name, &manifest, &ignored) < 0 ||
        json_object_get(manifest, "key"))
        return false;
    return manifest_read(&s, name, arch, manifest, ret_image, &ignored) == 0;
}

int image_resolve(const char *name, enum vm_arch arch, const struct image_options *options,
                  struct image *ret_image, struct err *err)
{
    int r = image_check_name(name, err);

    if (r < 0 || image_is_given(name, arch, ret_image))
        return r;
    r = image_build(name, arch, options, ret_image, err);
    if ((r == -EIO || r == -ENOSPC) && image_open_older(name, arch, options->progress, ret_image))
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

            if (!go_on || manifest_open(&s, json_string_value(name), a, NULL, &image, &gone) < 0)
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

int image_remove(const char *name, enum vm_arch arch, const struct image_progress *progress,
                 struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    int r = image_check_name(name, err);

    if (r == 0)
        r = image_store_open(&s, err);
    if (r == 0)
        r = image_store_has(&s, arch, name, err);
    if (r == 0)
        r = image_store_lock(&s, progress, err);
    if (r == 0)
        r = image_store_delete(&s, arch, name, err);
    if (r == 0)
        (void)image_store_sweep(&s);
    return r;
}

/* Names first: removing while walking would lose the place. */
static int image_prune_arch(struct image_store *s, enum vm_arch arch,
                            bool (*wanted)(void *arg, const struct image *image), void *arg,
                            struct err *err)
{
    CLEANUP(json) json_t *names = NULL;
    const json_t *name;
    size_t i;
    int r = image_store_names(s, arch, &names, err);

    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        struct image image;
        struct err ignored;
        bool keep;

        if (r < 0 || manifest_open(s, text, arch, NULL, &image, &ignored) < 0)
            continue;
        keep = wanted(arg, &image);
        image_done(&image);
        if (!keep)
            r = image_store_delete(s, arch, text, err);
    }
    return r;
}

int image_prune(bool (*wanted)(void *arg, const struct image *image), void *arg,
                int (*clear)(int dir_fd, const char *name, struct err *err),
                const struct image_progress *progress, uint64_t *ret_bytes, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    int r = image_store_open(&s, err);

    if (r == 0)
        r = image_store_lock(&s, progress, err);
    for (int a = 0; a < ARCH_COUNT && r == 0 && wanted; a++)
        r = image_prune_arch(&s, (enum vm_arch)a, wanted, arg, err);
    if (r == 0)
        image_store_clear(&s, clear);
    if (r == 0)
        *ret_bytes = image_store_sweep(&s);
    return r;
}
