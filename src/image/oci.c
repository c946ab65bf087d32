/* SPDX-License-Identifier: Apache-2.0 */
/* Reading OCI layouts and docker archives. Contract: image/oci.h. */
#include "image/oci.h"

#include "base/cleanup.h"
#include "image/digest.h"
#include "image/manifest.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OCI_JSON_MAX = 4 << 20, OCI_INDEX_DEPTH = 3, OCI_STRINGS_MAX = 4096 };

void oci_done(struct oci *oci)
{
    json_decref(oci->process);
    for (unsigned i = 0; i < oci->count; i++)
        free(oci->layers[i].path);
    free(oci->layers);
    *oci = (struct oci){.dir_fd = -1};
}

int oci_open_blob(int dir_fd, const char *path)
{
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
    struct stat st;

    if (fd < 0) /* EXDEV: it leads out of the directory */
        return errno == EXDEV || errno == ELOOP ? -EINVAL : -errno;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    (void)close(fd);
    return -EINVAL;
}

const char *oci_blob_error(int r)
{
    return r == -ENOENT   ? "is missing"
           : r == -EINVAL ? "is no file inside the image"
                          : strerror(-r);
}

int oci_packing(const char *media, enum unpack_kind *ret)
{
    static const struct {
        const char *media;
        enum unpack_kind kind;
    } known[] = {
        {"application/vnd.oci.image.layer.v1.tar", UNPACK_NONE},
        {"application/vnd.oci.image.layer.v1.tar+gzip", UNPACK_GZIP},
        {"application/vnd.oci.image.layer.v1.tar+zstd", UNPACK_ZSTD},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar", UNPACK_NONE},
        {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", UNPACK_GZIP},
        {"application/vnd.docker.image.rootfs.diff.tar", UNPACK_NONE},
        {"application/vnd.docker.image.rootfs.diff.tar.gzip", UNPACK_GZIP},
        {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", UNPACK_GZIP},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(media, known[i].media) == 0) {
            *ret = known[i].kind;
            return 0;
        }
    return -EINVAL;
}

/* --- JSON --- */

static int oci_read_json(int dir_fd, const char *path, const char *sha256, json_t **ret,
                         struct err *err)
{
    CLEANUP(fd) int fd = oci_open_blob(dir_fd, path);
    CLEANUP(free) char *text = malloc(OCI_JSON_MAX + 1);
    char have[DIGEST_TEXT];
    struct digest *d;
    size_t len = 0;
    ssize_t n = 1;

    if (fd < 0)
        return err_set(err, fd == -ENOENT ? -EINVAL : fd, "%s: %s", path, oci_blob_error(fd));
    while (text && n > 0 && len <= OCI_JSON_MAX) {
        n = read(fd, text + len, OCI_JSON_MAX + 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (!text || n < 0 || len > OCI_JSON_MAX)
        return err_set(err, -EINVAL, "%s: cannot be read, or is too large", path);
    d = digest_new();
    if (!d)
        return err_set(err, -ENOMEM, "out of memory");
    digest_add(d, text, len);
    digest_end(d, have);
    if (sha256 && strcmp(have, sha256) != 0)
        return err_set(err, -EINVAL, "%s: is not what its digest says", path);
    *ret = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    return *ret ? 0 : err_set(err, -EINVAL, "%s: is no valid JSON", path);
}

static const char *oci_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* "sha256:<64 digits>" without its head; NULL: another algorithm or nonsense. */
static const char *oci_hex(const char *digest)
{
    if (!digest || strncmp(digest, "sha256:", 7) != 0 || strlen(digest) != 71 ||
        strspn(digest + 7, "0123456789abcdef") != 64)
        return NULL;
    return digest + 7;
}

static int oci_read_blob_json(int dir_fd, const json_t *descriptor, json_t **ret, struct err *err)
{
    const char *hex = oci_hex(oci_string(descriptor, "digest"));
    char path[128];

    if (!hex)
        return err_set(err, -EINVAL, "a digest in it is not sha256:<64 digits>");
    (void)snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
    return oci_read_json(dir_fd, path, hex, ret, err);
}

/* --- which image --- */

/* Words of others for our architectures. */
static const char *oci_arch_name(enum vm_arch arch)
{
    return vm_arch_debian_name(arch); /* riscv64, arm64, amd64: Go's names too */
}

static bool oci_is_index(const json_t *descriptor)
{
    const char *media = oci_string(descriptor, "mediaType");

    return media && (strstr(media, "image.index") || strstr(media, "manifest.list"));
}

static bool oci_is_platform(const json_t *descriptor, enum vm_arch arch)
{
    const json_t *platform = json_object_get(descriptor, "platform");
    const char *name = oci_string(platform, "architecture"), *os = oci_string(platform, "os");

    return !platform ||
           (name && os && strcmp(name, oci_arch_name(arch)) == 0 && strcmp(os, "linux") == 0);
}

static bool oci_has_tag(const json_t *descriptor, const char *tag)
{
    const char *name =
        oci_string(json_object_get(descriptor, "annotations"), "org.opencontainers.image.ref.name");
    const char *colon = name ? strrchr(name, ':') : NULL;

    return name && (strcmp(name, tag) == 0 || (colon && strcmp(colon + 1, tag) == 0));
}

static int oci_no_arch(enum vm_arch arch, struct err *err)
{
    return err_set(err, -ENOENT, "holds no image for %s", oci_arch_name(arch));
}

/* The manifest's descriptor in an index; a borrowed reference. */
static int oci_choose(const json_t *index, const char *tag, enum vm_arch arch, const json_t **ret,
                      struct err *err)
{
    const json_t *list = json_object_get(index, "manifests"), *item, *found = NULL;
    unsigned tagged = 0, matching = 0;
    size_t i;

    if (!json_is_array(list))
        return err_set(err, -EINVAL, "its index lists no manifests");
    json_array_foreach(list, i, item)
    {
        if (tag && !oci_has_tag(item, tag))
            continue;
        tagged++;
        if (!oci_is_platform(item, arch))
            continue;
        matching++;
        found = item;
    }
    if (!tagged && tag)
        return err_set(err, -ENOENT, "holds no image with the tag '%.100s'", tag);
    if (!matching)
        return oci_no_arch(arch, err);
    if (matching > 1)
        return err_set(err, -EINVAL, "holds several images; name one by its tag (PATH:TAG)");
    *ret = found;
    return 0;
}

static int oci_find_manifest(int dir_fd, const char *tag, enum vm_arch arch, json_t **ret_manifest,
                             char *ret_digest, struct err *err)
{
    CLEANUP(json) json_t *index = NULL;
    int r = oci_read_json(dir_fd, "index.json", NULL, &index, err);

    for (unsigned depth = 0; r == 0 && depth < OCI_INDEX_DEPTH; depth++) {
        const json_t *descriptor = NULL;
        json_t *below = NULL;
        bool is_index;

        r = oci_choose(index, depth ? NULL : tag, arch, &descriptor, err);
        if (r == 0)
            r = oci_read_blob_json(dir_fd, descriptor, &below, err);
        if (r < 0)
            return r;
        is_index = oci_is_index(descriptor);
        if (!is_index) {
            (void)snprintf(ret_digest, DIGEST_TEXT, "%s",
                           oci_hex(oci_string(descriptor, "digest")));
            *ret_manifest = below;
            return 0;
        }
        json_decref(index);
        index = below;
    }
    return r < 0 ? r : err_set(err, -EINVAL, "has indexes in indexes without end");
}

/* --- configuration --- */

static int oci_take_strings(const json_t *config, const char *from, json_t *to, const char *key,
                            struct err *err)
{
    const json_t *list = json_object_get(config, from), *item;
    size_t i;

    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list) || json_array_size(list) > OCI_STRINGS_MAX)
        return err_set(err, -EINVAL, "its configuration's %s is no list of strings", from);
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item))
            return err_set(err, -EINVAL, "its configuration's %s is no list of strings", from);
    }
    return json_object_set(to, key, (json_t *)(uintptr_t)list) < 0
               ? err_set(err, -ENOMEM, "out of memory")
               : 0;
}

