/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where posada-oci begins, before the C library does. self_protect() is to execute the program once
 * more; done first of all, the library gets ready once instead of twice, which on a virtual machine
 * costs 0.2 ms of CPUID instructions alone, each one an exit to the hypervisor. So nothing here may
 * use the library: no errno, no stack protector, no function of it. Whatever fails or is unclear is
 * left to self_protect(), which looks at the outcome in any case.
 */
#include "container/self.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

/* The kernel's protocol at a program's start: the stack pointer leads to argc. */
asm(".text\n"
    ".globl entry_begin\n"
    "entry_begin:\n"
    "  xor %ebp, %ebp\n"
    "  mov %rsp, %rbx\n"
    "  mov %rdx, %r12\n"
    "  mov %rsp, %rdi\n"
    "  and $-16, %rsp\n"
    "  call entry_protect\n"
    "  mov %rbx, %rsp\n"
    "  mov %r12, %rdx\n"
    "  jmp _start\n");

void entry_protect(long *stack);

self_inline long entry_call(long number, long a, long b, long c, long d, long e)
{
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    long r;

    asm volatile("syscall"
                 : "=a"(r)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    return r;
}

/* execveat() of a descriptor alone names the program so: we are what somebody has executed that
 * way, this function most likely. */
self_inline bool entry_is_second(const long *aux)
{
    static const char by_descriptor[] = "/dev/fd/";

    for (; aux[0] != AT_NULL; aux += 2) {
        const char *name = (const char *)aux[1];

        if (aux[0] != AT_EXECFN)
            continue;
        for (unsigned i = 0; by_descriptor[i]; i++)
            if (name[i] != by_descriptor[i])
                return false;
        return true;
    }
    return true;
}

/* As self_mount() does it. */
self_inline void entry_execute(int exe, char *const *argv, char *const *environ)
{
    struct mount_attr attr;
    long tree = entry_call(SYS_open_tree, exe, (long)"",
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH, 0, 0);

    if (tree < 0)
        return;
    attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
    attr.attr_clr = 0;
    attr.propagation = MS_PRIVATE;
    attr.userns_fd = 0;
    if (entry_call(SYS_mount_setattr, tree, (long)"", AT_EMPTY_PATH, (long)&attr, sizeof(attr)) ==
        0)
        entry_call(SYS_execveat, tree, (long)"", (long)argv, (long)environ, AT_EMPTY_PATH);
    entry_call(SYS_close, tree, 0, 0, 0, 0);
}

__attribute__((used, no_stack_protector)) void entry_protect(long *stack)
{
    char *const *argv = (char *const *)(stack + 1), *const *environ = argv + stack[0] + 1;
    char *const *end = environ;
    struct statfs fs;
    long exe;

    while (*end)
        end++;
    if (!self_is_needed(argv) || entry_is_second((const long *)(end + 1)) ||
        entry_call(SYS_geteuid, 0, 0, 0, 0, 0))
        return;
    exe = entry_call(SYS_open, (long)"/proc/self/exe", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (exe < 0)
        return;
    if (entry_call(SYS_fstatfs, exe, (long)&fs, 0, 0, 0) == 0 && !(fs.f_flags & MS_RDONLY))
        entry_execute((int)exe, argv, environ);
    entry_call(SYS_close, exe, 0, 0, 0, 0);
}
