/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files and folders as tar streams, both ways, for `posada cp`: the same code runs on the host and
 * in the guest's agent, so it stands on src/base alone.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

/* What goes on; all optional. */
struct copy_watch {
    void (*bytes)(void *arg, uint64_t done, uint64_t total); /* total 0: not known */
    void (*warn)(void *arg, const char *text);
    bool (*stop)(void *arg); /* asked often; true: give up with -ECANCELED */
    void *arg;
};

/* Writes a file, link or folder with all in it to fd as a tar stream whose names begin with the
 * last component of path; a link at path itself is followed, none below. tell_total: says first how
 * much will come. Sockets, pipes and device nodes are left out with a warning. */
int must_use copy_pack(const char *path, int fd, bool tell_total, const struct copy_watch *watch,
                       struct err *err);
/* The same in two steps, for who wants to know first whether it can be done: the whole tree is
 * looked at. path and watch stay the caller's as long as *ret, which ends by copy_pack_free(). */
struct copy_pack;
int must_use copy_pack_look(const char *path, const struct copy_watch *watch,
                            struct copy_pack **ret, struct err *err);
int must_use copy_pack_write(struct copy_pack *pack, int fd, bool tell_total, struct err *err);
void copy_pack_free(struct copy_pack *pack); /* NULL is fine */

struct copy_unpack {
    /* Where to: an existing folder, or the name to be given in one. */
    const char *path;
    /* In an existing folder the copy has this name, whatever the stream says; NULL: the stream's
     * names are kept, `path` must be a folder. */
    const char *name;
    mode_t mask; /* of permissions: what may be set */
    struct copy_watch watch;
};

/* Reads a tar stream from fd. All in it ends below `path`: no name leads elsewhere, no link is
 * followed, existing files are replaced, never written through, and complete or not there. Device
 * nodes, pipes and the like are refused. -EPIPE: the stream ended too early. */
int must_use copy_unpack(const struct copy_unpack *config, int fd, struct err *err);

/* The last component of a path, without slashes behind it ("/": "root"); size bytes at ret. */
int must_use copy_base_name(const char *path, char *ret, size_t size);

/* "pack PATH [total]" to standard output, "unpack PATH [NAME]" from standard input; the exit code.
 * For a process of its own: it takes signals. */
int copy_command(char *const *argv);
