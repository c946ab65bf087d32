/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's network as its configuration wants it: which back end, and what to say when it fails.
 * Values: "user", "none" (or NULL), "tap:IFNAME[,BRIDGE]", else the name of a network.
 */
#pragma once

#include <posada/netdev.h>
#include <posada/vm.h>

struct loop;

#define NETWORK_USER "user"
#define NETWORK_NONE "none"

/* What the keeper prepares, because it must not be the monitor's child: a place on a named
 * network. */
struct network_place {
    int fd;         /* -1: none */
    struct err err; /* why not; code 0: nothing was wanted, or fd is there */
};
void network_prepare(const struct vm_config *vm, int log_fd, struct network_place *ret_place);
/* After the guest's end: nothing of its network is left behind. */
void network_tidy(const struct vm_config *vm);

struct network_config {
    const struct vm_config *vm;
    const struct network_place *place;
    int log_fd; /* for helper processes */
    void (*lost)(void *arg);
    void *arg;
};

/* Opens the back end, starting what processes it needs: before the sandbox. NULL in *ret_dev when
 * the guest has no network. netdev_close() (net/port.h) ends it. */
int must_use network_open(struct loop *loop, const struct network_config *config,
                          struct netdev **ret_dev, struct err *err);

/* --net's value: what can be told without trying. */
int must_use network_check(const char *net, struct err *err);
