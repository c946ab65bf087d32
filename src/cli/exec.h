/* SPDX-License-Identifier: Apache-2.0 */
/* For verbs that run something in a guest. */
#pragma once

#include "vm/store.h"

/* Waits while the guest starts, saying so on a terminal; -ETIMEDOUT. */
int must_use exec_wait(const struct guest *guest, unsigned seconds, struct err *err);
