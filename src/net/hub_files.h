/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a named network, shared by hub.c and hub_main.c. */
#pragma once

#include <limits.h>
#include <posada/err.h>
#include <sys/un.h>

int must_use hub_open_dir(int *ret_dir_fd, struct err *err);
/* An address that leads to the socket by way of the directory: a path may be too long for one. */
void hub_address(int dir_fd, const char *network, struct sockaddr_un *ret);
/* Takes the network's lock: who has it is the hub, or cleans up. -EBUSY. */
int must_use hub_lock(int dir_fd, const char *network, int *ret_fd);
void hub_lock_name(const char *network, char name[NAME_MAX]);
