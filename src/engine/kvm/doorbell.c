/* SPDX-License-Identifier: Apache-2.0 */
/* Doorbells (include/posada/doorbell.h) as KVM's ioeventfds. Spec: Linux
 * Documentation/virt/kvm/api.rst, 4.59. Drivers notify by a write of two bytes; where KVM lets the
 * width be, it need not look at the instruction on hosts that have it decoded. */
#include "engine/kvm/internal.h"

enum { NOTIFY_WIDTH = 2 };

int kvm_doorbell(struct engine *engine, gpa_t gpa, int fd, bool there)
{
    struct kvm_engine *e = kvm_of(engine);
    struct kvm_ioeventfd io = {
        .addr = gpa.v,
        .len = e->any_length ? 0 : NOTIFY_WIDTH,
        .fd = fd,
        .flags = there ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
    };
    int r = kvm_ioctl(e->vm, KVM_IOEVENTFD, &io);

    return r < 0 ? r : 0;
}
