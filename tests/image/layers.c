/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers erofs|keep|dir OUT TAR...: makes OUT, a file or an empty directory, of layers, lowest
 * first, as image pull does. A layer is packed as its name ends: .gz, .zst or not at all.
 */
#include "image/digest.h"
#include "image/dpkg.h"
#include "image/layer.h"
#include "image/tree_dir.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LAYERS_MAX = 200 };

static enum unpack_kind kind_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    if (dot && strcmp(dot, ".gz") == 0)
        return UNPACK_GZIP;
    return dot && strcmp(dot, ".zst") == 0 ? UNPACK_ZSTD : UNPACK_NONE;
}

static int open_layer(const char *path, struct layer *ret)
{
    char *digest = malloc(DIGEST_TEXT);
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || !digest || fstat(fd, &st) < 0 || digest_file(path, digest) < 0)
        return -1;
    if (getenv("DIGEST"))
        snprintf(digest, DIGEST_TEXT, "%s", getenv("DIGEST"));
    *ret = (struct layer){.name = path,
                          .fd = fd,
                          .kind = kind_of(path),
                          .size = (uint64_t)st.st_size,
                          .sha256 = digest,
                          .diff_id = getenv("DIFF_ID")};
    return 0;
}

static int print_roots(const char *name, enum vm_arch arch, struct err *err)
{
    struct image image;
    char **paths = NULL;
    int r = image_find(name, arch, &image, err);

    if (r == 0)
        r = image_mountable_layers(&image, NULL, &paths, err);
    for (char **p = paths; r == 0 && *p; p++)
        puts(*p);
    return r;
}

static int unpack_image(const char *out, enum vm_arch arch, const char *name, struct err *err)
{
    int dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct image image;
    int r = image_find(name, arch, &image, err);

    return r < 0 ? r : image_unpack_root(&image, dir, NULL, err);
}

static int unpack_packages(const char *out, const char *arch, char **debs, struct err *err)
{
    int data = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dpkg *d = NULL;
    struct tree t;
    int r;

    if (data < 0 || dir < 0 || tree_init(&t, data, 1 << 20) < 0)
        return err_set(err, -errno, "%s: %s", out, strerror(errno));
    r = dpkg_open(&t, arch, &d, err);
    for (; r == 0 && *debs; debs++)
        r = dpkg_unpack(d, *debs, err);
    if (r == 0)
        r = dpkg_close(d, err);
    if (r == 0)
        r = tree_write_dir(&t, dir, NULL, err);
    dpkg_free(d);
    tree_done(&t);
    return r;
}

int main(int argc, char **argv)
{
    static struct layer layers[LAYERS_MAX];
    bool dir = argc > 3 && strcmp(argv[1], "dir") == 0;
    struct err err = {0};
    int fd, r;

    if (argc < 4 || argc > LAYERS_MAX)
        return 2;
    if (strcmp(argv[1], "dpkg") == 0 || strcmp(argv[1], "roots") == 0 ||
        strcmp(argv[1], "unpack") == 0) {
        enum vm_arch arch = (enum vm_arch)vm_arch_parse(argv[3]);

        if (argv[1][0] == 'd')
            r = unpack_packages(argv[2], argv[3], argv + 4, &err);
        else
            r = argv[1][0] == 'r' ? print_roots(argv[2], arch, &err)
                                  : unpack_image(argv[2], arch, argv[4], &err);
        if (r < 0)
            fprintf(stderr, "%d %s\n", err.code, err.text);
        return r < 0 ? 1 : 0;
    }
    for (int i = 3; i < argc; i++)
        if (open_layer(argv[i], &layers[i - 3]) < 0)
            return 2;
    fd = open(argv[2],
              dir ? O_RDONLY | O_DIRECTORY | O_CLOEXEC : O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
              0644);
    if (fd < 0)
        return 2;
    if (dir)
        r = layer_make_dir(layers, (unsigned)argc - 3, fd, NULL, &err);
    else
        r = layer_make_erofs(layers, (unsigned)argc - 3,
                             strcmp(argv[1], "keep") == 0 ? LAYER_KEEP : LAYER_APPLY, fd, NULL,
                             &err);
    if (r < 0)
        fprintf(stderr, "%d %s\n", err.code, err.text);
    return r < 0 ? 1 : 0;
}
