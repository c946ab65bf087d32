/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz input as a script for a rig: each step is an opcode byte and its operands, taken from the
 * input until it ends. The same scripts are written by libFuzzer and by the random driver.
 */
#pragma once

#include "input.h"
#include "rig/rig.h"

/* Runs until the input or `steps` end; the number of register accesses made. Aborts with a message
 * when a device breaks a promise of its own: settle() not idempotent, a save that does not load, a
 * load that changes state or outputs. */
unsigned script_run(struct rig *rig, struct fuzz_input *s, unsigned steps);

/* The fuzzers proper, with libFuzzer's meaning of input; each makes and frees its rig. */
unsigned fuzz_registers(const char *type, const uint8_t *data, size_t len);
unsigned fuzz_load(const char *type, const uint8_t *data, size_t len);
