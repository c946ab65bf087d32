/* SPDX-License-Identifier: Apache-2.0 */
/* Signals by name. */
#pragma once

/* "TERM", "SIGTERM", "term" or "15": its Linux number, 1 to 64; -EINVAL. */
int signal_parse(const char *text);
