/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile D-Bus messages: the fuzzer's bytes behind a fixed header of plausible lengths, or as they
 * are. As a program of its own: fuzz_dbus_random [SEED [INPUTS]].
 */
#include "container/dbus.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 16); /* of its own: a sanitizer sees a read behind it */
    size_t len = size;
    struct dbus_message m;

    memcpy(copy, data, size);
    if (size > 24 && data[size - 1] % 8) {
        uint32_t fields = data[size - 2] % (uint32_t)(size - 16), body;

        body = (uint32_t)(size - 16) - fields > 7 ? (uint32_t)(size - 16) - fields - 7 : 0;
        copy[0] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 'l' : 'B';
        copy[1] = (uint8_t)(1 + data[size - 3] % 4);
        copy[3] = 1;
        memcpy(copy + 4, &body, sizeof(body));
        memcpy(copy + 12, &fields, sizeof(fields));
    }
    if (dbus_measure(copy, len) > 0 && dbus_parse(copy, len, &m) == 0) {
        size_t read = strlen(m.path) + strlen(m.member) + strlen(m.error) + strlen(m.signature);

        for (unsigned i = 0; i < 4; i++)
            read += strlen(i % 2 ? dbus_get_text(&m) : dbus_get_signature(&m));
        if (read > 5 * (len + 1))
            abort();
    }
    free(copy);
    return 0;
}
