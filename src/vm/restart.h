/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a guest that has ended is started again, and after how long. The guest's keeper asks; the
 * policy is read anew each time, so that it can be changed while the guest runs.
 */
#pragma once

#include "vm/store.h"

enum restart_when {
    RESTART_NO,
    RESTART_ON_FAILURE,     /* failed, or ended with another code than 0 */
    RESTART_ALWAYS,         /* also after the host has started (posada start --boot) */
    RESTART_UNLESS_STOPPED, /* so too, but not when it was stopped by request before */
};

struct restart_policy {
    enum restart_when when;
    unsigned max; /* how often in a row, 0: no limit */
};

/* "no", "on-failure", "on-failure:5", "always", "unless-stopped"; NULL or "": no. */
int must_use restart_parse(const char *text, struct restart_policy *ret, struct err *err);

/* record: of the run that has just ended; tries: restarts in a row before. */
bool restart_is_due(const struct restart_policy *policy, const struct guest_record *record,
                    unsigned tries);
/* Starts again after the host has started. stopped: by request, before. */
bool restart_at_boot(const struct restart_policy *policy, bool stopped);

enum { RESTART_SOUND_SECONDS = 10 }; /* who lived this long starts counting anew */
/* How long to wait before try number tries (from 0): 100 ms, doubled up to a minute. */
unsigned restart_delay_ms(unsigned tries);
