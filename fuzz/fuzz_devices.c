/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer over the registers and memory of every device: the first byte chooses which. */
#include "script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    unsigned types = 0;

    while (rig_types[types])
        types++;
    if (len)
        (void)fuzz_registers(rig_types[data[0] % types], data + 1, len - 1);
    return 0;
}
