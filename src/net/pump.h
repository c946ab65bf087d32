/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container on a named network: frames between its tap and the network's hub. Both speak
 * base/net_frame.h; what either is slow to take waits in a queue, and is lost past its limit.
 */
#pragma once

/* The helper (net_helper_start_tap(); more_fd is the place on the hub). The exit code. */
int net_pump_main(void);
