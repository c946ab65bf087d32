/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: input.h. */
#include "input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t fuzz_take(struct fuzz_input *in, unsigned bytes)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < bytes && in->left; i++, in->p++, in->left--)
        val |= (uint64_t)*in->p << (8 * i);
    return val;
}

unsigned fuzz_byte(struct fuzz_input *in)
{
    return (unsigned)fuzz_take(in, 1);
}

void fuzz_die(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    abort();
}
