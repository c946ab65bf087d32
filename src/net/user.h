/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user network: libslirp in a helper process of its own, which the guest's monitor talks to
 * over a socket (net/port.h). The guest is 10.0.2.15 and fd00::MAC, the host 10.0.2.2 and fd00::2,
 * the name server 10.0.2.3 and fd00::3; DHCP and router advertisements say so.
 */
#pragma once

#include <posada/err.h>
#include <posada/netdev.h>
#include <sys/types.h>

struct loop;

enum { NET_USER_MTU = 65520 };

struct net_user_config {
    const char *guest;    /* its name, also as DHCP's host name */
    const char *uuid;     /* of the guest */
    const char *mac;      /* "02:..." */
    char *const *forward; /* net/forward.h's text, NULL-terminated; NULL: none */
    int log_fd;           /* where the helper complains */
    void (*lost)(void *arg);
    void *arg;
};

/* Starts the helper and waits until its ports are open; ret_fd is for net_port_reconnect(),
 * ret_orders_fd for net_orders_connect(). */
int must_use net_user_start(const struct net_user_config *config, pid_t *ret_pid, int *ret_fd,
                            int *ret_orders_fd, struct err *err);
/* The same, with the back end to it. */
int must_use net_user_new(struct loop *loop, const struct net_user_config *config,
                          struct netdev **ret_dev, int *ret_orders_fd, struct err *err);
/* Whether libslirp is there. Loads it: not for processes that live long. */
bool net_user_available(void);

/* The helper: arguments are guest, uuid, mac, forwards. The exit code. */
int net_user_main(char *const *arguments, unsigned count);
