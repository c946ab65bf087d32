/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware by name, and the variables it keeps: a file "firmware.vars" in the guest's directory,
 * begun from the firmware's template, written anew (whole, by rename) soon after each change.
 */
#pragma once

#include "board/board.h"

struct firmware_vars;
struct loop;
struct vm_config;

#define FIRMWARE_VARS_FILE "firmware.vars"

struct firmware_files {
    const char *code; /* of the configuration or static; NULL: no firmware */
    const char *vars; /* the template, NULL: it keeps none */
};
/* "bios" and "uefi" are files of Debian packages; anything else is a path. -ENOENT with the package
 * that is missing, -EINVAL for a name that this architecture has no firmware of. */
int must_use firmware_find(const struct vm_config *config, struct firmware_files *ret_files,
                           struct err *err);
/* True for what --firmware takes as a name. */
bool firmware_is_name(const char *text);

/* Reads the variables of dir_fd, or the template; dir_fd < 0: they are not kept. *ret NULL when
 * the firmware has none. The descriptor stays the caller's. */
int must_use firmware_vars_open(const struct firmware_files *files, int dir_fd, struct loop *loop,
                                struct firmware_vars **ret, struct err *err);
/* What the board needs of it; NULL: nothing. */
struct board_flash firmware_vars_flash(struct firmware_vars *vars);
/* Writes what is not written yet; before the board goes. NULL is fine. */
void firmware_vars_close(struct firmware_vars *vars);
