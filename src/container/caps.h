/* SPDX-License-Identifier: Apache-2.0 */
/* Capability sets of the calling thread (capabilities(7)), without libcap: three system calls. */
#pragma once

#include "container/spec.h"

/* Drops from the bounding set what is not in it; needs CAP_SETPCAP. */
int must_use caps_bound(uint64_t bounding);
/* Sets the three sets and the ambient one; the last step before exec. */
int must_use caps_set(const struct spec_capabilities *caps);
/* Everything that is permitted becomes effective (after a change of user with keep-caps). */
int must_use caps_raise(void);
/* Bits of all capabilities this kernel knows. */
uint64_t caps_known(void);
bool caps_have(int capability);
