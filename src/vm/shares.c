/* SPDX-License-Identifier: Apache-2.0 */
/* A guest's shares. Contract: vm/shares.h. */
#include "vm/shares.h"

#include "host/loop.h"
#include "share/share.h"
#include "vm/agent_host.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_NS (UINT64_C(60) * 1000000000) /* an emulated guest may be slow */

/* --- Back ends --- */
static void shares_lost(void *arg, struct fsdev *dev)
{
    const struct shares *s = arg;

    for (unsigned i = 0; i < s->vm->share_count; i++)
        if (!strcmp(dev->tag, s->vm->share[i].tag))
            s->events.lost(s->events.arg, i);
}

static struct share_config share_describe(const struct vm_config *vm, unsigned i, int log_fd)
{
    const struct vm_share *v = &vm->share[i];

    return (struct share_config){
        .guest = vm->name,
        .tag = v->tag,
        .path = v->host,
        .read_only = v->read_only,
        .owner = {v->squash, v->uid, v->gid, v->guest_uid, v->guest_gid},
        .log_fd = log_fd,
    };
}

int share_restart(const struct vm_config *vm, unsigned number, int log_fd, pid_t *ret_pid,
                  int ret_fds[2], struct err *err)
{
    struct share_config config;

    *ret_pid = 0;
    if (number >= vm->share_count)
        return err_set(err, -EINVAL, "the guest has no share %u", number);
    config = share_describe(vm, number, log_fd);
    return share_start(&config, ret_pid, ret_fds, err);
}

int shares_reconnect(struct shares *s, unsigned number, const int fds[2])
{
    if (number < VM_SHARES_MAX && s->dev[number])
        return share_reconnect(s->dev[number], fds[0], fds[1]);
    close(fds[0]);
    close(fds[1]);
    return -EINVAL;
}

static int share_open(struct shares *s, struct loop *loop, unsigned i, int log_fd, struct err *err)
{
    struct share_config config = share_describe(s->vm, i, log_fd);

    config.lost = shares_lost;
    config.arg = s;
    return share_new(loop, &config, &s->dev[i], err);
}

static void shares_end_wait(struct shares *s, const struct err *err)
{
    s->waiting = 0;
    loop_timer_set(s->timer, UINT64_MAX);
    s->events.mounted(s->events.arg, err);
}

static void shares_late(void *arg)
{
    struct shares *s = arg;
    struct err err;

    err_set(&err, -ETIMEDOUT,
            "the guest's agent does not mount the shares; an older image may have to be built "
            "again");
    shares_end_wait(s, &err);
}

int shares_open(struct shares *s, struct loop *loop, const struct vm_config *vm,
                const struct shares_events *events, int log_fd, struct err *err)
{
    int r = 0;

    *s = (struct shares){.vm = vm, .events = *events};
    s->timer = loop_timer_new(loop, shares_late, s);
    if (!s->timer)
        return err_set(err, -ENOMEM, "out of memory");
    for (unsigned i = 0; !r && i < vm->share_count; i++)
        r = share_open(s, loop, i, log_fd, err);
    return r;
}

void shares_close(struct shares *s)
{
    for (unsigned i = 0; i < VM_SHARES_MAX; i++)
        fsdev_close(s->dev[i]);
    loop_timer_free(s->timer);
    *s = (struct shares){0};
}

/* --- In the guest --- */
static void share_failed(struct shares *s, unsigned i, int code, const char *why)
{
    const struct vm_share *v = &s->vm->share[i];
    struct err err;

    err_set(&err, code, "share '%s': the guest cannot mount it at '%s': %s", v->host, v->guest,
            why);
    shares_end_wait(s, &err);
}

void shares_mount(struct shares *s, struct agent_host *agent)
{
    s->waiting = 0;
    if (!s->vm->share_count) {
        s->events.mounted(s->events.arg, NULL);
        return;
    }
    loop_timer_set(s->timer, ANSWER_NS);
    for (unsigned i = 0; i < s->vm->share_count; i++) {
        const struct vm_share *v = &s->vm->share[i];
        int r = agent_host_mount(agent, i, v->read_only, v->tag, v->guest);

        if (r < 0) {
            share_failed(s, i, r, strerror(-r));
            return;
        }
        s->waiting |= 1u << i;
    }
}

void shares_answer(struct shares *s, uint32_t number, uint32_t code)
{
    if (number >= s->vm->share_count || !(s->waiting >> number & 1))
        return;
    s->waiting &= ~(1u << number);
    if (code == ENODEV)
        share_failed(s, number, -ENODEV, "its kernel has no virtiofs");
    else if (code)
        share_failed(s, number, -EIO, code < 4096 ? strerror((int)code) : "an unknown error");
    else if (!s->waiting)
        shares_end_wait(s, NULL);
}

void shares_give_up(struct shares *s)
{
    s->waiting = 0;
    if (s->timer)
        loop_timer_set(s->timer, UINT64_MAX);
}
