/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs that work on existing guests share. */
#pragma once

#include "vm/store.h"
#include <jansson.h>

struct cli_args;

#define CLI_DETACH_OPTION                                                                          \
    {                                                                                              \
        "detach-keys", 0, "KEYS", "keys that detach (default: ctrl-p,ctrl-q)"                      \
    }

/* Puts right whatever processes that were killed have left. */
void guests_tidy(void);
/* One that has ended, while what is left of it is still being cleared away: waits for that. */
void guests_see_out(const struct guest *guest);
/* Tidies the store, then opens the guest. */
int must_use guests_open(const char *name, struct guest *ret_guest, struct err *err);
/* Runs fn for each operand; failures are printed, the first one's exit code is returned. done:
 * names that went well are printed, as scripts like it. */
int guests_each(const struct cli_args *args, const char *done,
                int (*fn)(const struct cli_args *args, struct guest *guest, struct err *err));

/* Starts a guest in the background (start.c). */
int must_use guests_start(struct guest *guest, struct err *err);
/* Powers a guest down, kills it when that takes longer; 0 when it does not run (stop.c). */
int must_use guests_stop(struct guest *guest, unsigned seconds, struct err *err);
/* Ends a guest at once, even one whose process no longer answers (stop.c). */
int must_use guests_kill(struct guest *guest, struct err *err);

/* Locks a guest that nobody runs: store_lock_guest(), once what has just ended is out of the way
 * and a monitor has taken over what another one left. */
int must_use guests_lock(struct guest *guest, struct err *err);
/* Removes a guest; one that runs is ended first by `end` (as guests_stop(), with these seconds), or
 * refused (-EBUSY) where that is NULL. */
int must_use guests_remove(struct guest *guest,
                           int (*end)(struct guest *guest, unsigned seconds, struct err *err),
                           unsigned seconds, struct err *err);

/* Sends a request that has no further keys, to one that runs. */
int must_use guests_ask(const struct guest *guest, const char *op, struct err *err);
/* The same with a request of more than its name; steals it. */
int must_use guests_ask_request(const struct guest *guest, json_t *request, struct err *err);
bool guests_is_container(const struct guest *guest);

/* {"op": op}; add further keys. */
json_t *guests_request(const char *op);
/* "running", or "starting: waiting for agent, 12 s". */
void guests_state_text(const struct guest_record *record, char *buf, size_t size);
/* "3 min", "2 h"... since then. */
void guests_age_text(uint64_t since, char *buf, size_t size);
void guests_size_text(uint64_t bytes, char *buf, size_t size);
