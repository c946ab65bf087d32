/* SPDX-License-Identifier: Apache-2.0 */
/* Rates that a monitor publishes and a helper follows; a file that is none. */
#include "base/cleanup.h"
#include "base/net_frame.h"
#include "base/unit_test.h"
#include "net/gate.h"
#include "net/queue.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_dir(char *path)
{
    int fd;

    assert_non_null(mkdtemp(path));
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void rates_are_followed(void **state)
{
    char path[] = "/tmp/gate-XXXXXX";
    const struct net_rates slow = {1000, 0}, other = {0, 5}, none = {0};
    CLEANUP(fd) int dir = open_dir(path);
    struct net_gate gate;
    struct err err;
    int fd, ms;

    assert_int_equal(net_gate_open(dir, &fd, &err), -ENOENT);
    assert_int_equal(net_gate_publish(dir, &none, &err), 0);
    assert_int_equal(net_gate_open(dir, &fd, &err), 0);
    assert_int_equal(net_gate_init(&gate, fd, &err), 0);
    assert_int_equal(net_gate_look(&gate), -1);
    assert_true(gate.to_open && gate.from_open);
    assert_int_equal(net_gate_publish(dir, &slow, &err), 0); /* mapped already */
    assert_int_equal(net_gate_look(&gate), -1);
    net_bucket_pay(&gate.to_guest, 50);
    ms = net_gate_look(&gate);
    assert_true(!gate.to_open && gate.from_open && ms > 0 && ms <= 51);
    net_bucket_pay(&gate.to_guest, 1000000); /* whoever waits long looks often */
    assert_int_equal(net_gate_look(&gate), 100);
    assert_int_equal(net_gate_publish(dir, &other, &err), 0);
    assert_int_equal(net_gate_look(&gate), -1);
    net_bucket_pay(&gate.from_guest, 50);
    assert_int_equal(net_gate_look(&gate), 100);
    assert_true(gate.to_open && !gate.from_open);
    assert_int_equal(unlinkat(dir, "rates", 0), 0);
    assert_int_equal(net_gate_look(&gate), 100); /* the container is gone, its helper not yet */
    assert_int_equal(rmdir(path), 0);
}

static void a_file_that_is_none(void **state)
{
    char path[] = "/tmp/gate-XXXXXX";
    CLEANUP(fd) int dir = open_dir(path);
    struct net_gate gate;
    struct err err;
    int fd = openat(dir, "rates", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(net_gate_init(&gate, fd, &err), -EINVAL);
    assert_int_equal(unlinkat(dir, "rates", 0), 0);
    assert_int_equal(symlinkat("/etc/passwd", dir, "rates"), 0);
    assert_int_equal(net_gate_open(dir, &fd, &err), -ELOOP);
    assert_int_equal(unlinkat(dir, "rates", 0), 0);
    assert_int_equal(rmdir(path), 0);
}

/* What the bucket does not let pass stays in order, and goes when it does. */
static void a_queue_holds_to_its_bucket(void **state)
{
    struct net_bucket bucket = {0};
    struct net_queue q = {.bucket = &bucket};
    uint8_t message[NET_HEADER_SIZE + 1000] = {0}, got[sizeof(message)];
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    q.fd = pair[0];
    (void)net_bucket_set(&bucket, 10);
    for (unsigned i = 0; i < 3; i++) {
        message[NET_HEADER_SIZE] = (uint8_t)i;
        net_queue_send(&q, message, sizeof(message));
    }
    net_queue_flush(&q);
    assert_int_equal(bucket.balance, -1000);
    assert_int_equal(read(pair[1], got, sizeof(got)), sizeof(got));
    assert_int_equal(read(pair[1], got, sizeof(got)), -1);
    (void)net_bucket_set(&bucket, 0);
    net_queue_flush(&q);
    for (unsigned i = 1; i < 3; i++) {
        assert_int_equal(read(pair[1], got, sizeof(got)), sizeof(got));
        assert_int_equal(got[NET_HEADER_SIZE], i);
    }
    buf_done(&q.wait);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_followed),
        cmocka_unit_test(a_file_that_is_none),
        cmocka_unit_test(a_queue_holds_to_its_bucket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
