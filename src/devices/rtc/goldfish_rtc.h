/* SPDX-License-Identifier: Apache-2.0 */
/* Goldfish real-time clock. Output 0: alarm interrupt. */
#pragma once

#include <posada/device.h>

extern const struct device_ops goldfish_rtc_ops;
