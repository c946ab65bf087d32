/* SPDX-License-Identifier: Apache-2.0 */
/* Capability sets of the calling thread. Contract: container/caps.h. */
#include "container/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int caps_get(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capget, &head, data) < 0 ? -errno : 0;
}

static int caps_put(const struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

uint64_t caps_known(void)
{
    unsigned last = 0;

    while (last < 64 && prctl(PR_CAPBSET_READ, last, 0, 0, 0) >= 0)
        last++;
    return last >= 64 ? UINT64_MAX : (UINT64_C(1) << last) - 1;
}

int caps_bound(uint64_t bounding)
{
    for (unsigned c = 0; c < 64; c++) {
        if (bounding >> c & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0) {
            if (errno == EINVAL) /* behind the kernel's last one */
                return 0;
            /* Without CAP_SETPCAP nothing can be dropped; nothing need be when it is gone. */
            if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) != 0)
                return -EPERM;
        }
    }
    return 0;
}

int caps_raise(void)
{
    struct __user_cap_data_struct data[2];
    int r = caps_get(data);

    data[0].effective = data[0].permitted;
    data[1].effective = data[1].permitted;
    return r < 0 ? r : caps_put(data);
}

bool caps_have(int capability)
{
    struct __user_cap_data_struct data[2];

    return caps_get(data) == 0 && data[capability / 32].effective >> capability % 32 & 1;
}

/* Asking for more than there is is not an error in practice: engines write one list for all hosts.
 * What the kernel does not grant is left out, as the other runtimes do. */
int caps_set(const struct spec_capabilities *caps)
{
    struct __user_cap_data_struct now[2], want[2];
    uint64_t permitted, inheritable;
    int r = caps_get(now);

    if (r < 0)
        return r;
    permitted =
        (caps->permitted | caps->effective) & (now[0].permitted | (uint64_t)now[1].permitted << 32);
    inheritable = caps->inheritable ? caps->inheritable & caps_known() : 0;
    for (unsigned i = 0; i < 2; i++) {
        want[i].permitted = (uint32_t)(permitted >> 32 * i);
        want[i].effective = (uint32_t)((caps->effective & permitted) >> 32 * i);
        want[i].inheritable = (uint32_t)(inheritable >> 32 * i);
    }
    r = caps_put(want);
    if (r == -EPERM) { /* inheritable may not grow beyond the bounding set */
        want[0].inheritable &= want[0].permitted | now[0].inheritable;
        want[1].inheritable &= want[1].permitted | now[1].inheritable;
        r = caps_put(want);
    }
    if (r < 0)
        return r;
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned c = 0; c < 64; c++)
        if (caps->ambient >> c & 1)
            (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
    return 0;
}
