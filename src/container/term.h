/* SPDX-License-Identifier: Apache-2.0 */
/* A container's terminal (runtime-spec config.md "terminal"): made inside, its master handed out.
 */
#pragma once

#include "container/spec.h"

struct term {
    int master, slave;
};

/* From the container's own devpts below root, or the host's when it has none. Ownership and size
 * as the process wants them. */
int must_use term_open(int root, const struct spec_process *process, struct term *ret,
                       struct err *err);
/* Makes it the standard descriptors and the controlling terminal of this session; closes slave. */
int must_use term_take(struct term *term, struct err *err);
