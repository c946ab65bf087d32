/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI's fixed hardware: power management events, control, timer. Output 0: the SCI. */
#pragma once

#include <posada/device.h>

/* Offsets of the blocks from the device's base port, for the FADT. */
enum { ACPI_PM_EVENT = 0, ACPI_PM_CONTROL = 4, ACPI_PM_TIMER = 8, ACPI_PM_SIZE = 12 };
enum { ACPI_PM_SLEEP_OFF = 5 }; /* SLP_TYP of S5, for \_S5 */

extern const struct device_ops acpi_pm_ops;

/* The guest's power button. Machine lock held. */
void acpi_pm_press_power(struct device *dev);
