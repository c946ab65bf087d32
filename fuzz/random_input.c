/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzz target with repeatable random input: fuzz_NAME_random [SEED [INPUTS [BYTES]]],
 * BYTES each: 256, and at most 64 KiB. */
#include "base/endian.h"
#include "input.h"
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    uint64_t x = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 2 + 1;
    unsigned long inputs = argc > 2 ? strtoul(argv[2], NULL, 0) : 2000;
    unsigned long bytes = argc > 3 ? strtoul(argv[3], NULL, 0) : 256;
    static uint8_t data[1 << 16];

    if (bytes > sizeof(data))
        bytes = sizeof(data);

    for (unsigned long n = 0; n < inputs; n++) {
        for (size_t i = 0; i < bytes; i += 8) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            st_le64(data + i, x);
        }
        (void)LLVMFuzzerTestOneInput(data, bytes);
    }
    printf("%lu inputs\n", inputs);
    return 0;
}
