/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor of an ordinary user's containers is root of a user namespace of its own: there it may
 * mount, and nothing else. That user is root in there; others exist as far as /etc/subuid and
 * /etc/subgid give him ids and newuidmap(1) is there to map them. Containers get one more namespace
 * below it each.
 */
#pragma once

#include <posada/err.h>
#include <sys/types.h>

/* Enters such a namespace, for good. The house's directories stay what they were before. */
/* *ret_users: how many there are, from 0 on. init: the first process of a container that a killed
 * monitor left, 0: none: then into that monitor's namespace, for only from there has one any right
 * over its containers. */
int must_use ctr_own_user_enter(pid_t init, unsigned *ret_users, struct err *err);
/* Removes what guests that are gone have left in DIR because other users of theirs own it: names
 * that begin with ".dead-". In a child, in such a namespace. */
void ctr_own_user_sweep(const char *dir);
