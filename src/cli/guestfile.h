/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest files (posada.yaml): a set of guests as command lines. The keys of a guest are the options
 * of posada create (run_guest_options, less CLI_NO_FILE) and image, command, depends_on; so each
 * guest becomes a struct cli_args of that verb, and means what the same command line means.
 */
#pragma once

#include "cli/cli.h"
#include <posada/vm.h>

struct yaml_tree;

enum { GUESTFILE_VERSION = 1, GUESTFILE_GUESTS_MAX = 64, GUESTFILE_VALUES_MAX = 512 };

struct guestfile_guest {
    const char *name;
    unsigned line;
    struct cli_args args; /* its strings belong to the tree, and to made */
    char **made;          /* "KEY=VALUE" of mappings; NULL-terminated */
    unsigned made_count;
    const char *depends_on[GUESTFILE_GUESTS_MAX];
    unsigned depends_count;
};

struct guestfile {
    char *path; /* absolute */
    struct yaml_tree *tree;
    struct guestfile_guest *guest; /* each behind those it depends on */
    unsigned count;
};

/* Reads and checks a file; what its values mean is checked when they are used. */
int must_use guestfile_read(const char *path, struct guestfile *ret, struct err *err);
/* The same of a text, name standing for the path (tests, fuzzing). */
int must_use guestfile_parse(const char *name, const char *text, size_t len, struct guestfile *ret,
                             struct err *err);
void guestfile_done(struct guestfile *file);

struct guestfile_guest *guestfile_find(struct guestfile *file, const char *name);
/* What a guest's description comes to, for telling whether it has changed; free(). */
char *guestfile_spec(const struct guestfile_guest *guest);

/* Keys that are no options, for the manual page; NULL name ends. */
extern const struct cli_about guestfile_keys[];
