/* SPDX-License-Identifier: Apache-2.0 */
/* OCI images taken into the store. Contract: image/image.h. */
#include "image/image.h"

#include "base/cleanup.h"
#include "host/file.h"
#include "image/child.h"
#include "image/digest.h"
#include "image/import.h"
#include "image/layer.h"
#include "image/manifest.h"
#include "image/oci.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The blank file system is small, and grows in the guest to the size of its disk. */
enum { BLANK_BYTES = 256 << 20, COPY_CHUNK = 1 << 20 };

static void cleanup_oci(struct oci *oci)
{
    oci_done(oci);
}

/* A new file of the temporary directory. */
int import_new_file(const struct image_store *s, const char *name, char **ret_path, struct err *err)
{
    int fd;

    if (asprintf(ret_path, "%s/%s", s->temp, name) < 0) {
        *ret_path = NULL;
        return err_set(err, -ENOMEM, "out of memory");
    }
    fd = open(*ret_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd < 0 ? err_set(err, -errno, "%s: cannot make it: %s", *ret_path, strerror(errno)) : fd;
}

static int import_write_error(const struct image_store *s, int r, struct err *err)
{
    if (r == -ENOSPC || r == -EDQUOT)
        return err_set(err, -ENOSPC, "no space left on device below %s", s->root);
    return err_set(err, r, "%s: cannot write: %s", s->temp, strerror(-r));
}

int import_copy(const struct image_store *s, int from, const char *name, uint64_t total,
                const struct image_progress *progress, char sha256[DIGEST_TEXT], uint64_t *ret_size,
                struct err *err)
{
    CLEANUP(free) uint8_t *chunk = malloc(COPY_CHUNK);
    CLEANUP(free) char *path = NULL;
    CLEANUP(fd) int to = import_new_file(s, name, &path, err);
    struct digest *d = chunk ? digest_new() : NULL;
    uint64_t size = 0;
    ssize_t n = 0;
    int r = 0;

    if (to < 0 || !d) {
        if (d)
            digest_end(d, sha256);
        return to < 0 ? to : err_set(err, -ENOMEM, "out of memory");
    }
    while (r == 0 && (n = read(from, chunk, COPY_CHUNK)) > 0) {
        bool zero = !chunk[0] && memcmp(chunk, chunk + 1, (size_t)n - 1) == 0;

        digest_add(d, chunk, (size_t)n);
        if (zero)
            r = lseek(to, n, SEEK_CUR) < 0 ? -errno : 0;
        else
            r = file_write_all(to, chunk, (size_t)n);
        size += (uint64_t)n;
        if (progress && progress->amount && total)
            progress->amount(progress->arg, (unsigned)(size < total ? size * 100 / total : 100));
    }
    digest_end(d, sha256);
    if (r == 0 && n < 0)
        return err_set(err, -errno, "cannot be read: %s", strerror(errno));
    if (r == 0 && ftruncate(to, (off_t)size) < 0)
        r = -errno;
    *ret_size = size;
    return r < 0 ? import_write_error(s, r, err) : 0;
}

/* --- layers --- */

/* One layer into the store, unless it is there: {"sha256", "size", "diff_id", "media"}. */
static int import_layer(struct image_store *s, const struct oci *oci, unsigned i,
                        const struct image_progress *progress, json_t **ret, struct err *err)
{
    const struct oci_layer *l = &oci->layers[i];
    CLEANUP(json)
    json_t *known = json_pack("{s:s, s:I}", "sha256", l->sha256, "size", (json_int_t)l->size);
    CLEANUP(free) char *there = image_store_path(s, known);
    CLEANUP(fd) int fd = -1;
    char sha256[DIGEST_TEXT], step[64];
    uint64_t size = 0;
    int r;

    if (there) { /* under that digest: the same bytes */
        struct stat st;

        if (stat(there, &st) < 0 || (uint64_t)st.st_size != l->size)
            return err_set(err, -EINVAL, "layer %u of %u: is not what its digest and size say",
                           i + 1, oci->count);
        *ret = TAKE(known);
        r = 0;
    } else {
        (void)snprintf(step, sizeof(step), "copying layer %u of %u", i + 1, oci->count);
        image_say(progress, step);
        fd = oci_open_blob(oci->dir_fd, l->path);
        if (fd < 0)
            return err_set(err, fd == -ENOENT ? -EINVAL : fd, "layer %u of %u: its blob %s", i + 1,
                           oci->count, oci_blob_error(fd));
        r = import_copy(s, fd, "blob", l->size, progress, sha256, &size, err);
        if (r == 0 && l->sha256[0] && (strcmp(sha256, l->sha256) != 0 || size != l->size))
            r = err_set(err, -EINVAL, "layer %u of %u: is not what its digest and size say", i + 1,
                        oci->count);
        if (r == 0)
            r = image_store_keep(s, "blob", sha256, size, ret, err);
    }
    if (r == 0 && json_object_update_new(
                      *ret, json_pack("{s:s, s:s}", "diff_id", l->diff_id, "media", l->media)) < 0)
        r = err_set(err, -ENOMEM, "out of memory");
    return r;
}

void import_close_layers(struct layer *layers, unsigned count)
{
    for (unsigned i = 0; layers && i < count; i++)
        if (layers[i].fd >= 0)
            (void)close(layers[i].fd);
    free(layers);
}

/* Opens an image's layers; NULL with err set. */
struct layer *import_open_layers(const struct image_layer *from, unsigned count, struct err *err)
{
    struct layer *layers = calloc(count + 1, sizeof(*layers));

    if (!layers) {
        (void)err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    for (unsigned i = 0; i < count; i++)
        layers[i].fd = -1;
    for (unsigned i = 0; i < count; i++) {
        layers[i] = (struct layer){.name = from[i].path,
                                   .fd = open(from[i].path, O_RDONLY | O_CLOEXEC),
                                   .size = from[i].bytes,
                                   .sha256 = from[i].sha256,
                                   .diff_id = from[i].diff_id};
        if (layers[i].fd < 0 || oci_packing(from[i].media, &layers[i].kind) < 0) {
            (void)err_set(err, -EIO, "layer %u of %u: cannot be opened", i + 1, count);
            import_close_layers(layers, count);
            return NULL;
        }
    }
    return layers;
}

/* --- the empty file system for a guest's changes --- */

static int import_blank(struct image_store *s, json_t **ret, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(fd) int fd = import_new_file(s, "blank", &path, err);
    /* The same each time, so that all images share one. */
    const char *const argv[] = {"/sbin/mke2fs",
                                "-q",
                                "-F",
                                "-t",
                                "ext4",
                                "-b",
                                "4096",
                                "-i",
                                "16384",
                                "-L",
                                "changes",
                                "-U",
                                "70736164-6100-4000-8000-000000000001",
                                "-E",
                                "hash_seed=70736164-6100-4000-8000-000000000002,"
                                "lazy_itable_init=1,nodiscard,root_owner=0:0",
                                "-J",
                                "size=16",
                                path,
                                NULL};
    struct child c = {.argv = argv};
    char line[200] = "unknown cause";
    int r;

    if (fd < 0)
        return fd;
    if (ftruncate(fd, BLANK_BYTES) < 0)
        return import_write_error(s, -errno, err);
    (void)setenv("E2FSPROGS_FAKE_TIME", "1700000000", 1);
    r = child_run(&c, err);
    (void)unsetenv("E2FSPROGS_FAKE_TIME");
    if (r == -ENOENT)
        return err_set(err, -EIO, "mke2fs is missing on this host: install e2fsprogs");
    if (r > 0) {
        (void)child_error_line(&c, "mke2fs: ", line, sizeof(line));
        return err_set(err, -EIO, "mke2fs: %s", line);
    }
    return r < 0 ? r : image_store_take(s, "blank", ret, err);
}

/* The one that another image has. */
static json_t *import_find_blank(const struct image_store *s)
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

            if (image_store_read(s, (enum vm_arch)a, json_string_value(name), &m, &ignored) < 0)
                continue;
            path = image_store_object(s, m, "blank");
            if (path)
                return json_incref(json_object_get(m, "blank"));
        }
    }
    return NULL;
}

