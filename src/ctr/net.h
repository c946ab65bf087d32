/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Networks of containers: a tap in the container's network namespace, whose other end is the same
 * that a VM's network card has: libslirp for the user network, the hub of a named network. So no
 * right of the host's is needed, and containers and VMs meet on one network. A process of its own
 * (net_make.c) sets them up, for that takes a while; the helpers it leaves end with the container,
 * whether or not a monitor lives.
 */
#pragma once

#include "ctr/job.h"
#include "vm/store.h"

struct ctr;

struct ctr_net {
    struct ctr_child setter;
    struct ctr_child helper[VM_NETS_MAX];
    int pipe; /* from the setter: the helpers' pids, or one sentence; -1: none */
    const char *guest;
    void (*done)(void *arg, const struct err *err);
    void *arg;
    bool down; /* its helpers' end is as it should be */
};

void ctr_net_init(struct ctr_net *net);
/* Before the container's program runs. done hears how it went; err->code 0: well. */
struct ctr_net_config {
    struct loop *loop;
    const char *self, *guest; /* this program; the guest's name */
    pid_t pid;                /* of its first process */
    int run_fd;               /* the guest's run directory */
    const char *rate;         /* of its configuration; NULL: no limit */
    void (*done)(void *arg, const struct err *err);
    void *arg;
};
int must_use ctr_net_up(struct ctr_net *net, const struct ctr_net_config *config, struct err *err);
/* From now on, for each of its networks. run_fd: the guest's run directory. */
int must_use ctr_net_set_rate(int run_fd, const char *rate, struct err *err);
/* Its container has ended. */
void ctr_net_down(struct ctr_net *net);
/* What its resolv.conf says; NULL: nothing. */
const char *ctr_net_resolver(const struct vm_config *config);

/* The setter: the exit code. */
int ctr_net_main(const char *guest, const char *pid);
