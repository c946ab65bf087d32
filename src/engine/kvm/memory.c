/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest RAM as KVM's memory slots, one a region, and the log of pages that the guest writes. Spec:
 * Linux Documentation/virt/kvm/api.rst, 4.35, 4.8, 4.117; or rings instead: ring.c. With "manual
 * protect" a page is watched again only when its mark was read, a piece at a time.
 */
#include "base/bits.h"
#include "engine/kvm/internal.h"
#include "mem/mem.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int kvm_set_slot(struct kvm_engine *e, unsigned n, struct err *err)
{
    const struct kvm_slot *slot = &e->slot[n];
    struct kvm_userspace_memory_region region = {
        .slot = n,
        .flags = e->tracking_dirty ? KVM_MEM_LOG_DIRTY_PAGES : 0,
        .guest_phys_addr = slot->gpa,
        .memory_size = slot->size,
        .userspace_addr = (uint64_t)(uintptr_t)slot->host,
    };
    int r = kvm_ioctl(e->vm, KVM_SET_USER_MEMORY_REGION, &region);

    return r < 0 ? err_set(err, r,
                           "kvm: the host takes no %" PRIu64 " MiB of guest memory at 0x%" PRIx64
                           ": %s",
                           slot->size >> 20, slot->gpa, strerror(-r))
                 : 0;
}

/* ROM is a slot that the guest cannot write to, and none at all while it is hidden. */
static int kvm_set_rom(struct kvm_engine *e, unsigned n)
{
    struct kvm_userspace_memory_region region = {.slot = KVM_ROM_SLOT + n,
                                                 .flags = KVM_MEM_READONLY};
    uint64_t size;
    void *host;
    gpa_t gpa;
    bool shown;

    if (!mem_rom(e->mem, n, &gpa, &size, &host, &shown))
        return 0;
    region.guest_phys_addr = gpa.v;
    region.memory_size = shown ? size : 0;
    region.userspace_addr = (uint64_t)(uintptr_t)host;
    return kvm_ioctl(e->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* When that fails the guest's reads go on to the chip, or stay with the array: no harm to us. */
static void kvm_rom_changed(void *arg, unsigned n)
{
    (void)kvm_set_rom((struct kvm_engine *)arg, n);
}

static int kvm_map_roms(struct kvm_engine *e, struct err *err)
{
    uint64_t size;
    void *host;
    gpa_t gpa;
    bool shown;

    for (unsigned n = 0; mem_rom(e->mem, n, &gpa, &size, &host, &shown); n++) {
        int r = kvm_set_rom(e, n);

        if (r < 0)
            return err_set(err, r, "kvm: the host takes no ROM at 0x%" PRIx64 ": %s", gpa.v,
                           strerror(-r));
    }
    mem_on_rom(e->mem, kvm_rom_changed, e);
    return 0;
}

int kvm_map(struct engine *engine, struct err *err)
{
    struct kvm_engine *e = kvm_of(engine);
    struct kvm_slot slot;
    gpa_t gpa;

    for (unsigned i = 0; mem_region(e->mem, i, &gpa, &slot.size, &slot.host); i++) {
        int r;

        if (i == KVM_SLOTS_MAX)
            return err_set(err, -ENOSPC, "kvm: more than %d pieces of guest memory", KVM_SLOTS_MAX);
        slot.gpa = gpa.v;
        e->slot[i] = slot;
        e->slot_count = i + 1;
        r = kvm_set_slot(e, i, err);
        if (r)
            return r;
    }
    return kvm_map_roms(e, err);
}

int kvm_track_dirty(struct engine *engine, bool on, struct err *err)
{
    struct kvm_engine *e = kvm_of(engine);
    int r = 0;

    if (e->tracking_dirty == on)
        return 0;
    e->tracking_dirty = on;
    for (unsigned i = 0; i < e->slot_count && !r; i++)
        r = kvm_set_slot(e, i, err);
    return r;
}

static void kvm_mark_dirty(struct kvm_engine *e, const struct kvm_slot *slot,
                           const uint64_t *bitmap, uint64_t words)
{
    for (uint64_t word = 0; word < words; word++)
        for (uint64_t bits = bitmap[word]; bits; bits &= bits - 1) {
            uint64_t page = word * 64 + (uint64_t)__builtin_ctzll(bits);
            _Atomic uint8_t *flags =
                mem_page_flags(e->mem, GPA(slot->gpa + page * GUEST_PAGE_SIZE));

            if (flags)
                atomic_fetch_or(flags, PAGE_DIRTY);
        }
}

static int kvm_sync_slot(struct kvm_engine *e, unsigned n)
{
    const struct kvm_slot *slot = &e->slot[n];
    uint64_t pages = slot->size >> GUEST_PAGE_SHIFT, words = (pages + 63) / 64;
    uint64_t *bitmap = calloc(words, sizeof(*bitmap));
    struct kvm_dirty_log log = {.slot = n, .dirty_bitmap = bitmap};
    struct kvm_clear_dirty_log clear = {.slot = n, .dirty_bitmap = bitmap};
    int r;

    if (!bitmap)
        return -ENOMEM;
    r = kvm_ioctl(e->vm, KVM_GET_DIRTY_LOG, &log);
    /* Watched again before the marks are handed on: a later write makes a mark of its own. */
    clear.num_pages = (uint32_t)pages;
    if (!r && e->manual_dirty)
        r = kvm_ioctl(e->vm, KVM_CLEAR_DIRTY_LOG, &clear);
    if (!r)
        kvm_mark_dirty(e, slot, bitmap, words);
    free(bitmap);
    return r;
}

int kvm_sync_dirty(struct engine *engine, struct err *err)
{
    struct kvm_engine *e = kvm_of(engine);
    int r;

    if (!e->tracking_dirty)
        return err_set(err, -EINVAL, "kvm: writes are not being tracked");
    r = e->ring ? kvm_ring_sync(e) : 0;
    for (unsigned i = 0; i < e->slot_count && !e->ring && r >= 0; i++)
        r = kvm_sync_slot(e, i);
    return r < 0 ? err_set(err, r, "kvm: cannot read which pages were written: %s", strerror(-r))
                 : 0;
}