/* --- the root --- */

static int import_root(struct image_store *s, const json_t *manifest,
                       const struct image_import *import, json_t **ret, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(fd) int fd = -1;
    struct image_layer from[IMAGE_LAYERS_MAX];
    const json_t *list = json_object_get(manifest, "layers"), *item;
    struct layer *layers;
    unsigned n = 0;
    size_t i;
    int r;

    json_array_foreach(list, i, item)
    {
        from[n++] = (struct image_layer){
            .path = image_store_path(s, item),
            .sha256 = (char *)(uintptr_t)json_string_value(json_object_get(item, "sha256")),
            .diff_id = (char *)(uintptr_t)json_string_value(json_object_get(item, "diff_id")),
            .media = (char *)(uintptr_t)json_string_value(json_object_get(item, "media")),
            .bytes = (uint64_t)json_integer_value(json_object_get(item, "size"))};
    }
    image_say(import->progress, "making the root of its layers");
    layers = import_open_layers(from, n, err);
    fd = layers ? import_new_file(s, "root", &path, err) : err->code;
    r = fd < 0 ? fd : layer_make_erofs(layers, n, LAYER_APPLY, fd, import->progress, err);
    import_close_layers(layers, n);
    for (unsigned k = 0; k < n; k++)
        free(from[k].path);
    return r < 0 ? r : image_store_take(s, "root", ret, err);
}

