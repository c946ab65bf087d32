/* SPDX-License-Identifier: Apache-2.0 */
/* Forwards as text, the switch, addresses by DHCP, and a port whose other side is hostile. */
#include "base/bits.h"
#include "base/endian.h"
#include "base/net_frame.h"
#include "base/unit_test.h"
#include "host/loop.h"
#include "net/dhcp.h"
#include "net/forward.h"
#include "net/port.h"
#include "net/switch.h"
#include "net/tap.h"
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- Forwards --- */
static void test_forwards(void **state)
{
    static const char *const good[][2] = {
        {"8080:80", "127.0.0.1:8080:80/tcp"},
        {"0.0.0.0:1:65535/udp", "0.0.0.0:1:65535/udp"},
        {"[::1]:53:53/udp", "[::1]:53:53/udp"},
        {"192.168.1.2:22:2/tcp", "192.168.1.2:22:2/tcp"},
    };
    static const char *const bad[] = {
        "",
        ":",
        "80",
        "80:",
        ":80",
        "0:80",
        "80:0",
        "65536:80",
        "80:80/",
        "80:80/x",
        "a:80",
        "80:a",
        " 1:2",
        "1:2 ",
        "-1:2",
        "1.2.3:1:2",
        ":1:2",
        "[::1:1:2",
        "[]:1:2",
        "1:2:3",
        "1:1:1:1",
        "::1:1:2",
        "+1:2",
        "0x1:2",
        "99999999:1",
        "1:2/udp/udp",
        "1-2:3",
        "1:2-3",
        "1-2:3-5",
        "2-1:2-1",
        "1-:1-",
        "-2:-2",
        "1-2-3:1-2-3",
        "0-1:0-1",
        "65535-65536:1-2",
    };
    struct net_forward f, one;
    char text[NET_FORWARD_TEXT];
    struct err err;

    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(net_forward_parse("p", good[i][0], &f, &err), 0);
        net_forward_print(&f, text);
        assert_string_equal(text, good[i][1]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        if (net_forward_parse("p", bad[i], &f, &err) != -EINVAL)
            fail_msg("'%s' was taken", bad[i]);
    assert_int_equal(net_forward_parse("p", "[::1]:8000-8002:80-82/udp", &f, &err), 0);
    assert_int_equal(f.count, 3);
    one = net_forward_nth(&f, 2);
    net_forward_print(&one, text);
    assert_string_equal(text, "[::1]:8002:82/udp");
    assert_int_equal(net_forward_parse("p", text, &one, &err), 0);
    assert_int_equal(one.count, 1);
    assert_int_equal(net_forward_parse("p", "1-65535:1-65535", &f, &err), 0);
    assert_int_equal(f.count, 65535);
}

/* --- Switch --- */
static uint64_t route(struct net_switch *sw, unsigned from, unsigned source, unsigned to)
{
    uint8_t frame[NET_FRAME_MIN] = {2, 0, 0, 0, (uint8_t)(to >> 8),     (uint8_t)to,
                                    2, 0, 0, 0, (uint8_t)(source >> 8), (uint8_t)source};

    if (to == 0xffff)
        memset(frame, 0xff, NET_MAC_SIZE);
    return net_switch_route(sw, from, frame);
}

static void test_switch(void **state)
{
    static struct net_switch sw;

    for (int i = 0; i < 3; i++)
        assert_int_equal(net_switch_add(&sw), i);
    assert_int_equal(route(&sw, 0, 10, 11), 6); /* unknown: to all others */
    assert_int_equal(route(&sw, 1, 11, 10), 1); /* learned */
    assert_int_equal(route(&sw, 0, 10, 11), 2);
    assert_int_equal(route(&sw, 0, 10, 10), 0);     /* to itself: nowhere */
    assert_int_equal(route(&sw, 2, 12, 0xffff), 3); /* to everybody */
    assert_int_equal(route(&sw, 2, 10, 11), 2);     /* moved */
    assert_int_equal(route(&sw, 1, 11, 10), 4);
    net_switch_remove(&sw, 2);
    assert_int_equal(route(&sw, 1, 11, 10), 1); /* forgotten: to all others */
    assert_int_equal(net_switch_add(&sw), 2);
}

static void test_switch_is_not_filled_by_one(void **state)
{
    static struct net_switch sw;

    assert_int_equal(net_switch_add(&sw), 0);
    assert_int_equal(net_switch_add(&sw), 1);
    assert_int_equal(net_switch_add(&sw), 2);
    for (unsigned i = 0; i < 60000; i++)
        (void)route(&sw, 0, i, 0xffff);
    assert_true(sw.learned[0] <= NET_SWITCH_SHARE);
    (void)route(&sw, 1, 0xfff0, 0xffff);
    assert_int_equal(route(&sw, 2, 0xfff1, 0xfff0), 2);
    for (int i = 3; i < NET_SWITCH_PORTS; i++)
        assert_int_equal(net_switch_add(&sw), i);
    assert_int_equal(net_switch_add(&sw), -ENOSPC);
}

/* --- DHCP --- */
static void test_subnets(void **state)
{
    static const char *const bad[] = {
        "",          "10.0.0.0",    "10.0.0.0/",   "10.0.0.0/26", "10.0.0.0/7",   "10.0.0.1/24",
        "10.0.0/24", "10.0.0.0/-8", "10.0.0.0/ 8", "a/24",        "10.0.0.0/024", "::/24"};
    struct net_subnet a, b;
    char text[NET_SUBNET_TEXT];

    assert_true(net_subnet_parse("255.255.255.128/25", &a));
    net_subnet_print(&a, text);
    assert_string_equal(text, "255.255.255.128/25");
    assert_true(net_subnet_parse("10.1.0.0/16", &a) && net_subnet_parse("10.1.255.0/24", &b));
    assert_true(net_subnet_overlap(&a, &b) && net_subnet_overlap(&b, &a));
    assert_true(net_subnet_parse("10.2.0.0/24", &b));
    assert_false(net_subnet_overlap(&a, &b) || net_subnet_overlap(&b, &a));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        if (net_subnet_parse(bad[i], &a))
            fail_msg("'%s' was taken", bad[i]);
}

/* What one side asks the other answers, and nothing else is taken for it. */
static void test_dhcp_asked(void **state)
{
    static const uint8_t mac[6] = {2, 1, 2, 3, 4, 5}, other[6] = {2, 1, 2, 3, 4, 6};
    struct net_subnet subnet;
    uint8_t question[NET_DHCP_FRAME], answer[NET_DHCP_FRAME];
    uint32_t address = 0;

    assert_true(net_subnet_parse("10.88.0.0/24", &subnet));
    net_dhcp_discover(mac, 77, question);
    assert_int_equal(net_dhcp_answer(&subnet, question, sizeof(question), 3, answer),
                     NET_DHCP_FRAME);
    assert_true(net_dhcp_is_offer(answer, sizeof(answer), mac, 77, &address));
    assert_int_equal(address, 0x0a58000d);
    assert_false(net_dhcp_is_offer(answer, sizeof(answer), other, 77, &address));
    assert_false(net_dhcp_is_offer(answer, sizeof(answer), mac, 78, &address));
    assert_false(net_dhcp_is_offer(question, sizeof(question), mac, 77, &address));
    for (size_t len = 0; len < sizeof(answer); len++)
        assert_false(net_dhcp_is_offer(answer, len, mac, 77, &address));
    answer[6] ^= 1; /* from somebody else on the network */
    assert_false(net_dhcp_is_offer(answer, sizeof(answer), mac, 77, &address));
}

static void test_dhcp(void **state)
{
    const struct net_subnet subnet = {0x0a580000, 24};
    uint8_t frame[400] = {0}, answer[NET_DHCP_FRAME];

    st_be16(frame + 12, 0x0800);
    frame[14] = 0x45;
    frame[23] = 17;
    st_be16(frame + 36, 67);
    frame[42] = 1;
    st_be32(frame + 46, 0x12345678);
    st_be32(frame + 278, 0x63825363);
    memcpy(frame + 282, "\x35\x01\x01\xff", 4);
    assert_int_equal(net_dhcp_answer(&subnet, frame, sizeof(frame), 3, answer), NET_DHCP_FRAME);
    assert_int_equal(ld_be32(answer + 58), 0x0a58000d);
    assert_int_equal(ld_be32(answer + 46), 0x12345678);
    assert_int_equal(answer[284], 2);
    frame[284] = 3;
    assert_int_equal(net_dhcp_answer(&subnet, frame, sizeof(frame), 3, answer), NET_DHCP_FRAME);
    assert_int_equal(answer[284], 5);
    for (size_t len = 0; len < 286; len++) { /* cut anywhere: read no further */
        uint8_t cut[400];

        memcpy(cut, frame, len);
        (void)net_dhcp_answer(&subnet, cut, len, 3, answer);
    }
    assert_int_equal(net_dhcp_answer(&subnet, frame, 281, 3, answer), 0);
    frame[282] = 1;
    frame[283] = 255; /* an option that runs out of the frame */
    assert_int_equal(net_dhcp_answer(&subnet, frame, sizeof(frame), 3, answer), 0);
}

/* --- Port --- */
struct port_test {
    struct loop *loop;
    struct netdev *dev;
    const struct net_frame *next; /* sent when there is room */
    int fd;
    unsigned received, lost, writable, down;
    size_t length;
    bool busy;
};

static int port_receive(void *arg, const struct net_frame *frame)
{
    struct port_test *t = arg;

    if (t->busy)
        return -EAGAIN;
    t->received++;
    t->length = frame->length;
    return 0;
}

static void port_writable(void *arg)
{
    struct port_test *t = arg;

    t->writable++;
    while (t->next && !t->dev->ops->send(t->dev, t->next))
        ;
}

static void port_link(void *arg, bool up)
{
    ((struct port_test *)arg)->down = !up;
}

static void port_lost(void *arg)
{
    ((struct port_test *)arg)->lost++;
}

static void port_stop(void *arg)
{
    loop_stop(arg);
}

static void port_up(struct port_test *t)
{
    struct net_port_config config = {.kind = "test", .name = "t", .lost = port_lost, .arg = t};
    struct err err;
    int pair[2];

    memset(t, 0, sizeof(*t));
    assert_int_equal(loop_new(NULL, &t->loop, &err), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    t->fd = pair[1];
    assert_int_equal(net_port_new(t->loop, pair[0], &config, &t->dev, &err), 0);
    t->dev->front = (struct netdev_front){port_receive, port_writable, port_link, t};
}

static void port_run(struct port_test *t)
{
    struct loop_timer *timer = loop_timer_new(t->loop, port_stop, t->loop);
    struct err err;

    loop_timer_set(timer, 10000000);
    assert_int_equal(loop_run(t->loop, &err), 0);
    loop_timer_free(timer);
}

static void port_down(struct port_test *t)
{
    netdev_close(t->dev);
    loop_free(t->loop);
    if (t->fd >= 0)
        close(t->fd);
}

static void port_put(struct port_test *t, const uint8_t *bytes, size_t len)
{
    assert_int_equal(send(t->fd, bytes, len, 0), (ssize_t)len);
    port_run(t);
}

static void test_port_with_a_hostile_peer(void **state)
{
    static uint8_t message[NET_HEADER_SIZE + NET_FRAME_MAX + 100];
    struct port_test t;

    port_up(&t);
    for (size_t len = 1; len < NET_HEADER_SIZE + NET_FRAME_MIN; len++)
        port_put(&t, message, len);
    assert_int_equal(t.received, 0);
    port_put(&t, message, NET_HEADER_SIZE + NET_FRAME_MIN);
    assert_int_equal(t.received, 1);
    port_put(&t, message, NET_HEADER_SIZE + NET_FRAME_MAX + 100); /* cut: never overflows */
    assert_true(t.length <= NET_FRAME_MAX);
    t.received = 0;
    message[0] = 1;
    memset(message + 6, 0xff, 4); /* a checksum far outside */
    port_put(&t, message, 100);
    message[0] = 0;
    message[1] = 1; /* segments without checksum or size */
    port_put(&t, message, 100);
    assert_int_equal(t.received, 0);
    assert_int_equal(t.lost, 0);
    port_down(&t);
}

static void test_port_waits_for_a_slow_guest(void **state)
{
    static const uint8_t message[NET_HEADER_SIZE + 60];
    struct port_test t;

    port_up(&t);
    t.busy = true;
    for (unsigned i = 0; i < 3; i++)
        port_put(&t, message, sizeof(message));
    assert_int_equal(t.received, 0);
    t.busy = false;
    t.dev->ops->poll(t.dev);
    assert_int_equal(t.received, 1);
    port_run(&t);
    assert_int_equal(t.received, 3);
    port_down(&t);
}

static void test_port_tells_when_it_is_full_and_when_it_is_over(void **state)
{
    static uint8_t bytes[1500], sink[2000];
    const struct iovec iov = {bytes, sizeof(bytes)};
    const struct net_frame frame = {.iov = &iov, .iov_count = 1, .length = sizeof(bytes)};
    struct port_test t;
    unsigned sent = 0;

    port_up(&t);
    while (!t.dev->ops->send(t.dev, &frame))
        assert_true(++sent < 100000);
    port_run(&t);
    assert_int_equal(t.writable, 0);
    while (recv(t.fd, sink, sizeof(sink), 0) > 0)
        sent--;
    assert_int_equal(sent, 0);
    port_run(&t);
    assert_int_equal(t.writable, 1);
    close(t.fd);
    t.fd = -1;
    port_run(&t);
    assert_int_equal(t.lost, 1);
    assert_int_equal(t.down, 1);
    assert_int_equal(t.dev->ops->send(t.dev, &frame), 0); /* lost, and nobody waits */
    port_down(&t);
}

static unsigned port_drain(const struct port_test *t)
{
    static uint8_t sink[2000];
    unsigned n = 0;

    while (recv(t->fd, sink, sizeof(sink), 0) > 0)
        n++;
    return n;
}

/* Who waits for a peer that is gone sends to the next one at once, until that one is full too. */
static void test_port_is_full_again_at_once(void **state)
{
    static uint8_t bytes[1500];
    const struct iovec iov = {bytes, sizeof(bytes)};
    const struct net_frame frame = {.iov = &iov, .iov_count = 1, .length = sizeof(bytes)};
    struct port_test t;
    int pair[2];

    port_up(&t);
    while (!t.dev->ops->send(t.dev, &frame))
        ;
    close(t.fd);
    assert_int_equal(t.dev->ops->send(t.dev, &frame), 0); /* lost */
    assert_int_equal(t.lost, 1);
    t.next = &frame;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    t.fd = pair[1];
    assert_int_equal(net_port_reconnect(t.dev, pair[0]), 0);
    assert_int_equal(t.writable, 1);
    t.next = NULL;
    assert_true(port_drain(&t) > 0);
    port_run(&t);
    assert_int_equal(t.writable, 2);
    port_down(&t);
}

static void test_port_goes_on_with_another_peer(void **state)
{
    static uint8_t bytes[1500], sink[2000];
    const struct iovec iov = {bytes, sizeof(bytes)};
    const struct net_frame frame = {.iov = &iov, .iov_count = 1, .length = sizeof(bytes)};
    struct port_test t;
    int pair[2];

    port_up(&t);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(net_port_reconnect(t.dev, pair[0]), -EBUSY); /* the first is there */
    t.busy = true;
    port_put(&t, sink, NET_HEADER_SIZE + 60);
    close(t.fd);
    t.fd = -1;
    t.busy = false;
    t.dev->ops->poll(t.dev);
    port_run(&t);
    assert_int_equal(t.lost, 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(net_port_reconnect(t.dev, pair[0]), 0);
    t.fd = pair[1];
    assert_int_equal(t.down, 0);
    assert_int_equal(t.dev->ops->send(t.dev, &frame), 0);
    assert_int_equal(recv(t.fd, sink, sizeof(sink), 0), NET_HEADER_SIZE + sizeof(bytes));
    t.received = 0;
    port_put(&t, sink, NET_HEADER_SIZE + 60);
    assert_int_equal(t.received, 1);
    close(t.fd);
    t.fd = -1;
    port_run(&t);
    assert_int_equal(t.lost, 2);
    assert_int_equal(t.down, 1);
    port_down(&t);
}

/* --- A tap, in a network namespace of this process's own --- */
static unsigned tap_segments(int fd)
{
    struct ethtool_value value = {.cmd = ETHTOOL_GTSO};
    struct ifreq r = {0};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(ioctl(fd, TUNGETIFF, &r), 0);
    r.ifr_data = (char *)&value;
    assert_int_equal(ioctl(s, SIOCETHTOOL, &r), 0);
    close(s);
    return value.data;
}

static void test_tap_does_what_the_driver_cannot(void **state)
{
    struct err err;
    int fd = -1;

    if (unshare(CLONE_NEWNET) < 0 || net_tap_open("ptest", &fd, &err) < 0)
        skip();
    assert_int_equal(tap_segments(fd), 1);
    net_tap_offload(fd, 0);
    assert_int_equal(tap_segments(fd), 0);
    net_tap_offload(fd, (uint32_t)BIT(NET_F_GUEST_TSO4));
    assert_int_equal(tap_segments(fd), 1);
    net_tap_offload(fd, (uint32_t)BIT(NET_F_GUEST_ECN)); /* nothing without segments */
    assert_int_equal(tap_segments(fd), 0);
    close(fd);
}

RUN_TESTS(cmocka_unit_test(test_forwards), cmocka_unit_test(test_switch),
          cmocka_unit_test(test_switch_is_not_filled_by_one), cmocka_unit_test(test_subnets),
          cmocka_unit_test(test_dhcp), cmocka_unit_test(test_dhcp_asked),
          cmocka_unit_test(test_port_with_a_hostile_peer),
          cmocka_unit_test(test_port_waits_for_a_slow_guest),
          cmocka_unit_test(test_port_tells_when_it_is_full_and_when_it_is_over),
          cmocka_unit_test(test_port_goes_on_with_another_peer),
          cmocka_unit_test(test_port_is_full_again_at_once),
          cmocka_unit_test(test_tap_does_what_the_driver_cannot))
