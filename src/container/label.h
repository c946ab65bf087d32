/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels of the kernel's security modules: an AppArmor profile or an SELinux context that the
 * container's program gets by its exec (runtime-spec config.md "Linux Process"). A label that the
 * running kernel cannot apply is refused: who asks for one relies on it. An empty label is none.
 */
#pragma once

#include "container/spec.h"

enum label_module { LABEL_APPARMOR, LABEL_SELINUX };

/* Whether the running kernel has the module switched on and, SELinux, a policy; sys, proc: where
 * these are mounted. */
bool label_usable_at(const char *sys, const char *proc, enum label_module module);
bool label_usable(enum label_module module);

/* -EOPNOTSUPP when the process wants a label of a module that is not usable, -EINVAL when it wants
 * two: a process has one attribute for its exec. */
int must_use label_check(const struct spec_process *process, struct err *err);
/* Where linux.mountLabel cannot be applied note (may be NULL) hears of it. */
void label_check_mounts(const char *label, spec_note_fn note, void *arg);
/* The file system's options with the label among them, NULL: no memory. */
const char *label_mount_data(struct arena *arena, const char *type, const char *data,
                             const char *label);

/* Opens the attribute of this thread below proc, the runtime's own /proc; -1 in *ret_fd when there
 * is no label to set. */
int must_use label_open(const struct spec_process *process, int proc, int *ret_fd, struct err *err);
/* Writes the label: it counts from the next exec on. */
int must_use label_set(const struct spec_process *process, int fd, struct err *err);