static int oci_take_string(const json_t *config, const char *from, json_t *to, const char *key,
                           struct err *err)
{
    const json_t *text = json_object_get(config, from);

    if (!text || json_is_null(text))
        return 0;
    if (!json_is_string(text))
        return err_set(err, -EINVAL, "its configuration's %s is no string", from);
    if (!json_string_length(text))
        return 0;
    return json_object_set(to, key, (json_t *)(uintptr_t)text) < 0
               ? err_set(err, -ENOMEM, "out of memory")
               : 0;
}

static int oci_take_process(const json_t *config, json_t **ret, struct err *err)
{
    const json_t *run = json_object_get(config, "config"), *item;
    json_t *p = json_object();
    size_t i;
    int r = oci_take_strings(run, "Entrypoint", p, "entrypoint", err);

    if (r == 0)
        r = oci_take_strings(run, "Cmd", p, "cmd", err);
    if (r == 0)
        r = oci_take_strings(run, "Env", p, "env", err);
    if (r == 0)
        r = oci_take_string(run, "User", p, "user", err);
    if (r == 0)
        r = oci_take_string(run, "WorkingDir", p, "workdir", err);
    if (r == 0)
        r = oci_take_string(run, "StopSignal", p, "stop_signal", err);
    json_array_foreach(json_object_get(p, "env"), i, item)
    {
        const char *text = json_string_value(item);

        if (r == 0 && (!strchr(text, '=') || *text == '='))
            r = err_set(err, -EINVAL, "its configuration's Env has '%.60s' without a name", text);
    }
    *ret = p;
    return r;
}

