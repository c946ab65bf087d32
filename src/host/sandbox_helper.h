/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The box of a helper process that faces hostile input and needs no guest memory. It is entered
 * once everything is open: afterwards the helper may compute, use what is open and, if it says so,
 * open Internet sockets; it sees no file but those named, starts no program, is nobody's user.
 * Layers that a host does not offer are skipped and told of, as with the monitor's (sandbox.h).
 */
#pragma once

#include "host/sandbox.h"

#include <posada/err.h>
#include <stdbool.h>

struct sandbox_helper {
    const char *name;         /* for messages: "network helper" */
    const char *uuid;         /* of the guest or group it serves: chooses its user; root only */
    const char *const *files; /* may still be read; NULL-terminated, NULL: none */
    bool internet;            /* new IPv4 and IPv6 sockets that connect */
    bool listens;             /* internet: on further ports */
    bool writes_files;        /* that are open already */
    bool accepts_local;       /* takes connections on a local socket that listens already */
    /* A directory that becomes the root of its files, in which it connects to sockets; it stays the
     * user it is, whose those are. NULL: none. */
    const char *connects_in;
};

int must_use sandbox_enter_helper(const struct sandbox_helper *config,
                                  struct sandbox_missing *ret_missing, struct err *err);
