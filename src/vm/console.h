/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console: the chardevs behind its UART and its virtio console (hvc0), a log of what
 * came out, and a stream for whoever attaches. Both devices print into the one stream; what is
 * typed goes to the one that printed last, for there the guest's reader sits.
 */
#pragma once

#include "vm/stream.h"
#include <posada/chardev.h>

struct console;
struct loop;

/* log stays the caller's. */
int must_use console_new(struct loop *loop, struct guest_log *log, struct console **ret,
                         struct err *err);
void console_free(struct console *c);
struct chardev *console_chardev(struct console *c); /* for the UART */
struct chardev *console_hvc(struct console *c);     /* for hvc0 */
/* Whether a line has been begun and not ended: a prompt, for instance. */
bool console_is_in_line(const struct console *c);
struct stream *console_stream(struct console *c);
/* fn hears every line the guest prints, cut at CONSOLE_LINE_MAX, made printable. */
enum { CONSOLE_LINE_MAX = 200 };
void console_on_line(struct console *c, void (*fn)(void *arg, const char *line), void *arg);
void console_flush(struct console *c); /* what the guest wrote reaches log and clients now */
