/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A perf map, /tmp/perf-PID.map: lines "START SIZE NAME" by which `perf report` names translated
 * code. A translation is named by the guest function it was made from, if the guest's symbols are
 * known, else by its guest-virtual address. It names what there is: when a part of the code memory
 * is emptied the file starts anew with what is left, so it stays as small as the code memory, and
 * samples taken before of what is gone get the names of what came after. Jit lock held.
 */
#pragma once

#include <posada/err.h>
#include <stddef.h>
#include <stdint.h>

struct perf_map;

/* symbols: a file for symbols_load(), NULL: none. */
int must_use perf_map_new(const char *symbols, struct perf_map **ret_map, struct err *err);
void perf_map_free(struct perf_map *map); /* the file stays; NULL is fine */
/* kind: what stands before the name: "", "region ". */
void perf_map_add(struct perf_map *map, const void *code, size_t size, uint64_t guest_va,
                  const char *kind);
void perf_map_add_named(struct perf_map *map, const void *code, size_t size, const char *name);
void perf_map_clear(struct perf_map *map);
