/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines for people: "LEVEL subject: text". Only cli, api, vm and guest errors log above debug;
 * lower layers return errors instead. Lines go to stderr, or to the guest's log file in a monitor.
 */
#pragma once

#include <posada/types.h>
#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Level and destination of this process; fd stays owned by the caller. Default: WARN, stderr. */
void log_setup(enum log_level level, int fd, bool timestamps);
bool log_on(enum log_level level);
void log_msg(enum log_level level, const char *fmt, ...) printf_fn(2, 3);

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)
