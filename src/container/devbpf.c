/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device rules as an eBPF program of a version 2 group (cgroup-v2.rst "Device controller",
 * BPF_PROG_TYPE_CGROUP_DEVICE). The program is written out instruction by instruction: rules are
 * tried from the last to the first, the first that matches decides, nothing matching denies:
 * what a version 1 devices controller does with the same list after "deny all".
 *
 * r2 type, r3 access asked for, r4 major, r5 minor; loaded once at the start.
 */
#include "container/cgroup.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEVBPF_PER_RULE = 9, DEVBPF_PROLOGUE = 6, DEVBPF_OLD = 64 };

struct devbpf {
    struct bpf_insn *code;
    unsigned len;
};

static void devbpf_emit(struct devbpf *p, unsigned code, unsigned dst, unsigned src, int off,
                        int imm)
{
    p->code[p->len++] = (struct bpf_insn){.code = (uint8_t)code,
                                          .dst_reg = (uint8_t)(dst & 15),
                                          .src_reg = (uint8_t)(src & 15),
                                          .off = (int16_t)off,
                                          .imm = imm};
}

static void devbpf_load(struct devbpf *p, unsigned dst, size_t offset)
{
    devbpf_emit(p, BPF_LDX | BPF_W | BPF_MEM, dst, BPF_REG_1, (int)offset, 0);
}

static void devbpf_prologue(struct devbpf *p)
{
    devbpf_load(p, BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    devbpf_emit(p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
    devbpf_emit(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
    devbpf_emit(p, BPF_ALU | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
    devbpf_load(p, BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
    devbpf_load(p, BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
}

static void devbpf_answer(struct devbpf *p, bool allow)
{
    devbpf_emit(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
    devbpf_emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static int devbpf_access(const struct spec_device_rule *d)
{
    return (d->read ? BPF_DEVCG_ACC_READ : 0) | (d->write ? BPF_DEVCG_ACC_WRITE : 0) |
           (d->mknod ? BPF_DEVCG_ACC_MKNOD : 0);
}

/* An allowing rule must cover all that is asked for, a denying one any part of it. False when it
 * decides everything: the verifier takes no instructions that nothing leads to. */
static bool devbpf_rule(struct devbpf *p, const struct spec_device_rule *d)
{
    unsigned misses[DEVBPF_PER_RULE], count = 0;
    int access = devbpf_access(d);

    if (d->type != 'a') {
        misses[count++] = p->len;
        devbpf_emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0,
                    d->type == 'c' ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK);
    }
    if (access != 7) {
        devbpf_emit(p, BPF_ALU | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
        devbpf_emit(p, BPF_ALU | BPF_AND | BPF_K, BPF_REG_1, 0, 0, access);
        misses[count++] = p->len;
        if (d->allow)
            devbpf_emit(p, BPF_JMP | BPF_JNE | BPF_X, BPF_REG_1, BPF_REG_3, 0, 0);
        else
            devbpf_emit(p, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_1, 0, 0, 0);
    }
    if (d->major >= 0) {
        misses[count++] = p->len;
        devbpf_emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int)d->major);
    }
    if (d->minor >= 0) {
        misses[count++] = p->len;
        devbpf_emit(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int)d->minor);
    }
    devbpf_answer(p, d->allow);
    for (unsigned i = 0; i < count; i++)
        p->code[misses[i]].off = (int16_t)(p->len - misses[i] - 1);
    return count;
}

static int devbpf_call(int op, union bpf_attr *attr)
{
    long r = syscall(SYS_bpf, op, attr, sizeof(*attr));

    return r < 0 ? -errno : (int)r;
}

static int devbpf_try_load(const struct devbpf *p)
{
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE};

    attr.insns = (uintptr_t)p->code;
    attr.insn_cnt = p->len;
    attr.license = (uintptr_t) "Apache-2.0";
    return devbpf_call(BPF_PROG_LOAD, &attr);
}

/* Kernels before 5.11 count programs against RLIMIT_MEMLOCK: raised only when that is it. */
static int devbpf_load_program(const struct devbpf *p)
{
    const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    int fd = devbpf_try_load(p);

    if (fd == -EPERM && setrlimit(RLIMIT_MEMLOCK, &all) == 0)
        fd = devbpf_try_load(p);
    return fd;
}

/* Programs attached with "multi" all have to agree: what we attached earlier must go. */
static void devbpf_detach_old(int group, int keep)
{
    uint32_t ids[DEVBPF_OLD] = {0};
    union bpf_attr query = {0}, info_attr;
    struct bpf_prog_info info = {0};

    memset(&info_attr, 0, sizeof(info_attr));
    info_attr.info.bpf_fd = (uint32_t)keep;
    info_attr.info.info_len = sizeof(info);
    info_attr.info.info = (uintptr_t)&info;
    query.query.target_fd = (uint32_t)group;
    query.query.attach_type = BPF_CGROUP_DEVICE;
    query.query.prog_ids = (uintptr_t)ids;
    query.query.prog_cnt = DEVBPF_OLD;
    if (devbpf_call(BPF_PROG_QUERY, &query) < 0 ||
        devbpf_call(BPF_OBJ_GET_INFO_BY_FD, &info_attr) < 0)
        return;
    for (unsigned i = 0; i < query.query.prog_cnt && i < DEVBPF_OLD; i++) {
        union bpf_attr by_id = {0}, detach = {0};
        int fd;

        if (ids[i] == info.id)
            continue;
        by_id.prog_id = ids[i];
        fd = devbpf_call(BPF_PROG_GET_FD_BY_ID, &by_id);
        if (fd < 0)
            continue;
        detach.target_fd = (uint32_t)group;
        detach.attach_bpf_fd = (uint32_t)fd;
        detach.attach_type = BPF_CGROUP_DEVICE;
        (void)!devbpf_call(BPF_PROG_DETACH, &detach);
        close(fd);
    }
}

int devbpf_attach(int group, const struct spec_resources *res, struct err *err)
{
    unsigned rules = res->device_count + cgroup_default_rule_count;
    struct devbpf p = {.code =
                           calloc(DEVBPF_PROLOGUE + rules * DEVBPF_PER_RULE + 2, sizeof(*p.code))};
    union bpf_attr attach = {0};
    bool more = true;
    int fd, r;

    if (!p.code)
        return err_set(err, -ENOMEM, "device rules: no memory");
    devbpf_prologue(&p);
    for (unsigned i = cgroup_default_rule_count; i-- && more;)
        more = devbpf_rule(&p, &cgroup_default_rules[i]);
    for (unsigned i = res->device_count; i-- && more;)
        more = devbpf_rule(&p, &res->devices[i]);
    if (more)
        devbpf_answer(&p, false);
    fd = devbpf_load_program(&p);
    free(p.code);
    if (fd < 0)
        return err_set(err, fd, "device rules: the kernel does not take the eBPF program: %s",
                       strerror(-fd));
    attach.target_fd = (uint32_t)group;
    attach.attach_bpf_fd = (uint32_t)fd;
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    r = devbpf_call(BPF_PROG_ATTACH, &attach);
    if (r >= 0)
        devbpf_detach_old(group, fd);
    close(fd);
    return r < 0
               ? err_set(err, r, "device rules: cannot attach them to the cgroup: %s", strerror(-r))
               : 0;
}
