/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3) of a container: its service manager's socket is not in its root, so a directory
 * with a socket of ours is, at the same path, and messages are passed on. */
#pragma once

#include "container/init.h"
#include "container/state.h"

/* Does nothing unless NOTIFY_SOCKET is set. */
int must_use notify_prepare(struct arena *arena, const struct state_place *at, const char *root,
                            struct init *in, struct err *err);
/* Binds the socket the container sees; *ret_fd -1 when nobody asked for it. */
int must_use notify_listen(const struct state_place *at, int *ret_fd, struct err *err);
/* Takes one message; true when it said READY=1, which has been passed on, or none can come. */
bool must_use notify_message(int socket);
/* Passes messages on until READY=1, or until pidfd says that the container has ended. */
void notify_pass_on(int socket, int pidfd);
