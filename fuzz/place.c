/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: place.h. */
#include "place.h"

#include "host/file.h"
#include "input.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[] = "/tmp/posada-fuzz-XXXXXX";
static struct stat place_secret;

const char *fuzz_place_path(const char *name)
{
    static char text[128];

    snprintf(text, sizeof(text), "%s/%s", place, name);
    return text;
}

static void place_remove(void)
{
    (void)!file_remove_tree(AT_FDCWD, place, NULL);
}

void fuzz_place_begin(void)
{
    if (place_secret.st_ino)
        return;
    if (!mkdtemp(place) ||
        file_write(AT_FDCWD, fuzz_place_path("secret"), "secret", 6, 0644, NULL) ||
        stat(fuzz_place_path("secret"), &place_secret) < 0)
        fuzz_die("no place");
    (void)atexit(place_remove);
}

void fuzz_place_check(void)
{
    const struct stat *first = &place_secret;
    char got[16];
    struct stat st;
    int fd = open(fuzz_place_path("secret"), O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, got, sizeof(got)) != 6 || memcmp(got, "secret", 6) != 0 ||
        fstat(fd, &st) < 0)
        fuzz_die("the file outside has changed");
    close(fd);
    if (st.st_nlink != 1 || st.st_mode != first->st_mode || st.st_ino != first->st_ino)
        fuzz_die("the file outside is another");
}
