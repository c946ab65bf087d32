/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel parameters of a container (config-linux.md "Sysctl"): only those a namespace of its own
 * holds, anything else would change the host. */
#pragma once

#include "container/spec.h"

/* proc: a descriptor of a trusted /proc. Writes for the calling process's namespaces. */
int must_use sysctl_apply(const struct spec *spec, int proc, struct err *err);
/* The namespace that keeps the parameter, 0: the host does. */
uint64_t sysctl_namespace(const char *name);
