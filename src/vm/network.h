/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's networks as its configuration wants them: which back ends, and what to say when one
 * fails. Values: "user", "tap:IFNAME[,BRIDGE]", else the name of a network; "none" in --net only.
 */
#pragma once

#include "net/orders.h"

#include <posada/netdev.h>
#include <posada/vm.h>
#include <sys/types.h>

struct loop;

#define NETWORK_USER "user"
#define NETWORK_NONE "none"

struct networks_events {
    /* A network's helper process has ended; the guest's cable is out. again: its keeper can start
     * another one, for networks_reconnect(). */
    void (*lost)(void *arg, unsigned number, bool again);
    void *arg;
};

/* A place on a named network, which the keeper takes: a hub must not be the monitor's child. */
struct network_place {
    int fd;         /* -1: none */
    struct err err; /* why not */
};

struct network {
    struct netdev *port; /* the back end */
    struct netdev *dev;  /* what the guest's device has: the back end behind its limits */
    struct network_place place;
    struct net_orders orders; /* of a user network: changes of its forwarded ports */
    const struct networks_events *events;
    const char *name;
    unsigned number;
};

struct networks {
    struct network net[VM_NETS_MAX]; /* as in the configuration */
    struct networks_events events;
};

/* In the keeper: takes the places that config needs. */
void networks_prepare(struct networks *n, const struct vm_config *config, int log_fd);
/* In the keeper: another helper, or place on a hub, for a guest that has lost it: one descriptor,
 * or two. ret_pid: a child of ours, 0: it is not the guest's alone. */
int must_use network_start(const struct vm_config *config, unsigned number, int log_fd,
                           pid_t *ret_pid, int ret_fds[2], unsigned *ret_count, struct err *err);
int must_use network_start_vsock(const struct vm_config *config, int log_fd, pid_t *ret_pid,
                                 int *ret_fd, struct err *err);
/* In the monitor, before the sandbox: opens the back ends, starting what processes they need, whose
 * complaints go to log_fd. n and config stay where they are until networks_close(). */
int must_use networks_open(struct networks *n, struct loop *loop, const struct vm_config *config,
                           const struct networks_events *events, int log_fd, struct err *err);
/* In the monitor: with what network_start() gave, which is taken over; -EINVAL: there is none such
 * that could be connected again. */
int must_use networks_reconnect(struct networks *n, unsigned number, const int fds[2]);
/* Forwards a port of the host from now on, or no longer (NET_ORDER_ADD, NET_ORDER_REMOVE; text as
 * net_forward_print() writes it); done hears how it went, as of net_orders_give(). */
int must_use networks_order(struct networks *n, char order, const char *text, net_order_fn done,
                            void *arg, struct err *err);
void networks_forget_order(struct networks *n); /* done is not called any more */
/* New limits for all of them: text of net/limit.h, NULL for none. */
int must_use networks_set_rate(struct networks *n, const char *rate, struct err *err);
/* Requests of ioctl(2) that the monitor goes on making for its networks; how many. */
size_t networks_ioctls(const struct vm_config *config, uint32_t *ret, size_t room);
void networks_close(struct networks *n);
/* After the guest's end: nothing of its networks, and of its vsock, is left behind. */
void networks_tidy(const struct vm_config *config);

/* The same for what nobody cleaned up. */
void networks_sweep(void);

/* --net's value: what can be told without trying. */
int must_use network_check(const char *net, struct err *err);
bool network_is_named(const char *net); /* shared by name with other guests */
