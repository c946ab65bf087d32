/* SPDX-License-Identifier: Apache-2.0 */
/* Every engine, the best first; choosing one; stress modes by name. */
#include "engine/kvm/kvm.h"
#include "engine/soft/soft.h"

#include <errno.h>
#include <string.h>

const struct engine_ops *const engine_registry[] = {
    &engine_kvm_ops,
    &engine_jit_ops,
    &engine_interp_ops,
    NULL,
};

/* --- Choosing --- */
bool engine_runs(const struct engine_ops *ops, const struct cpu_ops *cpu_ops)
{
    return ops->isa ? !strcmp(ops->isa, cpu_ops->isa) : cpu_ops->lift != NULL;
}

static bool engine_is_meant(const struct engine_ops *ops, const struct engine_wish *wish)
{
    if (wish->name && *wish->name)
        return !strcmp(ops->name, wish->name);
    return !wish->technique || !strcmp(ops->technique, wish->technique);
}

/* A technique that runs guests of this ISA somewhere, other than the one wished for. */
static const char *engine_other_technique(const struct engine_wish *wish)
{
    for (const struct engine_ops *const *ops = engine_registry; *ops; ops++)
        if (engine_runs(*ops, wish->cpu_ops) && !engine_is_meant(*ops, wish))
            return (*ops)->technique;
    return NULL;
}

/* Nothing that was meant runs this ISA: is it the ISA, or is there no such engine at all? */
static int engine_refuse(const struct engine_wish *wish, const struct engine_ops *other_isa,
                         struct err *err)
{
    const char *instead = engine_other_technique(wish);
    bool named = wish->name && *wish->name;

    if (named && !other_isa)
        return err_set(err, -EINVAL,
                       "engine '%s': there is none of this name; posada doctor lists "
                       "them",
                       wish->name);
    if (other_isa)
        return err_set(
            err, -EOPNOTSUPP, "%s '%s' runs no %s guests%s%s", named ? "engine" : "technique",
            named             ? wish->name
            : wish->technique ? wish->technique
                              : "auto",
            wish->cpu_ops->isa, instead ? "; use --technique " : "", instead ? instead : "");
    return err_set(err, -EOPNOTSUPP,
                   "technique '%s': this version of Posada has no engine for it%s%s",
                   wish->technique, instead ? "; use --technique " : "", instead ? instead : "");
}

int engine_choose(const struct engine_wish *wish, const struct engine_ops **ret_ops,
                  struct err *err)
{
    const struct engine_ops *other_isa = NULL;
    int r = 0;

    for (const struct engine_ops *const *ops = engine_registry; *ops; ops++) {
        if (!engine_is_meant(*ops, wish))
            continue;
        if (!engine_runs(*ops, wish->cpu_ops)) {
            other_isa = *ops;
            continue;
        }
        r = (*ops)->probe(err);
        if (r)
            continue;
        *ret_ops = *ops;
        return 0;
    }
    return r ? r : engine_refuse(wish, other_isa, err);
}

/* --- Stress modes --- */
static const char *const stress_names[] = {"tlb",      "cache", "links", "irq", "fallback",
                                           "lockstep", "tier2", "tier1", "log"};

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
                           "links, irq, fallback, lockstep, tier2 and tier1",
                           (int)len, list);
        stress |= stress_bit(list, len);
    }
    *ret_stress = stress;
    return 0;
}
