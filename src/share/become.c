/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating things as the user who asks for it, so that owner and group are right from the first
 * moment (a set-group-ID directory included). Each thread has its own file-system user. The guest's
 * kernel has checked the rights, with groups we do not know: so they are not checked again here,
 * which takes CAP_DAC_OVERRIDE, which a change of that user takes away.
 */
#include "share/internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

static int become_raise(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

    if (syscall(SYS_capget, &header, caps) < 0)
        return -errno;
    caps[0].effective |= caps[0].permitted & 1u << CAP_DAC_OVERRIDE;
    return syscall(SYS_capset, &header, caps) < 0 ? -errno : 0;
}

/* These calls tell the value before, never a failure: asking for an impossible one shows it. */
static bool become_is(long call, uint32_t id)
{
    return (uint32_t)syscall(call, -1) == id;
}

int share_become(struct share_call *c)
{
    uint32_t uid = c->h->uid, gid = c->h->gid;

    if (!c->s->config.become || (!uid && !gid)) /* root, as which we run */
        return 0;
    if (uid == (uint32_t)-1 || gid == (uint32_t)-1)
        return -EPERM;
    c->became = true;
    (void)syscall(SYS_setfsgid, gid);
    (void)syscall(SYS_setfsuid, uid);
    if (become_is(SYS_setfsgid, gid) && become_is(SYS_setfsuid, uid) && (!uid || !become_raise()))
        return 0;
    share_be_back(c);
    return -EPERM;
}

void share_be_back(struct share_call *c)
{
    if (!c->became)
        return;
    c->became = false;
    (void)syscall(SYS_setfsuid, 0);
    (void)syscall(SYS_setfsgid, 0);
}
