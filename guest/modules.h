/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel modules in the image, in depmod's layout: /lib/modules/RELEASE with modules.alias and
 * modules.dep. Init loads those whose alias matches a device that is there, and nothing else: each
 * costs boot time. What the kernel asks for later is modprobe's business (busybox's).
 */
#pragma once

/* Loads what the present devices need, and again while that brings new devices. */
void modules_coldplug(void);
