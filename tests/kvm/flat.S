/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program as the public kvm-unit-tests are: ELF of 32 bits with a Multiboot header, output on the
 * serial port, its result by isa-debug-exit. Says what it was started with; result 16 (exit code
 * 33) when loader's magic and command line are right, 17 when not.
 */
    .code32
    .section .text
    .align 4
header:
    .long 0x1badb002, 0, -0x1badb002

    .globl _start
_start:
    mov $stack, %esp
    mov $17, %edi
    cmp $0x2badb002, %eax
    jne 9f
    testl $4, (%ebx)            /* there is a command line */
    jz 9f
    mov 16(%ebx), %esi
    call print
    cmpb $'f', (%esi)           /* "flat ..." */
    jne 9f
    mov $16, %edi
9:  mov $newline, %esi
    call print
    mov %edi, %eax
    mov $0xf4, %dx
    out %eax, %dx
1:  hlt
    jmp 1b

/* Writes the text at %esi to the serial port. */
print:
    push %esi
1:  mov (%esi), %al
    test %al, %al
    jz 2f
    mov $0x3f8, %dx
    out %al, %dx
    inc %esi
    jmp 1b
2:  pop %esi
    ret

newline:
    .asciz "\r\n"
    .section .bss
    .skip 256
stack:
