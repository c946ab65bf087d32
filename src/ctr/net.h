/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of containers: a tap in the container's network namespace, whose other end is the same
 * helper that a VM's network card has: libslirp for the user network, the hub of a named network.
 * So no right of the host's is needed, and containers and VMs meet on one network.
 */
#pragma once

#include "vm/store.h"

struct ctr_net {
    int keep[VM_NETS_MAX]; /* closing one ends its helper; -1: none */
    pid_t helper[VM_NETS_MAX];
    unsigned count;
};

void ctr_net_init(struct ctr_net *net);
/* Before the container's program runs; pid: its first process. */
int must_use ctr_net_up(struct ctr_net *net, const struct vm_config *config, pid_t pid, int log_fd,
                        struct err *err);
void ctr_net_down(struct ctr_net *net);
/* What its resolv.conf says; NULL: the host's is not for it. */
const char *ctr_net_resolver(const struct vm_config *config);
