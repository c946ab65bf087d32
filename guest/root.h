/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's root, when it is not the initramfs: posada.root=KIND on the kernel's command line. */
#pragma once

#include <stdbool.h>

enum root_kind {
    ROOT_MEMORY,  /* the initramfs itself */
    ROOT_DISK,    /* "disk": a file system on the first disk */
    ROOT_OVERLAY, /* "overlay": an image on the first disk, changes on the second (or in memory) */
};

enum root_kind root_kind(void);
/* Mounts it at ROOT_MOUNT and grows it to its disk's size. False, with a word on the console: it
 * cannot be. */
bool root_mount(enum root_kind kind);
/* Makes it the root of this process and all that it starts. */
bool root_enter(void);
/* Hands over to the root's own /sbin/init, if it has one; returns if not. */
void root_hand_over(void);

#define ROOT_MOUNT "/newroot"
