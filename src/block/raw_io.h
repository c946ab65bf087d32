/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of one raw disk request, from start to end: 0 or a negative errno. */
#pragma once

#include <posada/blockdev.h>

struct raw_file {
    int fd;
    unsigned align; /* of buffers, offsets and lengths (O_DIRECT: RAW_DIRECT_ALIGN); 1: none */
};

/* What direct I/O needs at most where image_file_open() lets it through. */
enum { RAW_DIRECT_ALIGN = 512 };

/* Carries req out on the file, retrying interrupted and short transfers. A read that meets the end
 * of the file (somebody has cut it) is -EIO, never made-up bytes. Buffers that direct I/O cannot
 * take are copied. Blocks. */
int must_use raw_io(const struct raw_file *file, const struct blk_req *req);
/* Buffers, place and length are as `align` asks. */
bool raw_aligned(const struct blk_req *req, unsigned align);
