/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happened to guests: DATA/events.log, one JSON object a line (docs/events.md), oldest first,
 * numbered without gaps from 1 on; when it is full it becomes events.log.1. Written under a lock by
 * the command line and by keepers. A guest's monitor is locked in and cannot; it hands its keeper
 * one byte an event, an enum event_action.
 */
#pragma once

#include "vm/store.h"
#include <jansson.h>

enum event_action {
    EVENT_CREATED,
    EVENT_STARTING,
    EVENT_RUNNING,
    EVENT_PAUSED,
    EVENT_RESUMED,
    EVENT_REBOOTED,
    EVENT_AGENT_LOST,
    EVENT_STOPPING,
    EVENT_STOPPED,
    EVENT_FAILED,
    EVENT_RESTARTING,
    EVENT_HELPER_RESTARTED,
    EVENT_RENAMED,
    EVENT_CHANGED,
    EVENT_REMOVED,
    EVENT_ACTIONS
};

const char *event_action_name(enum event_action action);

/* Appends one; steals attrs (further keys of the object, NULL: none). What cannot be written down
 * is lost: an event never stops what it tells of. */
void event_add(enum event_action action, const struct guest *guest, json_t *attrs);

enum { EVENT_LOG_MAX = 1 << 20, EVENT_LINE_MAX = 2048 };

/* Reads the log from its beginning, across its two files, and on as it grows. */
struct event_reader {
    int fd; /* -1: nothing to read yet */
    bool older;
    char line[EVENT_LINE_MAX];
};

void event_reader_init(struct event_reader *reader);
void event_reader_done(struct event_reader *reader);
/* The next event (new reference), NULL when there is none now. Lines that make no sense are
 * skipped. */
json_t *event_next(struct event_reader *reader);
/* "2026-11-27T12:00:00.123Z" of milliseconds since 1970. */
void event_time_text(uint64_t ms, char ret[32]);
