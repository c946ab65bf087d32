/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel modules in the image, listed in MODULES_TABLE: a line each,
 * "NAME PATH DEPENDENCY,... ALIAS..." ("-" for none), written when the image is built. Init loads
 * those whose alias matches a device that is there; the kernel asks for others by name or alias
 * through /sbin/modprobe, which is init under another name.
 */
#pragma once

#define MODULES_TABLE "/lib/modules/posada"

/* Loads what the present devices need, and again while that brings new devices. */
void modules_coldplug(void);
/* modprobe [-OPTIONS] NAME...: 0 when all are loaded. */
int modules_modprobe(char **names);
