/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the guest's init: setup.c (once, at the start), power.c (once, at the end). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void setup_mounts(void);
void setup_hostname(void);
void setup_loopback(void);
/* Asks for an address for every other interface and waits a little for the answer: the first
 * command may want to talk. */
void setup_network(void);
/* The value of KEY=value on the kernel's command line. */
bool setup_option(const char *key, char *value, size_t size);

/* Ends every process, writes everything back and leaves the machine; never returns.
 * command: RB_POWER_OFF, RB_AUTOBOOT. */
void power_down(int command) __attribute__((noreturn));
