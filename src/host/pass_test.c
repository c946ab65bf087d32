/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors in messages: what is sent arrives, and nothing that was not asked for stays open. */
#include "host/pass.h"

#include "base/unit_test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void descriptors_arrive(void **state)
{
    int link[2], pipes[2], got[3], fds[2];
    char text[4] = "abc", byte = 0;
    unsigned before = open_fds();

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, link), 0);
    assert_int_equal(pipe(pipes), 0);
    fds[0] = pipes[0];
    fds[1] = pipes[1];
    assert_int_equal(pass_receive(link[1], text, 3, got, 3), 0);
    assert_int_equal(pass_send(link[0], "xyz", 3, fds, 2), 0);
    assert_int_equal(pass_receive(link[1], text, 3, got, 3), 1);
    assert_memory_equal(text, "xyz", 3);
    assert_int_equal(got[2], -1);
    assert_int_equal(write(got[1], "!", 1), 1);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(byte, '!');
    assert_true(fcntl(got[0], F_GETFD) & FD_CLOEXEC);
    for (unsigned i = 0; i < 2; i++) {
        close(got[i]);
        close(pipes[i]);
    }
    close(link[0]);
    assert_int_equal(pass_receive(link[1], text, 3, got, 3), -EPIPE);
    close(link[1]);
    assert_int_equal(open_fds(), before);
}

static void what_was_not_asked_for_is_closed(void **state)
{
    const int many[] = {0, 0, 0, 0};
    int link[2], got[1];
    char text[8];
    unsigned before;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, link), 0);
    before = open_fds();
    assert_int_equal(pass_send(link[0], "xyz", 3, many, 4), 0); /* more than there is room for */
    assert_int_equal(pass_receive(link[1], text, 3, got, 1), 1);
    close(got[0]);
    assert_int_equal(open_fds(), before);
    assert_int_equal(pass_send(link[0], "too long", 8, many, 4), 0); /* and of another length */
    assert_int_equal(pass_receive(link[1], text, 3, got, 1), -EPIPE);
    assert_int_equal(pass_send(link[0], "x", 1, many, 1), 0);
    assert_int_equal(pass_receive(link[1], text, 3, got, 1), -EPIPE);
    assert_int_equal(open_fds(), before);
    assert_int_equal(pass_send(link[0], "x", 1, many, PASS_FDS_MAX + 1), -E2BIG);
    close(link[0]);
    close(link[1]);
}

RUN_TESTS(cmocka_unit_test(descriptors_arrive), cmocka_unit_test(what_was_not_asked_for_is_closed))
