/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's own executable, kept out of a container's hands (CVE-2019-5736): a program in the
 * container may get hold of /proc/PID/exe of the process that became it, and write to it later. So
 * that process never runs from a file that could be written: it runs from a private read-only
 * mount of it, or from a sealed copy in memory.
 */
#pragma once

#include <posada/err.h>

/* Returns 0 when the executable is out of reach; otherwise executes it again and does not return,
 * or -errno. To be called first, with the program's own argv. */
int must_use self_protect(char *const *argv, struct err *err);
