/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls that a monitor's lists do not know: each is refused with EPERM, and the first of its
 * kind written to the log, because it is either an attack or a mistake of ours, and both should be
 * seen. The kernel says so by SIGSYS (SECCOMP_RET_TRAP), which ends a process that blocks it.
 */
#pragma once

#include <posada/err.h>

/* Takes SIGSYS for the whole process. name: of the guest, for the log; copied. */
int must_use sandbox_refusal_init(const char *name, struct err *err);
/* The guest has another name now; copied. */
void sandbox_refusal_name(const char *name);
/* The calling thread takes SIGSYS; what: "its main thread"..., for the log, lives on. */
void sandbox_refusal_thread(const char *what);
