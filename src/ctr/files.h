/* SPDX-License-Identifier: Apache-2.0 */
/* The files of the monitor of containers in RUN/containers: its socket, its lock, its log. */
#pragma once

#include <posada/err.h>

enum { CTR_READY_FD = 3 }; /* of the monitor: closed once it listens */

int must_use ctr_files_open(int *ret_dir_fd, struct err *err);
/* The monitor's lock; -EAGAIN: there is one. */
int must_use ctr_files_lock(int dir_fd, int *ret_fd);
int must_use ctr_files_listen(int dir_fd, int *ret_fd, struct err *err);
/* A connection that a monitor has said hello on, which therefore waits for what we say; -errno. */
int must_use ctr_files_connect(int dir_fd, int *ret_fd);
int must_use ctr_files_log(int dir_fd);
