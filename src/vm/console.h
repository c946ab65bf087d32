/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's console: the chardev behind its UART, a log of what came out, and a stream for
 * whoever attaches.
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
struct chardev *console_chardev(struct console *c);
struct stream *console_stream(struct console *c);
/* fn hears every line the guest prints, cut at CONSOLE_LINE_MAX, made printable. */
enum { CONSOLE_LINE_MAX = 200 };
void console_on_line(struct console *c, void (*fn)(void *arg, const char *line), void *arg);
void console_flush(struct console *c); /* what the guest wrote reaches log and clients now */
