/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that come with the program: recipes and guest programs. They lie in the build tree beside
 * the binary, installed in share/posada and lib/posada; POSADA_RESOURCE_DIR names another place.
 */
#pragma once

#include <posada/types.h>

enum resource_kind { RESOURCE_RECIPES, RESOURCE_GUEST };

/* Path of a file (name NULL: of the folder); NULL when it is not there. The caller's to free. */
char *resource_find(enum resource_kind kind, const char *name);
