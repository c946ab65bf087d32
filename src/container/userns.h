/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of user namespaces (user_namespaces(7)): written directly where that is allowed, by
 * newuidmap(1) and newgidmap(1) where an ordinary user's subordinate ids are needed. */
#pragma once

#include "container/spec.h"

/* Maps for the new user namespace of process pid, seen from ours. */
int must_use userns_write_maps(pid_t pid, const struct spec_maps *maps, struct err *err);
/* One with these maps and nobody in it, for mount_setattr(2) or setns(2): a descriptor. */
int must_use userns_make(const struct spec_maps *maps, struct err *err);
/* True when both say the same. */
bool userns_same(const struct spec_maps *a, const struct spec_maps *b);
/* The id outside for one inside; -1: not mapped. */
int64_t userns_outside(const struct spec_map *maps, unsigned count, uint32_t inside);
