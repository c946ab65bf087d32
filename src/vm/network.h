/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's network as its configuration wants it: which back end, and what to say when it fails.
 */
#pragma once

#include <posada/netdev.h>
#include <posada/vm.h>

struct loop;

struct network_config {
    const struct vm_config *vm;
    int log_fd; /* for helper processes */
    void (*lost)(void *arg);
    void *arg;
};

/* Opens the back end, starting what processes it needs: before the sandbox. NULL in *ret_dev when
 * the guest has no network. netdev_close() (net/port.h) ends it. */
int must_use network_open(struct loop *loop, const struct network_config *config,
                          struct netdev **ret_dev, struct err *err);

#define NETWORK_USER "user"
#define NETWORK_NONE "none"
/* --net's value: what can be told without trying. */
int must_use network_check(const char *net, struct err *err);
