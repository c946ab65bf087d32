/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor of an ordinary user's containers is root of a user namespace of its own, in which
 * only that user exists: there it may mount, and nothing else. Containers get one more below it
 * each.
 */
#pragma once

#include <posada/err.h>

/* Enters such a namespace, for good. The house's directories stay what they were before. */
int must_use ctr_own_user_enter(struct err *err);
