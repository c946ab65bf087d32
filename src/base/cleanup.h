/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releasers for CLEANUP() of posada/types.h: a local is released on every way out of its block,
 * TAKE() hands it over instead. Other types define their own cleanup_NAME beside their x_free().
 *     CLEANUP(free) char *text = strdup(from);
 */
#pragma once

#include <posada/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void cleanup_fd(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* TAKE() for a descriptor, whose "nothing" is not 0. */
static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

static inline void cleanup_file(FILE **file)
{
    if (*file)
        (void)fclose(*file);
}