static int oci_check_platform(const json_t *config, enum vm_arch arch, struct err *err)
{
    const char *name = oci_string(config, "architecture"), *os = oci_string(config, "os");

    if (!name || !os)
        return err_set(err, -EINVAL, "its configuration says neither architecture nor system");
    if (strcmp(os, "linux") != 0)
        return err_set(err, -ENOENT, "is for %.20s, not for Linux", os);
    if (strcmp(name, oci_arch_name(arch)) != 0)
        return err_set(err, -ENOENT, "is for %.20s, not for %s; choose with --arch", name,
                       oci_arch_name(arch));
    return 0;
}

static int oci_take_diff_ids(const json_t *config, struct oci *oci, struct err *err)
{
    const json_t *ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");

    if (!json_is_array(ids) || json_array_size(ids) != oci->count)
        return err_set(err, -EINVAL, "its configuration and its manifest differ about its layers");
    for (unsigned i = 0; i < oci->count; i++) {
        const char *hex = oci_hex(json_string_value(json_array_get(ids, i)));

        if (!hex)
            return err_set(err, -EINVAL, "layer %u: its digest is not sha256:<64 digits>", i + 1);
        (void)snprintf(oci->layers[i].diff_id, sizeof(oci->layers[i].diff_id), "%s", hex);
    }
    return 0;
}

static int oci_take_config(const json_t *config, enum vm_arch arch, struct oci *oci,
                           struct err *err)
{
    int r = json_is_object(config) ? 0 : err_set(err, -EINVAL, "its configuration is no object");

    if (r == 0)
        r = oci_check_platform(config, arch, err);
    if (r == 0)
        r = oci_take_diff_ids(config, oci, err);
    if (r == 0)
        r = oci_take_process(config, &oci->process, err);
    return r;
}

/* --- layers --- */

static int oci_alloc_layers(struct oci *oci, const json_t *list, struct err *err)
{
    if (!json_is_array(list) || json_array_size(list) > IMAGE_LAYERS_MAX)
        return err_set(err, -EINVAL, "its manifest lists no layers, or more than %d",
                       IMAGE_LAYERS_MAX);
    oci->layers = calloc(json_array_size(list) + 1, sizeof(*oci->layers));
    if (!oci->layers)
        return err_set(err, -ENOMEM, "out of memory");
    oci->count = (unsigned)json_array_size(list);
    return 0;
}

static int oci_take_layer(struct oci_layer *l, const json_t *d, unsigned i, struct err *err)
{
    const char *hex = oci_hex(oci_string(d, "digest")), *media = oci_string(d, "mediaType");
    json_int_t size = json_integer_value(json_object_get(d, "size"));
    enum unpack_kind kind;

    if (!hex)
        return err_set(err, -EINVAL, "layer %u: its digest is not sha256:<64 digits>", i + 1);
    if (!media || strlen(media) >= sizeof(l->media) || oci_packing(media, &kind) < 0)
        return err_set(err, -EINVAL, "layer %u: its media type '%.80s' is not known", i + 1,
                       media ? media : "");
    if (!json_is_integer(json_object_get(d, "size")) || size < 0)
        return err_set(err, -EINVAL, "layer %u: its size is no number", i + 1);
    (void)snprintf(l->sha256, sizeof(l->sha256), "%s", hex);
    (void)snprintf(l->media, sizeof(l->media), "%s", media);
    l->size = (uint64_t)size;
    return asprintf(&l->path, "blobs/sha256/%s", hex) < 0 ? err_set(err, -ENOMEM, "out of memory")
                                                          : 0;
}

