/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's configuration as JSON, the form in which it is kept; and the checks on its values. */
#pragma once

#include <jansson.h>
#include <posada/vm.h>

/* New reference; NULL without memory. */
json_t *vm_config_to_json(const struct vm_config *config);
/* Refuses unknown keys and wrong types. config is zeroed first; vm_config_done() frees it. */
int must_use vm_config_from_json(const json_t *json, struct vm_config *config, struct err *err);

/* Copies of argv-like lists; NULL stays NULL. */
int must_use vm_strings_copy(char *const *from, size_t count, char ***ret);
void vm_strings_free(char **strings);

int must_use vm_name_check(const char *name, struct err *err);
