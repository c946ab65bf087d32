/* SPDX-License-Identifier: Apache-2.0 */
/* For guests without /dev/port: outb PORT VALUE writes a byte to an I/O port. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
    unsigned long port, value;

    if (argc != 3)
        return 2;
    port = strtoul(argv[1], NULL, 0);
    value = strtoul(argv[2], NULL, 0);
    if (port > 0xffff || value > 0xff || ioperm(port, 1, 1) < 0) {
        perror("outb");
        return 1;
    }
    outb((unsigned char)value, (unsigned short)port);
    return 0;
}
