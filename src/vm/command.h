/* SPDX-License-Identifier: Apache-2.0 */
/* A command in the guest as a stream: the guest's own (run) or one of a client (exec). */
#pragma once

#include "vm/agent_host.h"
#include "vm/stream.h"

struct command;

struct command_config {
    struct guest_log *log; /* NULL: none */
    bool lives_on;         /* goes on without clients (run); else the last one's leaving ends it */
    /* The command ended (why: agent_host.h) and all clients have been told; it is freed behind. */
    void (*ended)(void *arg, unsigned code, const char *why);
    void (*started)(void *arg); /* may be NULL */
    void *arg;
};

/* Clients may be attached to command_stream() before the command starts. */
struct command *command_new(const struct command_config *config); /* NULL: no memory */
int must_use command_start(struct command *c, struct agent_host *agent,
                           const struct agent_exec *exec, struct err *err);
bool command_is_started(const struct command *c);
struct stream *command_stream(struct command *c);
void command_free(struct command *c); /* hangs up what still runs; NULL is fine */
