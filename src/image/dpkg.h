/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Debian packages laid into a tree as `dpkg --unpack` leaves them (dpkg(1), deb-control(5)): files
 * in place, configuration files beside their places as NAME.dpkg-new, and dpkg's database saying
 * "unpacked". No program of a package is run: that is what `dpkg --configure -a` does, in a guest.
 */
#pragma once

#include "image/tree.h"

struct dpkg;

/* Makes the database in an empty tree, and the usual links of a merged /usr. */
int must_use dpkg_open(struct tree *t, const char *arch, struct dpkg **ret, struct err *err);
int must_use dpkg_unpack(struct dpkg *d, const char *deb, struct err *err);
/* Writes what is left of the database. */
int must_use dpkg_close(struct dpkg *d, struct err *err);
void dpkg_free(struct dpkg *d);
