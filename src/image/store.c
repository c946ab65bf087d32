/* SPDX-License-Identifier: Apache-2.0 */
/* The image store on disk. Contract: image/store.h. */
#include "image/store.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/file.h"
#include "host/process.h"
#include "image/digest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MANIFEST_MAX = 1 << 20 };

/* Jansson's own decref takes the pointer itself. */
static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

static int image_store_path_error(const char *what, int r, struct err *err)
{
    return err_set(err, r, "image store %s: %s", what, strerror(-r));
}

static int image_store_make(const struct image_store *s, struct err *err)
{
    static const char *const dirs[] = {"objects", "tmp"};

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        if (mkdirat(s->root_fd, dirs[i], 0755) < 0 && errno != EEXIST)
            return image_store_path_error(s->root, -errno, err);
    for (int a = 0; a < ARCH_COUNT; a++)
        if (mkdirat(s->root_fd, vm_arch_name(a), 0755) < 0 && errno != EEXIST)
            return image_store_path_error(s->root, -errno, err);
    return 0;
}

/* Whoever made the directories below tmp/ is gone: the lock is ours. */
static int image_store_clear_temp(struct image_store *s, struct err *err)
{
    int r = file_remove_tree(s->root_fd, "tmp", err);

    if (r == 0 && mkdirat(s->root_fd, "tmp", 0755) < 0 && errno != EEXIST)
        r = image_store_path_error(s->root, -errno, err);
    return r;
}

