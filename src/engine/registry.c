/* SPDX-License-Identifier: Apache-2.0 */
/* Every engine; of one technique the best comes first. */
#include "engine/soft/soft.h"

#include <errno.h>
#include <string.h>

const struct engine_ops *const engine_registry[] = {
    &engine_jit_ops,
    &engine_interp_ops,
    NULL,
};

static const char *const stress_names[] = {"tlb", "cache", "links", "irq", "fallback", "lockstep"};

/* The bit of the name that [name, name+len) is; 0: none. */
static unsigned stress_bit(const char *name, size_t len)
{
    for (unsigned i = 0; i < ARRAY_LEN(stress_names); i++)
        if (strlen(stress_names[i]) == len && !strncmp(stress_names[i], name, len))
            return 1u << i;
    return 0;
}

int engine_stress_parse(const char *list, unsigned *ret_stress, struct err *err)
{
    unsigned stress = 0;

    for (size_t len; *list; list += len + (list[len] == ',')) {
        len = strcspn(list, ",");
        if (!stress_bit(list, len))
            return err_set(err, -EINVAL,
                           "stress mode '%.*s' does not exist; there are tlb, cache, "
                           "links, irq, fallback and lockstep",
                           (int)len, list);
        stress |= stress_bit(list, len);
    }
    *ret_stress = stress;
    return 0;
}