static int import_take(struct image_store *s, const struct oci *oci,
                       const struct image_import *import, struct err *err)
{
    CLEANUP(json) json_t *root = NULL;
    CLEANUP(json) json_t *blank = import_find_blank(s);
    CLEANUP(json) json_t *layers = json_array();
    CLEANUP(json) json_t *manifest = NULL;
    char built[32];
    int r = 0;

    for (unsigned i = 0; r == 0 && i < oci->count; i++) {
        json_t *layer = NULL;

        r = import_layer(s, oci, i, import->progress, &layer, err);
        if (r == 0 && json_array_append_new(layers, layer) < 0)
            r = err_set(err, -ENOMEM, "out of memory");
    }
    manifest_time(built, sizeof(built));
    manifest =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:O, s:O}", "name", import->name, "arch",
                  vm_arch_name(import->arch), "kind", image_kind_name(IMAGE_ROOT), "built", built,
                  "reference", import->path, "digest", oci->digest[0] ? oci->digest : NULL,
                  "process", oci->process, "layers", layers);
    if (r == 0 && !manifest)
        r = err_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = import_root(s, manifest, import, &root, err);
    if (r == 0 && !blank)
        r = import_blank(s, &blank, err);
    if (r < 0)
        return r;
    if (json_object_set(manifest, "root", root) < 0 ||
        json_object_set(manifest, "blank", blank) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    return image_store_write(s, import->arch, import->name, manifest, err);
}

/* --- sources --- */

static int import_dir(struct image_store *s, int dir_fd, bool docker, const char *tag,
                      const struct image_import *import, struct err *err)
{
    CLEANUP(oci) struct oci oci = {.dir_fd = -1};
    int r = docker ? oci_open_docker(dir_fd, tag, import->arch, &oci, err)
                   : oci_open_layout(dir_fd, tag, import->arch, &oci, err);

    return r < 0 ? r : import_take(s, &oci, import, err);
}

static int import_temp_dir(const struct image_store *s, const char *name, char **ret_path,
                           struct err *err)
{
    int fd;

