/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: fresh.h. */
#include "fresh.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folder a name lies in, the caller's to free; NULL without memory. */
static char *fresh_folder(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash ? strndup(name, slash == name ? 1 : (size_t)(slash - name)) : strdup(".");
}

static int fresh_fail(const char *name, int code, const char *what, struct err *err)
{
    if (code == -EEXIST)
        return err_set(err, code, "disk %s: it exists already", name);
    return err_set(err, code, "disk %s: cannot %s it: %s", name, what, strerror(-code));
}

static int must_use fresh_open_named(struct fresh_file *file)
{
    if (asprintf(&file->temp, "%s.new-%d", file->name, (int)getpid()) < 0) {
        file->temp = NULL;
        return -ENOMEM;
    }
    file->fd = open(file->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file->fd >= 0)
        return 0;
    free(file->temp);
    file->temp = NULL;
    return -errno;
}

/* Whether /proc lets us open and link what has no name. */
static bool fresh_reachable(const struct fresh_file *file)
{
    return access(file->path, R_OK | W_OK) == 0;
}

static int must_use fresh_open_file(struct fresh_file *file, const char *folder)
{
    int r = 0;

    file->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
    if (file->fd < 0 || !fresh_reachable(file)) {
        if (file->fd >= 0)
            (void)close(file->fd);
        r = fresh_open_named(file);
        snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
    }
    return r;
}

int fresh_open(const char *name, struct fresh_file *ret_file, struct err *err)
{
    CLEANUP(free) char *folder = fresh_folder(name);
    struct fresh_file file = {.fd = -1, .name = strdup(name)};
    int r = folder && file.name ? 0 : -ENOMEM;

    if (!r && faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        r = -EEXIST;
    if (!r)
        r = fresh_open_file(&file, folder);
    if (r) {
        free(file.name);
        return fresh_fail(name, r, "make", err);
    }
    *ret_file = file;
    return 0;
}

static int must_use fresh_sync_folder(const char *name)
{
    CLEANUP(free) char *folder = fresh_folder(name);
    CLEANUP(fd) int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    /* Some file systems have nothing to sync there. */
    return fd >= 0 && fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int fresh_publish(struct fresh_file *file, struct err *err)
{
    int r = fsync(file->fd) < 0 ? -errno : 0;

    if (!r)
        r = file->temp ? link(file->temp, file->name)
                       : linkat(AT_FDCWD, file->path, AT_FDCWD, file->name, AT_SYMLINK_FOLLOW);
    if (r == -1)
        r = -errno;
    if (!r)
        r = fresh_sync_folder(file->name);
    return r ? fresh_fail(file->name, r, "write", err) : 0;
}

void fresh_done(struct fresh_file *file)
{
    if (file->temp)
        (void)unlink(file->temp);
    if (file->fd >= 0)
        (void)close(file->fd);
    free(file->temp);
    free(file->name);
    *file = (struct fresh_file){.fd = -1};
}
