/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statedump: prints saved states (src/state/state.h) as text, one field a line. Two dumps and diff
 * show what changed.
 *     statedump FILE...
 */
#include "base/cleanup.h"
#include "state/state.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { STATE_SIZE_MAX = 64 << 20 };

static int dump_file(const char *path)
{
    CLEANUP(file) FILE *f = fopen(path, "rb");
    CLEANUP(free) uint8_t *data = NULL;
    struct stat st;
    struct err err;

    if (!f || fstat(fileno(f), &st)) {
        fprintf(stderr, "statedump: %s: %s\n", path, strerror(errno));
        return 1;
    }
    data = st.st_size <= STATE_SIZE_MAX ? malloc((size_t)st.st_size + 1) : NULL;
    if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
        fprintf(stderr, "statedump: %s: cannot read it, or it is larger than 64 MiB\n", path);
        return 1;
    }
    if (state_dump(data, (size_t)st.st_size, stdout, &err)) {
        fprintf(stderr, "statedump: %s: %s\n", path, err.text);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int status = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: statedump FILE...\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        status |= dump_file(argv[i]);
    return status;
}
