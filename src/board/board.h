/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A board: memory map, interrupt wiring, devices and the tables that tell a guest about them. It
 * is the same whatever engine executes it. src/vm makes one for a machine and drives it through
 * struct board_ops; another architecture is another file and one line in board_registry[].
 */
#pragma once

#include <posada/chardev.h>
#include <posada/device.h>
#include <posada/engine.h>
#include <posada/netdev.h>
#include <posada/vm.h>
#include <pthread.h>

struct blockdev;
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
};

struct board_net {
    struct netdev *backend; /* stays the caller's */
    uint8_t mac[NET_MAC_SIZE];
};

struct board_config {
    struct engine *engine; /* its vCPUs exist */
    struct mem *mem;       /* empty: the board adds RAM and the register space */
    struct clock *clock;
    unsigned cpus;
    uint64_t memory;
    struct board_host host;
    struct power_sink power;
    uint64_t (*random)(void);
    struct chardev *console, *virtio_console, *agent; /* may be NULL */
    struct blockdev *disk[VM_DISKS_MAX];              /* stay the caller's */
    unsigned disk_count;
    struct board_net net[VM_NETS_MAX];
    unsigned net_count;
};

/* Where a kernel's parts go; all addresses are guest-physical. */
struct board_places {
    uint64_t firmware; /* raw firmware's start: the lowest RAM */
    uint64_t kernel;   /* an Image's start */
    uint64_t initrd;   /* page-aligned */
    uint64_t low_end;  /* end of what the board keeps free for kernel and initrd */
};

/* How vCPU 0 starts. The images are in RAM already. */
struct board_boot {
    uint64_t entry;
    bool bare;                   /* highest privilege: firmware or a bare program; else a kernel */
    uint64_t next;               /* with firmware: the kernel it goes on to, 0 for none */
    uint64_t initrd, initrd_len; /* len 0: none */
    const char *append;          /* kernel command line, "" for none */
};

/* What a vCPU does after its environment call. */
enum board_action { BOARD_CONTINUE, BOARD_HALT };

struct board_ops {
    const char *name; /* "riscv_virt" */
    enum vm_arch arch;
    const struct cpu_ops *cpu_ops;
    uint64_t memory_max; /* bytes */
    unsigned cpus_max;
    /* Plans RAM: -ENOMEM with a sentence when the parts do not fit. text_offset and kernel_len of
     * a Linux Image (kernel_len 0: none). */
    int must_use (*place)(uint64_t memory, uint64_t text_offset, uint64_t kernel_len,
                          uint64_t initrd_len, struct board_places *ret_places, struct err *err);
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
