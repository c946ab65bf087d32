/* SPDX-License-Identifier: Apache-2.0 */
#include "net/gate.h"

#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever waits for a rate looks this often whether it is still the same. */
enum { GATE_LOOK_MS = 100, NS_PER_MS = 1000000 };

#define GATE_FILE "rates"

/* Each is read by itself (relaxed): a helper that sees one new and one old sees both soon. */
struct net_live_rates {
    _Atomic uint64_t to_guest, from_guest;
};

static int gate_failed(const char *what, struct err *err)
{
    int code = errno;

    return err_set(err, -code, "network rates: cannot %s: %s", what, strerror(code));
}

int net_gate_publish(int dir_fd, const struct net_rates *rates, struct err *err)
{
    CLEANUP(fd)
    int fd = openat(dir_fd, GATE_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct net_live_rates *live;

    /* A hole would be filled by our store, and where there is no room that is SIGBUS. */
    if (fd < 0 || (errno = posix_fallocate(fd, 0, sizeof(*live))))
        return gate_failed("write them", err);
    live = mmap(NULL, sizeof(*live), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (live == MAP_FAILED)
        return gate_failed("write them", err);
    atomic_store_explicit(&live->to_guest, rates->to_guest, memory_order_relaxed);
    atomic_store_explicit(&live->from_guest, rates->from_guest, memory_order_relaxed);
    (void)munmap(live, sizeof(*live));
    return 0;
}

int net_gate_open(int dir_fd, int *ret_fd, struct err *err)
{
    int fd = openat(dir_fd, GATE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return gate_failed("open them", err);
    *ret_fd = fd;
    return 0;
}

int net_gate_init(struct net_gate *gate, int fd, struct err *err)
{
    CLEANUP(fd) int file = fd;
    struct stat st;
    void *at;

    *gate = (struct net_gate){0};
    if (fstat(file, &st) < 0)
        return gate_failed("look at them", err);
    if (st.st_size < (off_t)sizeof(*gate->live))
        return err_set(err, -EINVAL, "network rates: their file is cut short");
    at = mmap(NULL, sizeof(*gate->live), PROT_READ, MAP_SHARED, file, 0);
    if (at == MAP_FAILED)
        return gate_failed("map them", err);
    gate->live = at;
    return 0;
}

static bool gate_way(struct net_bucket *b, uint64_t rate, int *ms)
{
    uint64_t wait;

    (void)net_bucket_set(b, rate);
    wait = net_bucket_wait(b);
    if (!wait)
        return true;
    wait = (wait + NS_PER_MS - 1) / NS_PER_MS;
    if (wait > GATE_LOOK_MS)
        wait = GATE_LOOK_MS;
    if (*ms < 0 || (int)wait < *ms)
        *ms = (int)wait;
    return false;
}

int net_gate_look(struct net_gate *gate)
{
    const struct net_live_rates *live = gate->live;
    int ms = -1;

    gate->to_open = gate->from_open = true;
    if (!live)
        return ms;
    gate->to_open =
        gate_way(&gate->to_guest, atomic_load_explicit(&live->to_guest, memory_order_relaxed), &ms);
    gate->from_open = gate_way(&gate->from_guest,
                               atomic_load_explicit(&live->from_guest, memory_order_relaxed), &ms);
    return ms;
}
