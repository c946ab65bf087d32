/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every device type Posada models, sorted by type name. Explicit on purpose: grep finds it, no
 * link order decides anything. The device console, the fuzzers and the state tools walk it.
 */
#include "devices/core/device.h"
#include <string.h>

const struct device_ops *const device_registry[] = {
    NULL,
};

const struct device_ops *device_type_find(const char *type)
{
    for (const struct device_ops *const *ops = device_registry; *ops; ops++) {
        if (!strcmp((*ops)->type, type))
            return *ops;
    }
    return NULL;
}
