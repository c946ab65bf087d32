/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named networks as they are kept: DATA/networks/NAME.json says which subnet one has. A network is
 * made by `network create` or by the first guest that starts on it, which gets a subnet that no
 * other network has; it stays until it is removed.
 */
#pragma once

#include "net/subnet.h"
#include "vm/store.h"

struct netdef {
    char name[VM_NAME_MAX + 1];
    struct net_subnet subnet;
    uint64_t created; /* seconds since 1970 */
};

/* subnet NULL: one that is free. -EEXIST when there is such a network, or its subnet is taken. */
int must_use netdef_create(const char *name, const struct net_subnet *subnet,
                           struct netdef *ret_def, struct err *err);
/* The network, made if there is none. */
int must_use netdef_ensure(const char *name, struct netdef *ret_def, struct err *err);
int must_use netdef_read(const char *name, struct netdef *ret_def, struct err *err); /* -ENOENT */
/* Sorted, NULL-terminated; vm_strings_free(). */
int must_use netdef_list(char ***ret_names, struct err *err);
/* -EBUSY while a guest, running or not, is configured to be on it. */
int must_use netdef_remove(const char *name, struct err *err);
/* Calls fn for each guest on the network and each of its interfaces there. */
void netdef_each_user(const char *name,
                      void (*fn)(void *arg, const struct guest *guest, const struct vm_net *net),
                      void *arg);
