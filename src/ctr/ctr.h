/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers under the house's own verbs. One process of a user, the monitor of containers, keeps
 * them all: it is started by the first, ends soon after the last, and speaks the control protocol
 * of guests (vm/control.h) on a socket of each, so that every verb takes both kinds of guests. What
 * a container is made of and how it starts is posada-oci's (src/container); why it is built so:
 * docs/adr/0007-containers.md.
 */
#pragma once

#include "vm/store.h"

/* Starts a container; guest must be locked by the caller, who may close it afterwards. As with
 * monitor_spawn(): ret_owner_fd's first line tells whether it could be built, closing it before
 * "detach" was said ends it. */
int must_use ctr_spawn(const struct guest *guest, int *ret_owner_fd, struct err *err);
/* Containers whose monitor was killed go on, or are ended and said to be: for who looks at guests,
 * before store_tidy(). Cheap when there are none. */
void ctr_tidy(void);

/* Starts a monitor where there is none, and waits until it is ready. */
int must_use ctr_start_monitor(struct err *err);

/* The monitor: the exit code. Descriptor 3, when open, is closed once it listens. */
int ctr_main(void);
