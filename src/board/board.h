/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board: memory map, interrupt wiring, devices and the tables that tell a guest about them. It
 * is the same whatever engine executes it. src/vm makes one for a machine and drives it through
 * struct board_ops; another architecture is another file and one line in board_registry[].
 */
#pragma once

#include <posada/chardev.h>
#include <posada/device.h>
#include <posada/doorbell.h>
#include <posada/engine.h>
#include <posada/netdev.h>
#include <posada/vm.h>
#include <pthread.h>

struct blockdev;
struct fsdev;
struct board;
struct device_set;

/* What a board asks of the machine around it. */
struct board_host {
    pthread_mutex_t *lock; /* the machine lock */
    /* Runs fn(cpu, fn_arg) on the thread of every vCPU in mask at its next block boundary, asleep
     * or not, and returns when all have. From the vCPU thread `caller` only, lock not held. */
    void (*call_vcpus)(void *arg, unsigned caller, uint64_t mask,
                       void (*fn)(struct cpu *cpu, void *fn_arg), void *fn_arg);
    void *arg;
    struct doorbell_maker doorbells;
};

struct board_net {
    struct netdev *backend; /* stays the caller's */
    uint8_t mac[NET_MAC_SIZE];
};

/* A flash chip for firmware's variables. */
struct board_flash {
    const uint8_t *contents; /* as it starts; copied. NULL: there is no such chip */
    uint32_t size;
    void (*changed)(void *arg, const uint8_t *array); /* lock held */
    void *arg;
};

struct board_config {
    struct engine *engine; /* its vCPUs exist */
    struct mem *mem;       /* empty: the board adds RAM and the register space */
    struct clock *clock;
    unsigned cpus;
    uint64_t memory;
    uint64_t firmware_size; /* 0: none; else a ROM of that size where plan() has put it */
    struct board_flash flash;
    struct board_host host;
    struct power_sink power;
    uint64_t (*random)(void);
    struct chardev *console, *virtio_console, *agent; /* may be NULL */
    struct blockdev *disk[VM_DISKS_MAX];              /* stay the caller's */
    unsigned disk_queues[VM_DISKS_MAX];
    bool disk_split[VM_DISKS_MAX]; /* without packed rings */
    unsigned disk_count;
    struct board_net net[VM_NETS_MAX];
    unsigned net_count;
    struct fsdev *share[VM_SHARES_MAX]; /* stay the caller's */
    unsigned share_count;
    struct vsockdev *vsock; /* stays the caller's; NULL: no such device */
    uint32_t vsock_cid;
};

enum board_image_kind {
    BOARD_IMAGE_NONE,
    BOARD_IMAGE_RAW,   /* bytes for the board to place */
    BOARD_IMAGE_ELF,   /* segments at physical addresses of their own */
    BOARD_IMAGE_LINUX, /* position-independent kernel: placed by the board */
};

/* What a board has to know of an opened file to find a place for it. */
struct board_image {
    enum board_image_kind kind;
    uint64_t entry;       /* physical; from the image's start for RAW and LINUX */
    uint64_t lowest, end; /* ELF: of its segments, physical */
    uint64_t text_offset; /* LINUX: wanted offset from a 2 MiB boundary; x86: wanted address */
    uint64_t memory_size; /* RAW and LINUX: bytes of memory from its start */
    /* x86 */
    const uint8_t *setup; /* LINUX: setup header, from file offset 0x1f1 on; lives on */
    uint32_t setup_len;
    uint64_t alignment; /* LINUX: of its start */
    bool narrow;        /* ELF of 32 bits */
    bool multiboot;     /* ELF with a Multiboot header */
    uint64_t pvh_entry; /* ELF with that note: physical, 32-bit; 0: none */
};

/* All that a machine starts from. */
struct board_files {
    uint64_t memory; /* bytes of RAM */
    struct board_image firmware, kernel;
    uint64_t initrd_len; /* 0: none */
    const char *append;  /* kernel command line, "" for none; lives on */
};

/* Where the files go and how vCPU 0 starts; addresses are guest-physical. */
struct board_boot {
    uint64_t firmware_at, kernel_at; /* added to the images' own addresses */
    uint64_t entry;
    bool bare;                   /* highest privilege: firmware or a bare program; else a kernel */
    uint64_t next;               /* with firmware: the kernel it goes on to, 0 for none */
    uint64_t initrd, initrd_len; /* page-aligned; len 0: none */
    const char *append;
    struct board_image kernel; /* as it was planned for */
};

/* What a vCPU does after its environment call. */
enum board_action { BOARD_CONTINUE, BOARD_HALT };

struct board_ops {
    const char *name; /* "riscv_virt" */
    enum vm_arch arch;
    const struct cpu_ops *cpu_ops;
    uint64_t memory_max; /* bytes */
    unsigned cpus_max;
    /* Plans RAM and the way in: -ENOMEM with a sentence when the parts do not fit, -EINVAL for
     * files this board cannot start together. */
    int must_use (*plan)(const struct board_files *files, struct board_boot *ret_boot,
                         struct err *err);
    int must_use (*create)(const struct board_config *config, struct board **ret_board,
                           struct err *err);
    void (*destroy)(struct board *board); /* NULL is fine */
    /* Power-on and reset: writes the tables, resets devices and vCPUs. No vCPU runs. */
    int must_use (*reset)(struct board *board, const struct board_boot *boot, struct err *err);
    /* Environment call of a vCPU, on its thread, lock not held. */
    enum board_action (*hypercall)(struct board *board, struct cpu *cpu);
    /* False while the guest keeps this vCPU off. Any thread. */
    bool (*vcpu_on)(const struct board *board, unsigned index);
    /* All devices in order of save. */
    const struct device_set *(*devices)(const struct board *board);
};

struct board {
    const struct board_ops *ops;
};

extern const struct board_ops *const board_registry[]; /* NULL-terminated */
const struct board_ops *board_find(enum vm_arch arch); /* NULL: none yet */
