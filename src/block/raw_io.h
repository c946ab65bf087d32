/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of one raw disk request, from start to end: 0 or a negative errno. */
#pragma once

#include <posada/blockdev.h>

/* Carries req out on fd, retrying interrupted and short transfers. A read that meets the end of
 * the file (somebody has cut it) is -EIO, never made-up bytes. Blocks. */
int must_use raw_io(int fd, const struct blk_req *req);
