/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces of a container by rtnetlink(7): its loopback, and devices that move in
 * (config-linux.md "Network Devices"). */
#pragma once

#include "container/spec.h"

/* Loopback of the calling process's network namespace. */
int must_use links_loopback_up(struct err *err);
/* Moves the host's devices into the namespace (a descriptor) under their new names. */
int must_use links_move(const struct spec *spec, int netns, struct err *err);
