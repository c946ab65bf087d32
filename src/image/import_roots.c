/* SPDX-License-Identifier: Apache-2.0 */
/* Roots of OCI images for containers: layer by layer, or as a directory. Contract: image/image.h.
 */
#include "image/import.h"

#include "base/cleanup.h"
#include "host/file.h"
#include "image/layer.h"
#include "image/manifest.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int import_layer_root(struct image_store *s, const struct image_layer *from,
                             const struct image_progress *progress, json_t **ret, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(fd) int fd = import_new_file(s, "layer", &path, err);
    struct layer *layer = fd < 0 ? NULL : import_open_layers(from, 1, err);
    int r = fd < 0 ? fd : layer ? 0 : err->code;

    if (r == 0)
        r = layer_make_erofs(layer, 1, LAYER_KEEP, fd, progress, err);
    import_close_layers(layer, layer ? 1 : 0);
    return r < 0 ? r : image_store_take(s, "layer", ret, err);
}

/* A layer's root as some image in the store has it: the same layer is made once. */
static json_t *import_find_layer_root(const struct image_store *s, const char *diff_id)
{
    for (int a = 0; a < ARCH_COUNT; a++) {
        CLEANUP(json) json_t *names = NULL;
        const json_t *name;
        struct err ignored;
        size_t i;

        if (image_store_names(s, (enum vm_arch)a, &names, &ignored) < 0)
            continue;
        json_array_foreach(names, i, name)
        {
            CLEANUP(json) json_t *m = NULL;
            CLEANUP(free) char *path = NULL;
            json_t *object;

            if (image_store_read(s, (enum vm_arch)a, json_string_value(name), &m, &ignored) < 0)
                continue;
            object = json_object_get(json_object_get(m, "layer_roots"), diff_id);
            path = image_store_path(s, object);
            if (path)
                return json_incref(object);
        }
    }
    return NULL;
}

static int import_all_layer_roots(struct image_store *s, const struct image *image,
                                  const struct image_progress *progress, json_t **ret,
                                  struct err *err)
{
    CLEANUP(json) json_t *roots = json_object();
    int r = roots ? 0 : err_set(err, -ENOMEM, "out of memory");

    for (unsigned i = 0; r == 0 && i < image->layer_count; i++) {
        json_t *root = import_find_layer_root(s, image->layers[i].diff_id);
        char step[64];

        (void)snprintf(step, sizeof(step), "making layer %u of %u", i + 1, image->layer_count);
        if (!root) {
            image_say(progress, step);
            r = import_layer_root(s, &image->layers[i], progress, &root, err);
        }
        if (r == 0 && json_object_set_new(roots, image->layers[i].diff_id, root) < 0)
            r = err_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0)
        *ret = TAKE(roots);
    return r;
}

/* Paths of the layers' roots, or NULL when one is missing. */
static char **import_layer_paths(const struct image_store *s, const struct image *image,
                                 const json_t *roots)
{
    char **paths = calloc((size_t)image->layer_count + 1, sizeof(*paths));

    for (unsigned i = 0; paths && i < image->layer_count; i++) {
        paths[i] = image_store_path(s, json_object_get(roots, image->layers[i].diff_id));
        if (paths[i])
            continue;
        while (i-- > 0)
            free(paths[i]);
        free(paths);
        return NULL;
    }
    return paths;
}

int image_mountable_layers(const struct image *image, const struct image_progress *progress,
                           char ***ret_paths, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    CLEANUP(json) json_t *manifest = NULL;
    json_t *roots = NULL;
    int r = image->kind == IMAGE_ROOT
                ? image_store_open(&s, err)
                : err_set(err, -EINVAL, "image '%s': has no layers", image->name);

    if (r == 0)
        r = image_store_read(&s, image->arch, image->name, &manifest, err);
    if (r < 0)
        return r;
    *ret_paths = import_layer_paths(&s, image, json_object_get(manifest, "layer_roots"));
    if (*ret_paths)
        return 0;
    r = image_store_lock(&s, progress, err);
    if (r == 0)
        r = import_all_layer_roots(&s, image, progress, &roots, err);
    if (r == 0 && json_object_set_new(manifest, "layer_roots", roots) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = image_store_write(&s, image->arch, image->name, manifest, err);
    if (r < 0)
        return err_wrap(err, r, "image %s", image->name);
    *ret_paths = import_layer_paths(&s, image, json_object_get(manifest, "layer_roots"));
    return *ret_paths ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int image_unpack_root(const struct image *image, int dir_fd, const struct image_progress *progress,
                      struct err *err)
{
    struct layer *layers = import_open_layers(image->layers, image->layer_count, err);
    int r = layers ? layer_make_dir(layers, image->layer_count, dir_fd, progress, err) : err->code;

    import_close_layers(layers, image->layer_count);
    return r < 0 ? err_wrap(err, r, "image %s", image->name) : 0;
}

/* --- kept unpacked --- */

static int import_tree_failed(const struct image *image, const char *path, int code,
                              struct err *err)
{
    return err_set(err, -code, "image %s: %s: %s", image->name, path, strerror(code));
}

/* Without its mark (what guests link) somebody was about to remove it and was killed. */
static bool import_tree_is_whole(const char *path)
{
    CLEANUP(free) char *used = NULL;

    return asprintf(&used, "%s.used", path) >= 0 && access(used, F_OK) == 0 &&
           access(path, F_OK) == 0;
}

/* Lock held: in the temporary directory, then whole under its name. */
static int import_make_tree(struct image_store *s, const struct image *image, const char *path,
                            const struct image_progress *progress, struct err *err)
{
    CLEANUP(free) char *temp = NULL;
    CLEANUP(free) char *used = NULL;
    CLEANUP(fd) int fd = -1;
    CLEANUP(fd) int mark = -1;
    struct stat st;
    int r;

    if (asprintf(&temp, "%s/tree", s->temp) < 0 || asprintf(&used, "%s.used", path) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (mkdir(temp, 0755) < 0 || (fd = open(temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return import_tree_failed(image, temp, errno, err);
    image_say(progress, "unpacking its root");
    r = image_unpack_root(image, fd, progress, err);
    if (r < 0)
        return r;
    (void)!file_remove_tree(AT_FDCWD, path, NULL);
    mark = open(used, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    /* One that may not be written to cannot be moved, for its ".." changes. */
    if (mark < 0 || fstat(fd, &st) < 0 || fchmod(fd, (st.st_mode | 0700) & 07777) < 0 ||
        rename(temp, path) < 0 || fchmod(fd, st.st_mode & 07777) < 0)
        return import_tree_failed(image, path, errno, err);
    return 0;
}

int image_unpacked(const struct image *image, const struct image_progress *progress,
                   char **ret_path, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    const char *slash = image->root ? strrchr(image->root, '/') : NULL;
    CLEANUP(free) char *path = NULL;
    int r = slash ? image_store_open(&s, err)
                  : err_set(err, -EINVAL, "image '%s': has no layers", image->name);

    if (r < 0)
        return r;
    if (asprintf(&path, "%s/trees/%s", s.root, slash + 1) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (mkdirat(s.root_fd, "trees", 0711) < 0 && errno != EEXIST)
        return import_tree_failed(image, path, errno, err);
    if (!import_tree_is_whole(path)) {
        r = image_store_lock(&s, progress, err);
        if (!r && !import_tree_is_whole(path)) /* whoever we waited for may have made it */
            r = import_make_tree(&s, image, path, progress, err);
    }
    if (!r)
        *ret_path = TAKE(path);
    return r;
}
