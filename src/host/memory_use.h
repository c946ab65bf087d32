/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory this process has resident, by kind of mapping. Opened before a sandbox closes
 * /proc, read any number of times afterwards.
 */
#pragma once

#include <posada/err.h>
#include <stdint.h>

struct memory_use {
    uint64_t named; /* bytes in mappings of the name asked for */
    uint64_t rest;  /* bytes in all others */
};

/* -errno when the host has no /proc. */
int must_use memory_use_open(void);
/* memfd: the name given to memfd_create(); private mappings of /dev/zero are counted with it. A
 * page mapped twice counts twice. */
int must_use memory_use_read(int fd, const char *memfd, struct memory_use *ret_use);
