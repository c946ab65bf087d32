/* SPDX-License-Identifier: Apache-2.0 */
/* Disks taken into the store. Contract: image/image.h. */
#include "image/import.h"

#include "base/cleanup.h"
#include "image/manifest.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int import_file(struct image_store *s, const char *path, const char *step,
                       const struct image_progress *progress, json_t **ret, struct err *err)
{
    CLEANUP(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char sha256[DIGEST_TEXT];
    struct stat st;
    uint64_t size;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "%s: %s", path, strerror(errno));
    image_say(progress, step);
    r = import_copy(s, fd, "file", (uint64_t)st.st_size, progress, sha256, &size, err);
    return r < 0 ? err_wrap(err, r, "%s", path)
                 : image_store_keep(s, "file", sha256, size, ret, err);
}

static int import_disk_files(struct image_store *s, const struct image_disk *import,
                             json_t *manifest, struct err *err)
{
    const struct {
        const char *key, *path, *step;
    } files[] = {{"disk", import->path, "copying the disk"},
                 {"kernel", import->kernel, "copying the kernel"},
                 {"initrd", import->initrd, "copying the initrd"}};
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++) {
        json_t *object = NULL;

        if (!files[i].path)
            continue;
        r = import_file(s, files[i].path, files[i].step, import->progress, &object, err);
        if (r == 0 && json_object_set_new(manifest, files[i].key, object) < 0)
            r = err_set(err, -ENOMEM, "out of memory");
    }
    return r;
}

int image_import_disk(const struct image_disk *import, struct image *ret_image, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    CLEANUP(json) json_t *manifest = NULL;
    char built[32];
    int r = image_check_name(import->name, err);

    if (r == 0)
        r = image_store_open(&s, err);
    if (r == 0)
        r = image_store_lock(&s, import->progress, err);
    if (r < 0)
        return r;
    manifest_time(built, sizeof(built));
    manifest =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:I}, s:s*}", "name", import->name, "arch",
                  vm_arch_name(import->arch), "kind", image_kind_name(IMAGE_DISK), "built", built,
                  "reference", import->path, "disk_format", import->format, "disk_as_seen", "size",
                  (json_int_t)import->size, "append", import->append);
    r = manifest ? import_disk_files(&s, import, manifest, err)
                 : err_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = image_store_write(&s, import->arch, import->name, manifest, err);
    (void)image_store_sweep(&s);
    if (r < 0)
        return err_wrap(err, r, "image %s", import->name);
    return manifest_open(&s, import->name, import->arch, NULL, ret_image, err);
}
