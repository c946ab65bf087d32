/* SPDX-License-Identifier: Apache-2.0 */
/* Names of guest architectures; images and guests know them alike. Contract: posada/vm.h. */
#include <posada/vm.h>
#include <string.h>

static const char *const arch_names[ARCH_COUNT] = {"riscv64", "aarch64", "x86_64"};
static const char *const arch_debian_names[ARCH_COUNT] = {"riscv64", "arm64", "amd64"};

int vm_arch_parse(const char *name)
{
    for (int i = 0; i < ARCH_COUNT; i++)
        if (!strcmp(arch_names[i], name) || !strcmp(arch_debian_names[i], name))
            return i;
    return -1;
}

const char *vm_arch_name(enum vm_arch arch)
{
    return arch_names[arch];
}

const char *vm_arch_debian_name(enum vm_arch arch)
{
    return arch_debian_names[arch];
}
