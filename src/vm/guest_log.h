/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest printed: a bounded pair of files (NAME and, older, NAME.1) and the last 64 KiB in
 * memory for whoever attaches; beside each file NAME.times tells when its pieces were written, as
 * pairs of 64-bit little-endian numbers: offset in the file, milliseconds since 1970. A guest that
 * floods its console fills neither disk nor memory.
 */
#pragma once

#include <posada/err.h>

struct guest_log;
struct loop;

enum { GUEST_LOG_TAIL = 65536, GUEST_LOG_FILE_MAX = 4 << 20 };

/* Opens NAME in dir_fd for appending; the descriptor stays the caller's and open. */
int must_use guest_log_open(int dir_fd, const char *name, struct guest_log **ret, struct err *err);
/* From now on full files are put aside by the loop, soon after, and not by whoever adds: that may
 * be a thread that is not allowed to. -ENOMEM. The loop outlives the log. */
int must_use guest_log_turn_on(struct guest_log *log, struct loop *loop);
void guest_log_close(struct guest_log *log); /* writes what is left; NULL is fine */
void guest_log_add(struct guest_log *log, const uint8_t *data, size_t len);
/* Adds reach the file here, at the latest; nobody reports a full disk but a line in the log. */
void guest_log_flush(struct guest_log *log);
/* The last bytes, oldest first, in at most two pieces: calls fn for each. */
void guest_log_tail(const struct guest_log *log,
                    void (*fn)(void *arg, const uint8_t *data, size_t len), void *arg);
