/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files and directories. dir_fd may be AT_FDCWD. Writes are atomic: after a crash at any
 * point a file has its old or its new content, never a mix.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

/* Opens a regular file that somebody else may have replaced by anything: follows no link, never
 * waits; the descriptor or -errno (-EINVAL: not a regular file). */
int must_use file_open_to_read(int dir_fd, const char *name);
/* The whole file and a NUL behind it; more than cap bytes is -EFBIG. ret_len may be NULL. */
int must_use file_read(int dir_fd, const char *name, size_t cap, char **ret_data, size_t *ret_len,
                       struct err *err);
/* The same of an open one, from its beginning: -errno. */
int must_use file_read_fd(int fd, size_t cap, char **ret_data, size_t *ret_len);
/* Temporary file beside it, fsync, rename, fsync of the directory. */
int must_use file_write(int dir_fd, const char *name, const void *data, size_t len, mode_t mode,
                        struct err *err);
/* All of len, however many writes that takes; -errno. */
int must_use file_write_all(int fd, const void *data, size_t len);

/* Makes a directory and those above it; an existing one is fine. */
int must_use file_make_dirs(const char *path, mode_t mode, struct err *err);
/* Removes a file or a directory with all below it, following no link; absent is fine. */
int must_use file_remove_tree(int dir_fd, const char *name, struct err *err);

/* Locks of open file descriptions: they follow the descriptor through fork and exec, and end when
 * the last copy is closed, however its process ends. fd open for writing. -EAGAIN: held elsewhere.
 */
int must_use file_lock(int fd);
void file_unlock(int fd);
/* True when somebody else holds the lock. */
bool file_is_locked(int fd);
