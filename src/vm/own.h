/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest takes from its image when it is made. The image's files get a second name (a hard
 * link) in the guest's directory: they live on there when the image is replaced or removed, and
 * still take their space only once. A disk that comes from an image is an overlay over such a link.
 * A configuration names these files without a directory.
 */
#pragma once

#include <posada/vm.h>

/* Fills the directory and puts the names into config. Absolute paths that are not in the image
 * store stay as they are, those whose file system has no links too. */
int must_use own_create(int dir_fd, struct vm_config *config, struct err *err);
/* The other way: names without a directory become paths. */
int must_use own_resolve(int dir_fd, struct vm_config *config, struct err *err);
