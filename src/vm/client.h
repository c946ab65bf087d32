/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of a guest's control socket (vm/control.h): for the command line and the API. */
#pragma once

#include "vm/store.h"
#include <jansson.h>

/* -ENOTCONN with a sentence when the guest does not run. */
int must_use client_connect(const struct guest *guest, int *ret_fd, struct err *err);
int must_use client_send(int fd, json_t *request, struct err *err); /* steals request */
/* One answer. "ok": false becomes err. ret_answer may be NULL. Nothing behind the line is read, so
 * that frames may follow. -ECONNRESET: the guest's process went away first. */
int must_use client_receive(int fd, json_t **ret_answer, struct err *err);
/* Both. */
int must_use client_ask(int fd, json_t *request, json_t **ret_answer, struct err *err);
