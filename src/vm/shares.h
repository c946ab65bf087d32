/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's shares as its configuration wants them: what -v says, the back ends, and having the
 * guest mount them before anything of its own runs. Event loop, machine lock held.
 */
#pragma once

#include <posada/err.h>
#include <posada/vm.h>
#include <stdbool.h>
#include <sys/types.h>

struct agent_host;
struct fsdev;
struct loop;
struct loop_timer;

/* "HOST:GUEST[:OPTION,...]", options: ro rw uid=N gid=N guest-uid=N guest-gid=N. Fills share but
 * for its tag; HOST must be a folder that is there, or a file where files is true. what: for
 * messages, "--volume". */
int must_use vm_share_parse(const char *what, const char *text, bool files, struct vm_share *share,
                            struct err *err);
/* Parses one more into config: no two at the same place. */
int must_use vm_share_add(const char *what, const char *text, struct vm_config *config,
                          struct err *err);

struct shares_events {
    /* All are mounted; or one is not, and err says which and why. */
    void (*mounted)(void *arg, const struct err *err);
    /* A share's helper process has ended; the guest gets errors until shares_reconnect(). */
    void (*lost)(void *arg, unsigned number);
    void *arg;
};

struct shares {
    const struct vm_config *vm;
    struct fsdev *dev[VM_SHARES_MAX]; /* as in the configuration */
    struct shares_events events;
    struct loop_timer *timer;
    uint32_t waiting; /* shares the guest has not answered for */
};

/* Starts the helpers: before the sandbox. shares_close() also after a failure. */
int must_use shares_open(struct shares *s, struct loop *loop, const struct vm_config *vm,
                         const struct shares_events *events, int log_fd, struct err *err);
/* In the keeper: another helper for a guest that has lost it. */
int must_use share_restart(const struct vm_config *vm, unsigned number, int log_fd, pid_t *ret_pid,
                           int ret_fds[2], struct err *err);
/* With what share_restart() gave, which is taken over; -EINVAL: no such share. */
int must_use shares_reconnect(struct shares *s, unsigned number, const int fds[2]);
void shares_close(struct shares *s);
/* Has the guest mount all of them; events.mounted() follows, at once when there are none. */
void shares_mount(struct shares *s, struct agent_host *agent);
/* The agent's answer (agent_events.mounted). */
void shares_answer(struct shares *s, uint32_t number, uint32_t code);
/* The agent is gone: nobody will answer. */
void shares_give_up(struct shares *s);
