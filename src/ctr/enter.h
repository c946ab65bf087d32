/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying into and out of a container: this program in the container's root, with no more rights
 * than its processes have. It stays in the host's process namespace, where they cannot see it, and
 * has all its code loaded before: nothing of the container's is ever executed or loaded.
 */
#pragma once

/* words: PID, then what copy_command() takes. The exit code. */
int ctr_copy_main(char *const *words, unsigned count);
