/* SPDX-License-Identifier: Apache-2.0 */
/* The path of a vsock's socket on the host, and what belongs to it. */
#pragma once

#include <limits.h>
#include <posada/err.h>
#include <sys/un.h>

/* So that "NAME_4294967295" fits into a socket's address behind /proc/self/fd/N/. */
enum { VSOCK_NAME_MAX = 64 };

struct vsock_path {
    char dir[PATH_MAX];
    char name[VSOCK_NAME_MAX + 1];
};

int must_use vsock_path_split(const char *path, struct vsock_path *ret, struct err *err);
/* An address that leads to a name by way of its directory: a path may be too long for one. */
void vsock_address(int dir_fd, const char *name, struct sockaddr_un *ret);
