/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that an engine wants to be called along a container's way (config.md "POSIX-platform
 * Hooks"): each gets the state on its standard input, the first failure ends the row. */
#pragma once

#include "container/spec.h"

/* state: the JSON text they read. The hook's own environment, or ours when it has none. Its time
 * over, a hook is killed. */
int must_use hooks_run(const struct spec *spec, enum spec_hook_kind kind, const char *state,
                       struct err *err);
/* The object as text; NULL: no memory. */
const char *hooks_annotations(struct arena *arena, const struct json *annotations);
/* What a seccomp listener is told (config-linux.md "The Container Process State"). */
const char *hooks_seccomp_state(struct arena *arena, pid_t pid, const char *metadata,
                                const char *state);
/* The state document of runtime.md "State"; NULL: no memory. */
const char *hooks_state(struct arena *arena, const char *version, const char *id,
                        const char *status, pid_t pid, const char *bundle,
                        const struct json *annotations);
