/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's own executable, kept out of a container's hands (CVE-2019-5736): a program in the
 * container may get hold of /proc/PID/exe of the process that became it, and write to it later. So
 * that process never runs from a file that could be written: it runs from a private read-only
 * mount of it, or from a sealed copy in memory.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>
#include <stddef.h>

/* Of what entry_x86_64.c calls: a function of its own might have a stack protector, which needs the
 * C library. */
#define self_inline static inline __attribute__((always_inline))

/* Whether the command is one that becomes, or makes something that becomes, a container's program.
 * Looks at any word: too often is no harm. Without the C library, for entry_x86_64.c. */
self_inline bool self_is_needed(char *const *argv)
{
    static const char verbs[][8] = {"create", "run", "exec", "restore"};

    for (size_t i = 1; argv[0] && argv[i]; i++)
        for (size_t v = 0; v < sizeof(verbs) / sizeof(*verbs); v++) {
            size_t at = 0;

            while (verbs[v][at] && argv[i][at] == verbs[v][at])
                at++;
            if (argv[i][at] == verbs[v][at])
                return true;
        }
    return false;
}

/* Returns 0 when the executable is out of reach; otherwise executes it again and does not return,
 * or -errno. To be called first, with the program's own argv. */
int must_use self_protect(char *const *argv, struct err *err);
