/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile saved states: a device is brought somewhere by a script, saved, the stream is changed in
 * places of the fuzzer's choice, its hash made right again, and it is loaded. Whatever the answer,
 * the device must go on to live through the rest of the script.
 */
#include "base/cleanup.h"
#include "base/endian.h"
#include "script.h"
#include "state/format.h"

enum { STEPS_BEFORE = 16, STEPS_AFTER = 64, CHANGES_MAX = 15, END_SIZE = 16 };

static void change(uint8_t *data, size_t len, struct fuzz_input *s)
{
    unsigned changes = fuzz_byte(s) % CHANGES_MAX + 1;

    while (changes--) {
        size_t at = fuzz_take(s, 3) % (len - END_SIZE);

        data[at] = (uint8_t)fuzz_byte(s);
    }
    st_le64(data + len - 8, state_hash(data, len - END_SIZE));
}

unsigned fuzz_load(const char *type, const uint8_t *input, size_t len)
{
    CLEANUP(free) uint8_t *data = NULL;
    struct fuzz_input s = {input, len};
    struct rig *rig;
    struct err err;
    size_t data_len;
    unsigned accesses;

    if (rig_new(type, 1, &rig, &err))
        return 0;
    if (rig->prepare)
        rig->prepare(rig);
    accesses = script_run(rig, &s, STEPS_BEFORE);
    if (!device_set_save(&rig->set, rig->clock, &data, &data_len, &err)) {
        change(data, data_len, &s);
        if (!device_set_load(&rig->set, rig->clock, data, data_len, &err))
            accesses += script_run(rig, &s, STEPS_AFTER);
    }
    rig_free(rig);
    return accesses;
}