    if (asprintf(ret_path, "%s/%s", s->temp, name) < 0) {
        *ret_path = NULL;
        return err_set(err, -ENOMEM, "out of memory");
    }
    if (mkdir(*ret_path, 0700) < 0)
        return err_set(err, -errno, "%s: %s", *ret_path, strerror(errno));
    fd = open(*ret_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set(err, -errno, "%s: %s", *ret_path, strerror(errno)) : fd;
}

/* An archive is unpacked as a layer is: what is wrong in it goes nowhere. */
static int import_archive(struct image_store *s, const struct image_import *import, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(fd) int fd = open(import->path, O_RDONLY | O_CLOEXEC);
    CLEANUP(fd) int dir = -1;
    struct layer layer = {.name = import->path, .fd = fd};
    uint8_t magic[4] = {0};
    struct stat st;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, -errno, "%s: %s", import->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(err, -EINVAL, "%s: is no archive", import->path);
    if (pread(fd, magic, sizeof(magic), 0) == sizeof(magic) && magic[0] == 0x1f && magic[1] == 0x8b)
        layer.kind = UNPACK_GZIP;
    layer.size = (uint64_t)st.st_size;
    dir = import_temp_dir(s, "archive", &path, err);
    if (dir < 0)
        return dir;
    image_say(import->progress, "unpacking the archive");
    r = layer_make_dir(&layer, 1, dir, import->progress, err);
    if (r < 0)
        return err_wrap(err, r, "the archive");
    return import_dir(s, dir, import->source == IMAGE_FROM_DOCKER_ARCHIVE, import->tag, import,
                      err);
}

static int import_layout(struct image_store *s, const struct image_import *import, struct err *err)
{
    CLEANUP(fd) int dir = open(import->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dir < 0 && errno == ENOTDIR)
        return err_set(err, -EINVAL, "%s: is no folder, so no OCI layout", import->path);
    if (dir < 0)
        return err_set(err, -errno, "%s: %s", import->path, strerror(errno));
    return import_dir(s, dir, false, import->tag, import, err);
}

/* --- registries --- */

/* What skopeo says is a line of a log, its quotes quoted; its end is the cause. */
static void import_skopeo_line(const struct child *c, char *line, size_t size)
{
    const char *text = strstr(c->errors, "msg=\""), *end;
    size_t n = 0;

    text = text ? text + 5 : c->errors;
    end = strrchr(text, '"');
    end = end && end > text ? end : text + strcspn(text, "\n");
    for (; text < end && n + 1 < size; text++)
        if (*text != '\\')
            line[n++] = *text;
    line[n] = '\0';
}

static int import_skopeo_error(const struct child *c, struct err *err)
{
    char line[300];

    import_skopeo_line(c, line, sizeof(line));
    if (strstr(line, "manifest unknown") || strstr(line, "name unknown") ||
        strstr(line, "not found"))
        return err_set(err, -ENOENT, "the registry has no such image");
    if (strstr(line, "no image found in manifest list") || strstr(line, "no image found in image"))
        return err_set(err, -ENOENT, "the registry has it for other architectures only");
    if (strstr(line, "unauthorized") || strstr(line, "denied"))
        return err_set(err, -EACCES, "the registry wants a login (skopeo login HOST)");
    if (strstr(line, "no space left"))
        return err_set(err, -ENOSPC, "no space left on device");
    if (strstr(line, "http: server gave HTTP response") || strstr(line, "certificate"))
        return err_set(err, -EIO, "no trusted TLS there; --plain does without: %s", line);
    return err_set(err, -EIO, "cannot be fetched; check the network and the name: %s", line);
}

struct import_fetch {
    const struct image_progress *progress;
    int dir; /* skopeo's layout: blobs lie below blobs/sha256, unfinished ones in itself */
    uint64_t bytes;
};

static uint64_t import_bytes_in(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    uint64_t bytes = 0;
    struct stat st;

    if (fd >= 0 && !dir)
        (void)close(fd);
    while (dir && (e = readdir(dir)))
        if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
            bytes += (uint64_t)st.st_size;
    if (dir)
        (void)closedir(dir);
    return bytes;
}

static void import_fetch_tick(void *arg)
{
    struct import_fetch *f = arg;
    uint64_t bytes = import_bytes_in(f->dir, ".") + import_bytes_in(f->dir, "blobs/sha256");
    char text[32];

    if (bytes == f->bytes || !f->progress || !f->progress->note)
        return;
    f->bytes = bytes;
    (void)snprintf(text, sizeof(text), "%.1f MB", (double)bytes / 1e6);
    f->progress->note(f->progress->arg, text);
}

static int import_registry(struct image_store *s, const struct image_import *import,
                           struct err *err)
{
    CLEANUP(free) char *path = NULL;
    CLEANUP(fd) int dir = import_temp_dir(s, "layout", &path, err);
    CLEANUP(free) char *from = NULL;
    CLEANUP(free) char *to = NULL;
    const char *argv[20];
    struct import_fetch fetch = {.progress = import->progress, .dir = dir};
    struct child c = {.argv = argv, .tick = import_fetch_tick, .arg = &fetch};
    unsigned n = 0;
    int r;

