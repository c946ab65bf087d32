/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where Posada keeps things. Root: /var/lib/posada (guests, images), /var/cache/posada (what can be
 * fetched again), /run/posada (sockets). Other users: the XDG directories. POSADA_DATA_DIR,
 * POSADA_CACHE_DIR and POSADA_RUN_DIR replace one each, for tests and for several houses side by
 * side.
 */
#pragma once

#include <posada/err.h>

enum dirs_kind { DIRS_DATA, DIRS_CACHE, DIRS_RUN };

/* The directory's path, made if it is not there yet. ret_path is the caller's to free. */
int must_use dirs_get(enum dirs_kind kind, char **ret_path, struct err *err);
/* The same, with a folder below it: dirs_get_sub(DIRS_DATA, "images", ...). */
int must_use dirs_get_sub(enum dirs_kind kind, const char *folder, char **ret_path,
                          struct err *err);
