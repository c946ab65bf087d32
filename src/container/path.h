/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths inside a root file system that belongs to somebody else, and that somebody else may change
 * while we look. Every step is openat2(2) with RESOLVE_IN_ROOT and without magic links; what is
 * found is held by its descriptor and never looked up again. Descriptors are O_CLOEXEC.
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>
#include <sys/stat.h>

/* openat2() below root, links resolved inside it; flags as open(2). A descriptor or -errno. */
int must_use path_open(int root, const char *path, int flags);
/* The same for a new file. */
int must_use path_open_mode(int root, const char *path, int flags, mode_t mode);
/* Like path_open(O_PATH), the last part not followed when it is a link. */
int must_use path_open_nofollow(int root, const char *path);
/* The directory as O_PATH, made with those above it where missing. A dangling link's target is made
 * inside the root. */
int must_use path_make_dir(int root, const char *path, mode_t mode);
/* The same for what is not a directory: an empty regular file where nothing is. */
int must_use path_make_file(int root, const char *path, mode_t mode);
/* The directory that path's last part lives in (made when missing), and that part. */
int must_use path_make_parent(int root, const char *path, char *ret_last, size_t size);

/* "/proc/self/fd/N" for calls that want a path: PATH_OF(fd). */
struct path_text {
    char text[32];
};
struct path_text path_of_fd(int fd);
#define PATH_OF(fd) (path_of_fd(fd).text)

/* A name made of letters, digits and _ . - + only, not "." or "..", at most 1024 long. */
bool path_is_plain_name(const char *name);
/* True when one of path's parts is "..". */
bool path_climbs(const char *path);
/* True when the descriptor lies on a file system of that type (statfs(2) f_type). */
bool path_is_on(int fd, uint64_t magic);
