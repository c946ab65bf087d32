/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A helper process of a guest's monitor: this program again, under a hidden verb, which speaks over
 * one socket that keeps messages apart. Its first message is the struct err of its start.
 */
#pragma once

#include "host/sandbox_helper.h"

#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

enum { NET_HELPER_LINK_FD = 3 }; /* where the helper finds its end */
/* Of one that takes orders (net/orders.h): where they come, if it is a socket. */
enum { NET_HELPER_ORDERS_FD = 4 };
/* Of a helper whose link is a tap: where it says how its start went, the process with whose end it
 * ends too, and its rates (net_gate_init()). Others it gets follow. */
enum { NET_HELPER_REPORT_FD = 4, NET_HELPER_LIFE_FD, NET_HELPER_RATES_FD, NET_HELPER_MORE_FD };

struct net_helper_config {
    const char *guest; /* for messages */
    const char *what;  /* "network helper" */
    char *const *argv; /* from the program's name on, NULL-terminated */
    int log_fd;        /* where it complains */
};

/* Starts it and waits until it has said that it could begin. ret_fd does not block. ret_orders_fd:
 * NULL for one that takes none. */
int must_use net_helper_start(const struct net_helper_config *config, pid_t *ret_pid, int *ret_fd,
                              int *ret_orders_fd, struct err *err);
/* What a helper whose link is a tap finds. */
struct net_helper_tap {
    int tap_fd;
    int life_fd;  /* a pidfd */
    int rates_fd; /* net_gate_open()'s */
    int more_fd;  /* -1: none */
};
int must_use net_helper_start_tap(const struct net_helper_config *config,
                                  const struct net_helper_tap *tap, pid_t *ret_pid,
                                  struct err *err);
/* In the helper: whether it is such a one. */
bool net_helper_has_tap(void);
/* In the helper: sandbox_enter_helper(), and what is missing of it goes to the log. */
int must_use net_helper_enter(const struct sandbox_helper *box, struct err *err);
/* In the helper: says how its start went. Negative: nobody listens. */
int must_use net_helper_report(int fd, const struct err *err);
