/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share: choices taken from the input, a place beside which nothing may change.
 */
#pragma once

#include <posada/types.h>

struct fuzz_input {
    const uint8_t *p;
    size_t left;
};

/* libFuzzer's entry point; each target defines it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Bytes little-endian; zeroes once the input has ended: they must be harmless choices. */
uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes);
unsigned fuzz_byte(struct fuzz_input *in);
/* A promise was broken: says which and aborts. */
noreturn_fn void fuzz_die(const char *what);
