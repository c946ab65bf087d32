/* SPDX-License-Identifier: Apache-2.0 */
/* What store.c and store_change.c share. */
#pragma once

#include "host/dirs.h"
#include "vm/store.h"

/* The directory "guests" of data or run directory. */
int must_use store_dir(enum dirs_kind kind, int *ret_fd, struct err *err);
/* The lock of all guests, until ret_lock_fd is closed. Waits. */
int must_use store_lock(int dir_fd, int *ret_lock_fd, struct err *err);
/* -errno; *guest is GUEST_NONE then. */
int must_use guest_open_at(int store_fd, const char *name, struct guest *guest);
/* Fills guest->uuid, be the rest of its configuration as it may. */
void guest_read_uuid(struct guest *guest);
/* digits (at most 32) random hexadecimal digits and a NUL. */
void store_random_hex(char *ret, unsigned digits);
