/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile guest files: a good one is changed in places of the fuzzer's choice, or the input is the
 * file; what is not refused must come to a description.
 * As a program of its own: fuzz_guestfile_random [SEED [INPUTS]].
 */
#include "cli/guestfile.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>

static const char good[] = "version: 1\nguests:\n  a:\n    image: tiny\n    env: {A: b, C: d}\n"
                           "    port: [\"1:2\", x]\n    depends_on: [b]\n    tty: true\n"
                           "  b: {command: [x, 'y', \"z\\t\"], memory: 1G, disk: |\n    one\n}\n";
static const char letters[] = ":{}[]&*!|>'\"%@`#,-? \n\tab1\\";

static void guestfile_try(const char *text, size_t len)
{
    struct guestfile file;
    struct err err = {0};

    if (guestfile_parse("fuzz.yaml", text, len, &file, &err) < 0) {
        if (!err.text[0])
            abort(); /* a refusal is a sentence */
        return;
    }
    for (unsigned i = 0; i < file.count; i++) {
        char *spec = guestfile_spec(&file.guest[i]);

        if (!spec)
            abort();
        free(spec);
    }
    guestfile_done(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char text[sizeof(good)];

    guestfile_try((const char *)data, len);
    memcpy(text, good, sizeof(good));
    for (size_t i = 0; i + 1 < len && i < 12; i += 2)
        text[data[i] % (sizeof(good) - 1)] = letters[data[i + 1] % (sizeof(letters) - 1)];
    guestfile_try(text, sizeof(good) - 1);
    return 0;
}
