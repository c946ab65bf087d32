/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz entry of the container runtime's configuration: any bytes as config.json, a process
 * document, resources, and what is read of them. */
#include "container/seccomp.h"
#include "container/spec.h"
#include "input.h"

#include <stdlib.h>
#include <string.h>

static void fuzz_note(void *arg, const char *text)
{
    *(size_t *)arg += strlen(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    size_t noted = 0;

    for (unsigned kind = 0; kind < 3; kind++) {
        char *text = malloc(size + 1); /* of its own: a sanitizer sees a read behind it */
        struct spec_resources resources;
        struct spec_process process;
        struct spec spec;
        struct err err;
        int r;

        memcpy(text, data, size);
        text[size] = '\0';
        r = kind == 0   ? spec_parse(&arena, text, size, fuzz_note, &noted, &spec, &err)
            : kind == 1 ? spec_parse_process(&arena, text, size, fuzz_note, &noted, &process, &err)
                        : spec_parse_resources(&arena, text, size, &resources, &err);
        if (r == 0 && kind == 0 && spec.seccomp) {
            struct seccomp_filter filter = {0};

            (void)!seccomp_from_profile(&arena, spec.seccomp, false, &filter, &err);
        }
        free(text);
    }
    arena_done(&arena);
    return 0;
}
