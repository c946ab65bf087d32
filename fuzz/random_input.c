/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target with repeatable random input: fuzz_NAME_random [SEED [INPUTS]]. */
#include "base/endian.h"
#include "input.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    uint64_t x = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 2 + 1;
    unsigned long inputs = argc > 2 ? strtoul(argv[2], NULL, 0) : 2000;
    uint8_t data[256];

    for (unsigned long n = 0; n < inputs; n++) {
        for (size_t i = 0; i < sizeof(data); i += 8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            st_le64(data + i, x);
        }
        (void)LLVMFuzzerTestOneInput(data, sizeof(data));
    }
    printf("%lu inputs\n", inputs);
    return 0;
}
