/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's configuration in the shape that posada-oci takes (runtime-spec 1.2): of the guest's
 * configuration, its image's users and this house's defaults.
 */
#pragma once

#include "ctr/group.h"
#include "ctr/user.h"
#include <jansson.h>
#include <posada/vm.h>

struct ctr_bundle {
    const struct vm_config *config;
    const char *name; /* its host name */
    const char *root; /* path of its mounted root */
    const struct ctr_user *user;
    const json_t *seccomp; /* borrowed */
    const char *etc;       /* directory with its hosts, hostname and resolv.conf; NULL: none */
    unsigned users;        /* we are root of a user namespace with so many; 0: the host's */
    const struct ctr_group *group;
};

/* config.json; a new reference, NULL without memory. */
json_t *ctr_bundle_make(const struct ctr_bundle *b);

/* The process of an exec: wanted's command, environment, directory; the rest from config. */
json_t *ctr_bundle_process(const struct vm_config *config, const struct vm_config *wanted,
                           const struct ctr_user *user);
enum { CTR_GROUP_NAME = 64 };
/* Its control group's, below the one that holds all: "/posada-UUID". */
void ctr_bundle_group(const struct vm_config *config, char ret[static CTR_GROUP_NAME]);
/* linux.resources of the guest's limits. means: of its group (enum ctr_group_means). again: of one
 * that runs, so what is not limited any more is reset. */
json_t *ctr_bundle_resources(const struct vm_config *config, unsigned means, bool again);
