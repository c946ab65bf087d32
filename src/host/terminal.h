/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal in raw mode, and back on every way out: return, exit(), a signal that ends the
 * process, and being stopped (raw again when continued). kill -9 is the one way it cannot catch.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

/* One terminal a process. A second call while raw does nothing. */
int must_use terminal_raw(int fd, struct err *err);
void terminal_restore(void); /* safe in signal handlers and when not raw */

/* False when fd is no terminal or does not know. */
bool terminal_size(int fd, unsigned *ret_rows, unsigned *ret_columns);
