/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the agent in a guest (posada/agent.h), over one chardev: is there an agent,
 * running commands through it, clean power-down. All calls and callbacks: event loop, machine lock.
 * The guest is hostile: whatever it sends, memory stays bounded by the windows of its channels, and
 * a stream that breaks the protocol is closed until the guest opens its port again.
 */
#pragma once

#include <posada/agent.h>
#include <posada/chardev.h>
#include <posada/err.h>

struct agent_host;
struct agent_session; /* one running command */

struct agent_events {
    void (*ready)(void *arg);                 /* the first HELLO since the port was opened */
    void (*lost)(void *arg, const char *why); /* after ready only; sessions have ended before */
    /* Answer to agent_host_mount(); code: 0 or the guest's errno. Optional. */
    void (*mounted)(void *arg, uint32_t number, uint32_t code);
    void *arg;
};

struct agent_exec {
    char *const *argv;          /* NULL-terminated, at least one */
    char *const *env;           /* NULL-terminated or NULL */
    const char *user, *workdir; /* NULL: the guest's default */
    bool tty, open_stdin;
    bool own;               /* the agent's own command (AGENT_EXEC_OWN) */
    unsigned rows, columns; /* with tty */
};

struct agent_session_events {
    void (*started)(void *arg, uint32_t pid);
    /* Bytes of AGENT_STDOUT or AGENT_STDERR, none: end of file. The guest may send on only as
     * agent_session_consumed() acknowledges them. */
    void (*output)(void *arg, unsigned type, const uint8_t *data, size_t len);
    void (*input_room)(void *arg, size_t bytes); /* the guest took that much of its stdin */
    /* The session is gone when this returns. why: NULL when the command ran and ended with code,
     * else a sentence (code 126, 127, or EXIT_RUN_FAILED). */
    void (*ended)(void *arg, unsigned code, const char *why);
    void *arg;
};

struct agent_host *agent_host_new(const struct agent_events *events); /* NULL: no memory */
void agent_host_free(struct agent_host *host);                        /* ends all sessions */
struct chardev *agent_host_chardev(struct agent_host *host);

bool agent_host_ready(const struct agent_host *host);
/* "key=value" text of the last HELLO for key ("arch", "kernel", "hostname"); NULL: not told. */
const char *agent_host_info(const struct agent_host *host, const char *key);
/* Asks for a clean power-down; -ENOTCONN without an agent. */
int must_use agent_host_shutdown(struct agent_host *host, enum agent_shutdown how);

/* Has the guest mount a share; events.mounted() follows. -ENOTCONN without an agent. */
int must_use agent_host_mount(struct agent_host *host, uint32_t number, bool read_only,
                              const char *tag, const char *path);

/* -ENOTCONN without an agent, -EBUSY when all channels are in use, -E2BIG. */
int must_use agent_host_exec(struct agent_host *host, const struct agent_exec *exec,
                             const struct agent_session_events *events,
                             struct agent_session **ret_session, struct err *err);
/* Bytes for the command; none: end of file. -ENOBUFS beyond what the window allows. */
int must_use agent_session_stdin(struct agent_session *s, const uint8_t *data, size_t len);
void agent_session_consumed(struct agent_session *s, size_t bytes);
int must_use agent_session_resize(struct agent_session *s, unsigned rows, unsigned columns);
int must_use agent_session_signal(struct agent_session *s, unsigned signal);
/* Nobody listens any more: hangs the command up and forgets it; no callback follows. */
void agent_session_close(struct agent_session *s);
