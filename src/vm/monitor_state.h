/* SPDX-License-Identifier: Apache-2.0 */
/* What monitor.c and the other files of the monitor share. */
#pragma once

#include "vm/agent_host.h"
#include "vm/command.h"
#include "vm/console.h"
#include "vm/control.h"
#include "vm/events.h"
#include "vm/machine.h"
#include "vm/network.h"
#include "vm/shares.h"
#include "vm/store.h"
#include <pthread.h>

enum {
    STOP_SECONDS = 10,          /* for a clean power-down nobody gave a time for */
    LAST_WORDS_NS = 2000000000, /* for clients to take the end of a guest's output */
};

struct monitor {
    struct guest *guest;
    struct vm_config config;
    struct guest_record record;
    pthread_mutex_t lock; /* the machine lock: held whenever anything below is touched */
    struct loop *loop;
    struct machine *machine;
    struct guest_log *console_log, *output_log;
    struct console *console;
    struct networks net;
    struct conn *order; /* the client that waits for a change of its ports; NULL: none */
    struct shares shares;
    bool mounted;           /* the guest has had all of them */
    struct vsockdev *vsock; /* NULL: none */
    struct agent_host *agent;
    struct command *command; /* the guest's own; NULL: none, or ended */
    struct control *control;
    struct conn *owner;       /* the command line that waits for this guest; NULL: detached */
    struct loop_timer *timer; /* stop's patience, then last words */
    struct loop_timer *sync;  /* writes a changed record down */
    struct {
        struct loop_timer *timer;
        char why[208];   /* what the last panic said; empty: none since the last start */
        uint64_t at_ns;  /* when, on the host's monotonic clock */
        bool last_words; /* the last line is one that a panicked kernel ends with */
    } panic;
    int event_fd;  /* to the keeper; -1: none */
    int memory_fd; /* for memory_use_read(), or a negative errno */
    bool begun;    /* the owner has said what it wants; vCPUs run */
    bool ending;   /* only last words are left */
};

void monitor_request(void *arg, struct conn *conn, const json_t *request);
void monitor_gone(void *arg, struct conn *conn, bool detached);

/* Notes a state and why; it reaches the disk soon. */
void monitor_state(struct monitor *m, enum vm_state state, const char *fmt, ...) printf_fn(3, 4);
void monitor_sync(struct monitor *m); /* now */
void monitor_event(struct monitor *m, enum event_action action);
/* False: no keeper is there to hear it. */
bool monitor_tell_keeper(const struct monitor *m, uint8_t byte);
/* Networks, vsock and shares, and the helper processes behind them (monitor_links.c): opened before
 * the sandbox. monitor_close_links() also after a failure. */
int must_use monitor_open_links(struct monitor *m, struct err *err);
void monitor_close_links(struct monitor *m);
void monitor_on_shares(void *arg, const struct err *err);
/* Panics (monitor_panic.c): hears every line of the console; whether a reset was one's end (then
 * the guest's end has been noted). */
int must_use monitor_panic_init(struct monitor *m);
void monitor_on_line(void *arg, const char *line);
bool monitor_reset_is_panic(struct monitor *m);
void monitor_begin(struct monitor *m);
/* Clean power-down, then the hard way after seconds. */
void monitor_stop(struct monitor *m, unsigned seconds);
/* The guest is over: state is VM_STOPPED or VM_FAILED. Later calls change nothing. */
void monitor_end(struct monitor *m, enum vm_state state, unsigned code, const char *reason);
