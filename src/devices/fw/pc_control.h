/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The small things on a PC's ports by which a guest says something about the machine as a whole.
 * None has an output.
 */
#pragma once

#include "devices/bus/mmio.h"

/* Keyboard controller without a keyboard: ports 0x60, 0x64; resets, answers its self-tests. */
extern const struct device_ops i8042_ops;
extern const struct mmio_window i8042_data_window, i8042_command_window;
extern const struct device_ops port92_ops;        /* port 0x92: A20 gate, fast reset */
extern const struct device_ops reset_control_ops; /* port 0xcf9 */
/* Port of test programs: a written v powers off with exit code 2 v + 1, which is never success;
 * that is what "isa-debug-exit" does elsewhere. */
extern const struct device_ops debug_exit_ops;
extern const struct device_ops pvpanic_ops; /* a byte: bit 0 says that the kernel has panicked */
