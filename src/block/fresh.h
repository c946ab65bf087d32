/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that appears under its name when it is complete and not before. Until then it has no name
 * where the file system can do that (O_TMPFILE): a process that is killed leaves nothing behind.
 */
#pragma once

#include <posada/err.h>

struct fresh_file {
    int fd;
    char path[64];     /* opens it meanwhile, from this process */
    char *name, *temp; /* to be; its temporary one, NULL: none */
};

/* -EEXIST when the name is taken; messages begin "disk NAME: ". */
int must_use fresh_open(const char *name, struct fresh_file *ret_file, struct err *err);
/* To stable storage, and gives it its name. -EEXIST as before. */
int must_use fresh_publish(struct fresh_file *file, struct err *err);
/* Closes; removes what was not published. */
void fresh_done(struct fresh_file *file);
