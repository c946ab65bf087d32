/* SPDX-License-Identifier: Apache-2.0 */
/* The engine that lets the host's processor run x86-64 guests, by /dev/kvm. */
#pragma once

#include <posada/engine.h>

extern const struct engine_ops engine_kvm_ops;

/* What the host's KVM is really like: found by running a few instructions. */
struct kvm_abilities {
    bool device;           /* /dev/kvm opens */
    int api;               /* its version */
    bool vmx, svm;         /* the processor shows VT-x, AMD-V */
    bool ran;              /* a test guest ran to its end */
    uint64_t kernel_speed; /* instructions a second at the highest privilege */
    bool vex;              /* VEX-coded instructions work there (if the host has any) */
    const char *missing;   /* a capability that is not there, NULL: none is */
};

/* Runs the measurement, some milliseconds. -EACCES, -ENOENT... with a sentence when there is no
 * KVM at all, -EOPNOTSUPP when it cannot carry a guest; *ret is filled as far as known. */
int must_use kvm_measure(struct kvm_abilities *ret, struct err *err);
