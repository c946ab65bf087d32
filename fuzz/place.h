/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of a fuzz target's own, with a file `secret` in it that hostile names must not reach.
 */
#pragma once

/* Makes the directory and the file, once; both are removed at exit. */
void fuzz_place_begin(void);
/* NAME in the directory; valid until the next call. */
const char *fuzz_place_path(const char *name);
/* The file is as it was made: the same, with its bytes, mode and links; aborts otherwise. */
void fuzz_place_check(void);
