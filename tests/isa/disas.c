/* SPDX-License-Identifier: Apache-2.0 */
/* disas FILE: disassembles raw RISC-V code, one instruction a line: address, tab, text. */
#include "cpu/riscv/riscv.h"

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    static uint8_t code[1 << 20];
    FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
    size_t len;
    unsigned n;
    char text[128];

    if (!f) {
        fprintf(stderr, "disas: give a file of raw code\n");
        return 2;
    }
    len = fread(code, 1, sizeof(code), f);
    fclose(f);
    for (size_t at = 0; at < len; at += n) {
        n = riscv_cpu_ops.disassemble(code + at, len - at, at, text, sizeof(text));
        if (!n)
            break;
        printf("%" PRIx64 "\t%s\n", (uint64_t)at, text);
    }
    return 0;
}
