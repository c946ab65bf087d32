/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container may do where nobody says otherwise: the capabilities and system calls that
 * engines customarily leave to containers, and the paths of /proc and /sys that they hide. The
 * profile is a list of what is allowed; calls it does not know do not exist (ENOSYS), so programs
 * fall back, and those of the host's administration are refused (EPERM).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* All return new references, NULL without memory. root: the process is the container's root. */
json_t *ctr_profile_capabilities(bool root);
json_t *ctr_profile_seccomp(void);
json_t *ctr_profile_masked(void);
json_t *ctr_profile_readonly(void);
/* A list of texts; ends with NULL. */
json_t *ctr_json_texts(const char *const *texts);