static int image_store_open_lock(struct image_store *s, struct err *err)
{
    s->lock_fd = openat(s->root_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    return s->lock_fd < 0 ? image_store_path_error(s->root, -errno, err) : 0;
}

/* A build that was killed leaves its directory; whoever looks next clears it away. */
static void image_store_tidy(struct image_store *s)
{
    struct err ignored;
    struct stat st;

    if (fstatat(s->root_fd, "tmp", &st, 0) < 0 || st.st_nlink <= 2)
        return;
    if (image_store_open_lock(s, &ignored) < 0)
        return;
    if (file_lock(s->lock_fd) == 0)
        (void)!image_store_clear_temp(s, &ignored);
    (void)close(s->lock_fd);
    s->lock_fd = -1;
}

int image_store_open(struct image_store *s, struct err *err)
{
    int r;

    *s = (struct image_store){.root_fd = -1, .lock_fd = -1};
    r = dirs_get_sub(DIRS_DATA, "images", &s->root, err);
    if (r < 0)
        return r;
    s->root_fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = s->root_fd < 0 ? image_store_path_error(s->root, -errno, err) : image_store_make(s, err);
    if (r == 0)
        image_store_tidy(s);
    else
        image_store_close(s);
    return r;
}

void image_store_close(struct image_store *s)
{
    struct err ignored;
    int status;

    if (s->temp)
        (void)!file_remove_tree(AT_FDCWD, s->temp, &ignored);
    if (s->sweeper > 0) {
        (void)close(s->sweeper_fd);
        (void)!process_wait(s->sweeper, &status);
    }
    free(s->temp);
    free(s->root);
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
    if (s->root_fd >= 0)
        (void)close(s->root_fd);
    *s = (struct image_store){.root_fd = -1, .lock_fd = -1};
}

/* Waits for the builder's end, however it comes: its end of the pipe closes. It holds the lock as
 * well, so nobody builds before the temporary directory is gone. */
static noreturn_fn void image_store_sweeper(const struct image_store *s, int pipe_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct err ignored;
    char byte;

    (void)setsid(); /* the terminal's signals are for the builder */
    (void)signal(SIGTERM, SIG_IGN);
    for (int fd = 0; fd <= 2; fd++) /* nobody is to wait for our end of these */
        (void)dup2(null, fd);
    while (read(pipe_fd, &byte, 1) < 0 && errno == EINTR)
        ;
    (void)!file_remove_tree(AT_FDCWD, s->temp, &ignored);
    _exit(0);
}

/* Without a sweeper (no process to be had) the next holder of the lock does it. */
static void image_store_start_sweeper(struct image_store *s)
{
    int p[2];

    if (pipe2(p, O_CLOEXEC) < 0)
        return;
    s->sweeper = fork();
    if (s->sweeper == 0) {
        (void)close(p[1]);
        image_store_sweeper(s, p[0]);
    }
    (void)close(p[0]);
    s->sweeper_fd = p[1];
    if (s->sweeper < 0)
        (void)close(p[1]);
}

static int image_store_new_temp(struct image_store *s, struct err *err)
{
    int r = image_store_clear_temp(s, err);

    /* What a second stage gave to ids that are not ours stays; it is in nobody's way. */
    if (r < 0 && faccessat(s->root_fd, "tmp", W_OK, AT_EACCESS) < 0)
        return r;
    if (asprintf(&s->temp, "%s/tmp/build.XXXXXX", s->root) < 0)
        return image_store_path_error(s->root, -ENOMEM, err);
    if (!mkdtemp(s->temp))
        return image_store_path_error(s->temp, -errno, err);
    image_store_start_sweeper(s);
    return 0;
}

int image_store_lock(struct image_store *s, const struct image_progress *progress, struct err *err)
{
    const struct timespec pause = {0, 200000000};
    bool said = false;
    int r = image_store_open_lock(s, err);

    if (r < 0)
        return r;
    while ((r = file_lock(s->lock_fd)) == -EAGAIN) {
        if (!said && progress && progress->step)
            progress->step(progress->arg, "waiting for another build of images to end");
        said = s->waited = true;
        (void)nanosleep(&pause, NULL);
    }
    return r < 0 ? image_store_path_error(s->root, r, err) : image_store_new_temp(s, err);
}

static int image_store_sync(int dir_fd, const char *name)
{
    CLEANUP(fd) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

int image_store_keep(struct image_store *s, const char *temp_name, const char *sha256,
                     uint64_t size, json_t **ret_json, struct err *err)
{
    CLEANUP(free) char *from = NULL;
    char to[sizeof("objects/") + DIGEST_TEXT];
    int r;

    if (asprintf(&from, "%s/%s", s->temp, temp_name) < 0)
        return image_store_path_error(s->root, -ENOMEM, err);
    r = chmod(from, 0644) < 0 ? -errno : image_store_sync(AT_FDCWD, from);
    (void)snprintf(to, sizeof(to), "objects/%s", sha256);
    if (r == 0 && renameat(AT_FDCWD, from, s->root_fd, to) < 0)
        r = -errno;
    if (r == 0)
        r = image_store_sync(s->root_fd, "objects");
    if (r < 0)
        return image_store_path_error(from, r, err);
    *ret_json = json_pack("{s:s, s:I}", "sha256", sha256, "size", (json_int_t)size);
    return *ret_json ? 0 : image_store_path_error(from, -ENOMEM, err);
}

int image_store_take(struct image_store *s, const char *temp_name, json_t **ret_json,
                     struct err *err)
{
    CLEANUP(free) char *from = NULL;
    char sha256[DIGEST_TEXT];
    struct stat st = {0};
    int r;

    if (asprintf(&from, "%s/%s", s->temp, temp_name) < 0)
        return image_store_path_error(s->root, -ENOMEM, err);
    r = digest_file(from, sha256);
    if (r == 0 && stat(from, &st) < 0)
        r = -errno;
    if (r < 0)
        return image_store_path_error(from, r, err);
    return image_store_keep(s, temp_name, sha256, (uint64_t)st.st_size, ret_json, err);
}

static void image_store_manifest_name(enum vm_arch arch, const char *name, char *path, size_t size)
{
    char *file;

    (void)snprintf(path, size, "%s/%s.json", vm_arch_name(arch), name);
    file = path + strlen(vm_arch_name(arch)) + 1;
    while ((file = strchr(file, '/')))
        *file = '%';
}

int image_store_read(const struct image_store *s, enum vm_arch arch, const char *name,
                     json_t **ret_json, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    char path[IMAGE_NAME_MAX + 32];
    struct err ignored;
    size_t len;
    int r;

    image_store_manifest_name(arch, name, path, sizeof(path));
    r = file_read(s->root_fd, path, MANIFEST_MAX, &text, &len, &ignored);
    if (r < 0 && r != -ENOENT)
        return image_store_path_error(path, r, err);
    *ret_json = r == 0 ? json_loadb(text, len, 0, NULL) : NULL;
    if (!*ret_json)
        return err_set(err, -ENOENT, "image '%s' (%s): there is no such image", name,
                       vm_arch_name(arch));
    return 0;
}

int image_store_write(struct image_store *s, enum vm_arch arch, const char *name, json_t *manifest,
                      struct err *err)
{
    CLEANUP(free) char *text = json_dumps(manifest, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    char path[IMAGE_NAME_MAX + 32];
    int r;

    if (!text)
        return image_store_path_error(s->root, -ENOMEM, err);
    image_store_manifest_name(arch, name, path, sizeof(path));
    r = file_write(s->root_fd, path, text, strlen(text), 0644, err);
    return r < 0 ? r : image_store_sync(s->root_fd, vm_arch_name(arch));
}

int image_store_has(const struct image_store *s, enum vm_arch arch, const char *name,
                    struct err *err)
{
    char path[IMAGE_NAME_MAX + 32];

    image_store_manifest_name(arch, name, path, sizeof(path));
    if (faccessat(s->root_fd, path, F_OK, AT_EACCESS) == 0)
        return 0;
    if (errno == ENOENT)
        return err_set(err, -ENOENT, "image '%s' (%s): there is no such image", name,
                       vm_arch_name(arch));
    return image_store_path_error(path, -errno, err);
}

int image_store_delete(struct image_store *s, enum vm_arch arch, const char *name, struct err *err)
{
    char path[IMAGE_NAME_MAX + 32];
    int r = image_store_has(s, arch, name, err);

    if (r < 0)
        return r;
    image_store_manifest_name(arch, name, path, sizeof(path));
    return unlinkat(s->root_fd, path, 0) < 0 ? image_store_path_error(path, -errno, err) : 0;
}

static int image_store_by_text(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int image_store_is_manifest(const struct dirent *e)
{
    size_t len = strlen(e->d_name);

    return e->d_name[0] != '.' && len > 5 && len <= IMAGE_NAME_MAX + 5 &&
           strcmp(e->d_name + len - 5, ".json") == 0;
}

int image_store_names(const struct image_store *s, enum vm_arch arch, json_t **ret_names,
                      struct err *err)
{
    CLEANUP(json) json_t *names = json_array();
    struct dirent **list = NULL;
    int n, r = names ? 0 : -ENOMEM;

    n = scandirat(s->root_fd, vm_arch_name(arch), &list, image_store_is_manifest,
                  image_store_by_text);
    if (n < 0)
        return image_store_path_error(s->root, -errno, err);
    for (int i = 0; i < n; i++) {
        size_t len = strlen(list[i]->d_name) - 5;

        for (size_t c = 0; c < len; c++)
            if (list[i]->d_name[c] == '%')
                list[i]->d_name[c] = '/';
        if (r == 0 && json_array_append_new(names, json_stringn(list[i]->d_name, len)) < 0)
            r = -ENOMEM;
        free(list[i]);
    }
    free(list);
    if (r < 0)
        return image_store_path_error(s->root, r, err);
    *ret_names = TAKE(names);
    return 0;
}

static bool image_store_is_digest(const char *text)
{
    return text && strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

char *image_store_path(const struct image_store *s, const json_t *object)
{
    const char *sha256 = json_string_value(json_object_get(object, "sha256"));
    char *path;

    if (!image_store_is_digest(sha256) || asprintf(&path, "%s/objects/%s", s->root, sha256) < 0)
        return NULL;
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *image_store_object(const struct image_store *s, const json_t *manifest, const char *key)
{
    return image_store_path(s, json_object_get(manifest, key));
}

/* Every "sha256" in a manifest, however deep: what is no object does no harm. */
static bool image_store_mark_all(const json_t *value, json_t *used, unsigned depth)
{
    const json_t *item;
    const char *key;
    size_t i;

    if (depth > 8)
        return false;
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (strcmp(key, "sha256") == 0 && image_store_is_digest(json_string_value(item))) {
            if (json_object_set_new(used, json_string_value(item), json_true()) < 0)
                return false;
        } else if (!image_store_mark_all(item, used, depth + 1)) {
            return false;
        }
    }
    json_array_foreach(value, i, item)
    {
        if (!image_store_mark_all(item, used, depth + 1))
            return false;
    }
    return true;
}

/* {sha256: true} of everything an architecture's manifests name. */
static bool image_store_mark(const struct image_store *s, enum vm_arch arch, json_t *used)
{
    CLEANUP(json) json_t *names = NULL;
    struct err ignored;
    const json_t *name;
    size_t i;

    if (image_store_names(s, arch, &names, &ignored) < 0)
        return false;
    json_array_foreach(names, i, name)
    {
        CLEANUP(json) json_t *manifest = NULL;

        if (image_store_read(s, arch, json_string_value(name), &manifest, &ignored) < 0)
            continue;
        if (!image_store_mark_all(manifest, used, 0))
            return false;
    }
    return true;
}

/* Guests link a root's mark, without the lock: once it has no name none comes any more, and what
 * came before is counted in its links. */
static bool image_store_unmark_tree(int trees_fd, const char *mark)
{
    CLEANUP(fd) int fd = openat(trees_fd, mark, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st = {0};
    char proc[40];

    if (fd < 0)
        return errno == ENOENT;
    if (fstat(fd, &st) < 0 || st.st_nlink > 1)
        return false; /* guests have it: its name is left alone */
    (void)unlinkat(trees_fd, mark, 0);
    if (fstat(fd, &st) == 0 && st.st_nlink == 0)
        return true; /* else one came just now */
    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    (void)linkat(AT_FDCWD, proc, trees_fd, mark, AT_SYMLINK_FOLLOW);
    return false;
}

/* Away from its name first: one that stands there is whole. */
static void image_store_drop_tree(const struct image_store *s, int trees_fd, const char *name)
{
    char mark[NAME_MAX + 8], gone[NAME_MAX + 16];

    (void)snprintf(mark, sizeof(mark), "%s.used", name);
    (void)snprintf(gone, sizeof(gone), "tmp/tree-%s", name);
    (void)!file_remove_tree(s->root_fd, gone, NULL);
    if (!image_store_unmark_tree(trees_fd, mark))
        return;
    (void)fchmodat(trees_fd, name, 0700, 0); /* else it may not be moved */
    if (renameat(trees_fd, name, s->root_fd, gone) == 0)
        (void)!file_remove_tree(s->root_fd, gone, NULL);
}

/* Unpacked roots whose digest no manifest names, and that no guest has. */
static void image_store_sweep_trees(const struct image_store *s, const json_t *used)
{
    int fd = openat(s->root_fd, "trees", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    while (dir && (e = readdir(dir))) {
        char mark[NAME_MAX + 1];

        (void)snprintf(mark, sizeof(mark), "%.*s", (int)strcspn(e->d_name, "."), e->d_name);
        if (!*mark || json_object_get(used, mark))
            continue;
        if (strcmp(e->d_name + strlen(mark), ".raw") == 0)
            (void)unlinkat(fd, e->d_name, 0); /* guests have it by a name of their own */
        if (strchr(e->d_name, '.'))
            continue;
        image_store_drop_tree(s, fd, e->d_name);
    }
    if (dir)
        (void)closedir(dir);
    else if (fd >= 0)
        (void)close(fd);
}

void image_store_clear(const struct image_store *s,
                       int (*clear)(int dir_fd, const char *name, struct err *err))
{
    int fd = openat(s->root_fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const char *ours = strrchr(s->temp, '/') + 1;
    const struct dirent *e;
    struct err ignored;

    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.' && strcmp(e->d_name, ours) != 0)
            (void)!clear(fd, e->d_name, &ignored);
    if (dir)
        (void)closedir(dir);
    else if (fd >= 0)
        (void)close(fd);
}

uint64_t image_store_sweep(struct image_store *s)
{
    CLEANUP(json) json_t *used = json_object();
    const struct dirent *e;
    bool sure = used != NULL;
    uint64_t bytes = 0;
    int fd;
    DIR *dir;

    for (int a = 0; a < ARCH_COUNT && sure; a++)
        sure = image_store_mark(s, a, used);
    fd = sure ? openat(s->root_fd, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    dir = fd < 0 ? NULL : fdopendir(fd);
    while (dir && (e = readdir(dir))) {
        struct stat st = {0};

        if (e->d_name[0] == '.' || json_object_get(used, e->d_name))
            continue;
        (void)fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW);
        if (unlinkat(fd, e->d_name, 0) == 0 && st.st_nlink == 1)
            bytes += (uint64_t)st.st_blocks * 512;
    }
    if (dir)
        (void)closedir(dir);
    if (sure)
        image_store_sweep_trees(s, used);
    return bytes;
}