    if (dir < 0)
        return dir;
    if (asprintf(&from, "docker://%s", import->path) < 0 || asprintf(&to, "oci:%s:image", path) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    argv[n++] = "skopeo";
    argv[n++] = "--insecure-policy"; /* digests are checked here; signatures are not asked for */
    argv[n++] = "--override-os";
    argv[n++] = "linux";
    argv[n++] = "--override-arch";
    argv[n++] = vm_arch_debian_name(import->arch);
    argv[n++] = "copy";
    argv[n++] = "-q";
    if (import->plain)
        argv[n++] = "--src-tls-verify=false";
    argv[n++] = from;
    argv[n++] = to;
    argv[n] = NULL;
    image_say(import->progress, "fetching");
    r = child_run(&c, err);
    if (r == -ENOENT)
        return err_set(err, -EIO, "skopeo is missing on this host: apt-get install skopeo");
    if (r > 0)
        return import_skopeo_error(&c, err);
    return r < 0 ? r : import_dir(s, dir, false, NULL, import, err);
}

/* The image's manifest in the store; NULL: there is none. */
static json_t *import_manifest(const struct image_store *s, const struct image_import *import)
{
    json_t *manifest = NULL;
    struct err ignored;

    return image_store_read(s, import->arch, import->name, &manifest, &ignored) < 0 ? NULL
                                                                                    : manifest;
}

/* Whether somebody pulled the same while we waited for him. */
static bool import_came_meanwhile(const struct image_store *s, const struct image_import *import,
                                  const json_t *before)
{
    CLEANUP(json) json_t *now = NULL;
    const char *reference;

    if (!s->waited || import->source != IMAGE_FROM_REGISTRY)
        return false;
    now = import_manifest(s, import);
    reference = json_string_value(json_object_get(now, "reference"));
    return reference && strcmp(reference, import->path) == 0 &&
           !(before && json_equal(now, (json_t *)(uintptr_t)before));
}

int image_import_oci(const struct image_import *import, struct image *ret_image, struct err *err)
{
    CLEANUP(image_store) struct image_store s = {.root_fd = -1, .lock_fd = -1};
    CLEANUP(json) json_t *before = NULL;
    int r = image_check_name(import->name, err);

    if (r == 0)
        r = image_store_open(&s, err);
    if (r < 0)
        return r;
    before = import_manifest(&s, import);
    r = image_store_lock(&s, import->progress, err);
    if (r < 0)
        return r;
    if (import_came_meanwhile(&s, import, before))
        return manifest_open(&s, import->name, import->arch, NULL, ret_image, err);
    switch (import->source) {
    case IMAGE_FROM_LAYOUT: r = import_layout(&s, import, err); break;
    case IMAGE_FROM_OCI_ARCHIVE:
    case IMAGE_FROM_DOCKER_ARCHIVE: r = import_archive(&s, import, err); break;
    case IMAGE_FROM_REGISTRY: r = import_registry(&s, import, err); break;
    }
    (void)image_store_sweep(&s); /* what a replaced or a failed one leaves */
    if (r < 0)
        return err_wrap(err, r, "image %s", import->name);
    return manifest_open(&s, import->name, import->arch, NULL, ret_image, err);
}