static int oci_take_manifest(int dir_fd, const json_t *manifest, enum vm_arch arch, struct oci *oci,
                             struct err *err)
{
    const json_t *layers = json_object_get(manifest, "layers");
    CLEANUP(json) json_t *config = NULL;
    int r = oci_alloc_layers(oci, layers, err);

    for (unsigned i = 0; r == 0 && i < oci->count; i++)
        r = oci_take_layer(&oci->layers[i], json_array_get(layers, i), i, err);
    if (r == 0)
        r = oci_read_blob_json(dir_fd, json_object_get(manifest, "config"), &config, err);
    return r < 0 ? r : oci_take_config(config, arch, oci, err);
}

int oci_open_layout(int dir_fd, const char *tag, enum vm_arch arch, struct oci *ret,
                    struct err *err)
{
    CLEANUP(json) json_t *layout = NULL;
    CLEANUP(json) json_t *manifest = NULL;
    struct oci oci = {.dir_fd = dir_fd};
    const char *version;
    int r = oci_read_json(dir_fd, "oci-layout", NULL, &layout, err);

    if (r < 0)
        return err_wrap(err, r, "no OCI layout");
    version = oci_string(layout, "imageLayoutVersion");
    if (!version || strncmp(version, "1.", 2) != 0)
        return err_set(err, -EINVAL, "an OCI layout of version '%.20s', which is not known",
                       version ? version : "");
    r = oci_find_manifest(dir_fd, tag, arch, &manifest, oci.digest, err);
    if (r == 0)
        r = oci_take_manifest(dir_fd, manifest, arch, &oci, err);
    if (r < 0)
        oci_done(&oci);
    else
        *ret = oci;
    return r;
}

/* --- docker save --- */

static const json_t *docker_choose(const json_t *list, const char *tag)
{
    const json_t *item, *name;
    size_t i, k;

    if (!tag)
        return json_array_size(list) == 1 ? json_array_get(list, 0) : NULL;
    json_array_foreach(list, i, item)
    {
        json_array_foreach(json_object_get(item, "RepoTags"), k, name)
        {
            const char *text = json_string_value(name);
            const char *colon = text ? strrchr(text, ':') : NULL;

            if (text && (strcmp(text, tag) == 0 || (colon && strcmp(colon + 1, tag) == 0)))
                return item;
        }
    }
    return NULL;
}

static int docker_take_layers(const json_t *item, struct oci *oci, struct err *err)
{
    const json_t *layers = json_object_get(item, "Layers");
    int r = oci_alloc_layers(oci, layers, err);

    for (unsigned i = 0; r == 0 && i < oci->count; i++) {
        const char *path = json_string_value(json_array_get(layers, i));
        struct oci_layer *l = &oci->layers[i];

        if (!path)
            return err_set(err, -EINVAL, "layer %u: its manifest names no file", i + 1);
        (void)snprintf(l->media, sizeof(l->media), "application/vnd.docker.image.rootfs.diff.tar");
        l->path = strdup(path);
        if (!l->path)
            return err_set(err, -ENOMEM, "out of memory");
    }
    return r;
}

int oci_open_docker(int dir_fd, const char *tag, enum vm_arch arch, struct oci *ret,
                    struct err *err)
{
    CLEANUP(json) json_t *list = NULL;
    CLEANUP(json) json_t *config = NULL;
    struct oci oci = {.dir_fd = dir_fd};
    const json_t *item = NULL;
    const char *path;
    int r = oci_read_json(dir_fd, "manifest.json", NULL, &list, err);

    if (r < 0)
        return err_wrap(err, r, "no docker archive");
    item = docker_choose(list, tag);
    path = oci_string(item, "Config");
    if (!item || !path)
        return err_set(err, item ? -EINVAL : -ENOENT,
                       item  ? "its manifest names no configuration"
                       : tag ? "holds no image of that tag"
                             : "holds several images; name one by its tag (PATH:TAG)");
    r = oci_read_json(dir_fd, path, NULL, &config, err);
    if (r == 0)
        r = docker_take_layers(item, &oci, err);
    if (r == 0)
        r = oci_take_config(config, arch, &oci, err);
    if (r < 0)
        oci_done(&oci);
    else
        *ret = oci;
    return r;
}
