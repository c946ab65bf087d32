/* SPDX-License-Identifier: Apache-2.0 */
/* Devices and the clock as saved objects. Contract: state.h. */
#include "devices/core/state.h"

static const struct state_field clock_state_fields[] = {
    STATE_U64(struct clock_state, now_ns),
    STATE_U64(struct clock_state, wall_ns),
    STATE_END,
};

unsigned device_set_objects(const struct device_set *set, bool for_save,
                            struct state_object *ret_objects)
{
    unsigned n = 0;

    for (unsigned i = 0; i < set->count; i++) {
        struct device *dev = set->device[i];

        if (!dev->ops->state)
            continue;
        if (for_save && dev->ops->quiesce)
            dev->ops->quiesce(dev);
        ret_objects[n++] = (struct state_object){.type = dev->ops->type,
                                                 .name = dev->name,
                                                 .version = dev->ops->state_version,
                                                 .fields = dev->ops->state,
                                                 .object = dev};
    }
    return n;
}

void clock_state_get(struct clock_state *s, const struct clock *clock)
{
    s->now_ns = clock_now_ns(clock);
    s->wall_ns = clock_wall_ns(clock);
}

void clock_state_apply(const struct clock_state *s, struct clock *clock)
{
    clock_set_ns(clock, s->now_ns);
    clock_set_wall_ns(clock, s->wall_ns);
}

struct state_object clock_state_object(struct clock_state *s)
{
    return (struct state_object){
        .type = "clock", .name = "clock", .version = 1, .fields = clock_state_fields, .object = s};
}

int device_set_save(const struct device_set *set, const struct clock *clock, uint8_t **ret_data,
                    size_t *ret_len, struct err *err)
{
    struct state_object objects[DEVICE_MAX + 1];
    struct clock_state now;
    unsigned n = device_set_objects(set, true, objects);

    clock_state_get(&now, clock);
    objects[n++] = clock_state_object(&now);
    return state_save(objects, n, ret_data, ret_len, err);
}

int device_set_load(const struct device_set *set, struct clock *clock, const uint8_t *data,
                    size_t len, struct err *err)
{
    struct state_object objects[DEVICE_MAX + 1];
    struct clock_state then;
    unsigned n = device_set_objects(set, false, objects);
    int r;

    objects[n++] = clock_state_object(&then);
    r = state_load(objects, n, data, len, err);
    if (r)
        return r;
    clock_state_apply(&then, clock);
    device_settle_all(set);
    return 0;
}
