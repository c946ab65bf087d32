/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of running guests: what stats, top and the metrics share. */
#pragma once

#include "vm/store.h"
#include <jansson.h>

/* A running guest's answer: {"engine", "stats": {NAME: number}, "gauges": [NAME]} (docs/stats.md).
 */
int must_use stats_ask(const struct guest *guest, json_t **ret_answer, struct err *err);
json_int_t stats_number(const json_t *stats, const char *name);

/* Prometheus' text format (version 0.0.4) of all guests; the exit code (metrics.c). */
int stats_metrics(void);
