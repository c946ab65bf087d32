/* SPDX-License-Identifier: Apache-2.0 */
/* What the debugger stub needs of a machine beyond machine.h. Machine lock held, on the loop. */
#pragma once

#include "vm/machine.h"
#include "vm/vcpu.h"

struct vcpus *machine_vcpus(struct machine *m);
unsigned machine_vcpu_count(const struct machine *m);
/* Pauses and guest time together; see vcpus_pause() and vcpus_resume(). */
void machine_pause_for(struct machine *m, enum vcpu_pause reason);
void machine_resume_from(struct machine *m, enum vcpu_pause reason);
/* As if the guest had asked. */
void machine_request_power(struct machine *m, enum power_action action, unsigned code);
