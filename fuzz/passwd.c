/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile /etc/passwd and /etc/group of a container, and names asked of them: any bytes, with the
 * separators more often than chance. What is found is a number that somebody may have.
 * As a program of its own: fuzz_passwd_random [SEED [INPUTS]].
 */
#include "ctr/user.h"

#include "host/file.h"
#include "input.h"
#include "place.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT = 600, WISH = 40 };

static void put_text(struct fuzz_input *in, char *to, size_t size)
{
    static const char often[] = "::::\n\n,,rootwebx0123/";
    size_t n = 0;

    while (n < size - 1 && in->left) {
        unsigned c = fuzz_byte(in);

        to[n++] = c & 128 ? often[c % (sizeof(often) - 1)] : (char)c;
    }
    to[n] = '\0';
}

static void put_file(struct fuzz_input *in, const char *name)
{
    int fd = open(fuzz_place_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    char text[TEXT];

    put_text(in, text, fuzz_byte(in) * 2 + 2);
    (void)!write(fd, text, strlen(text));
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    struct ctr_user user;
    struct err err = {0};
    char wish[WISH];
    int root, r;

    fuzz_place_begin();
    (void)mkdir(fuzz_place_path("etc"), 0755);
    put_text(&in, wish, sizeof(wish));
    put_file(&in, "etc/passwd");
    put_file(&in, "etc/group");
    root = open(fuzz_place_path("."), O_PATH | O_DIRECTORY | O_CLOEXEC);
    memset(&user, 0xff, sizeof(user));
    r = ctr_user_find(root, wish, &user, &err);
    close(root);
    if (r < 0 && !err.text[0])
        fuzz_die("refused without a word");
    if (r == 0 && (user.uid == UINT32_MAX || user.gid == UINT32_MAX || user.home[0] != '/' ||
                   user.group_count > CTR_GROUPS_MAX))
        fuzz_die("a user nobody can be");
    fuzz_place_check();
    return 0;
}
