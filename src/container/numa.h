/* SPDX-License-Identifier: Apache-2.0 */
/* NUMA memory policy of a container (runtime-spec 1.3 config-linux.md "Memory policy"). */
#pragma once

#include "container/json.h"

/* Checks the object without doing anything: part of reading the configuration. */
void numa_check(struct json_reader *r, const struct json *policy);
/* set_mempolicy(2) for the calling thread and its children; NULL: nothing. */
int must_use numa_apply(const struct json *policy, struct err *err);
