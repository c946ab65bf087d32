/* SPDX-License-Identifier: Apache-2.0 */
/* Starting processes that outlive their starter, and waiting for ones that do not. */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

/* Runs path with argv in a session of its own; it outlives us, and may be waited for. There, 0 is
 * /dev/null, 1 and 2 are log_fd, fds[i] is 3 + i, signals are as at login, and nothing else is
 * open. Returns once the program has been started. */
int must_use process_spawn_detached(const char *path, char *const *argv, const int *fds,
                                    unsigned count, int log_fd, pid_t *ret_pid, struct err *err);

/* waitpid() that is not interrupted; the status, or -errno. */
int must_use process_wait(pid_t pid, int *ret_status);

/* Whether a directory of $PATH has such a program, as execvp() would look for it. */
bool process_in_path(const char *program);

/* The name ps(1) and top(1) show for this thread's process. */
void process_set_name(const char *name);
