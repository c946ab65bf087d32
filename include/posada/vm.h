/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest as the user describes it. Everything a guest may see of its host is recorded here at
 * creation and never derived again: architecture, CPU model, count, UUID, MAC addresses.
 */
#pragma once

#include <posada/err.h>
#include <stdbool.h>

enum vm_arch { ARCH_RISCV64, ARCH_ARM64, ARCH_X86_64, ARCH_COUNT };
enum vm_technique {
    TECHNIQUE_AUTO,
    TECHNIQUE_EMULATE,
    TECHNIQUE_FULL,
    TECHNIQUE_HARDWARE,
    TECHNIQUE_PARA,
    TECHNIQUE_CONTAINER,
    TECHNIQUE_COUNT
};

/* Names as on the command line ("riscv64"; Debian's: riscv64 arm64 amd64 are accepted too).
 * -1 for an unknown name. */
int vm_arch_parse(const char *name);
const char *vm_arch_name(enum vm_arch arch);        /* uname -m: riscv64 aarch64 x86_64 */
const char *vm_arch_debian_name(enum vm_arch arch); /* riscv64 arm64 amd64 */
int vm_technique_parse(const char *name);
const char *vm_technique_name(enum vm_technique technique);

enum { VM_NAME_MAX = 63, VM_DISKS_MAX = 8, VM_NETS_MAX = 4, VM_SHARES_MAX = 8, VM_CPUS_MAX = 64 };

struct vm_disk {
    char *path;
    char *format;      /* "raw" or "qcow2"; never probed */
    char *backing_dir; /* where files behind a qcow2 image may lie; NULL: none are allowed */
    unsigned queues;   /* 0: one for each vCPU */
    bool split_rings;  /* packed ones are not offered to the guest */
    char *cache, *aio; /* QEMU's words; NULL: "writeback", what the host has */
    bool read_only;
    /* Until the guest is made, of a disk that is to be an overlay: what over, "raw" or "qcow2", and
     * how large it shall be at least (bytes). */
    char *base, *base_format;
    uint64_t size;
};

struct vm_net {
    char *network; /* "user" (once at most), a network's name, or "tap:IFNAME[,BRIDGE]" */
    char mac[18];  /* "02:..."; made with the guest */
};

struct vm_share {
    char *host;   /* a folder of the host: its path without links */
    char *guest;  /* where the guest mounts it: an absolute path */
    char tag[37]; /* what it is called in between: "share0" */
    bool read_only;
    bool squash;       /* one user of the host for all; else numbers are the same on both sides */
    unsigned uid, gid; /* squash: that user, and what a guest sees as owner of everything */
    unsigned guest_uid, guest_gid;
};

struct vm_config {
    char name[VM_NAME_MAX + 1]; /* [a-z0-9][a-z0-9_.-]* */
    char uuid[37];
    enum vm_arch arch;
    enum vm_technique technique; /* as asked; the engine chosen is in `engine` */
    char engine[16];
    char cpu_model[128];
    unsigned cpus;
    uint64_t memory; /* bytes */
    char *image;     /* recipe or image name; NULL when booting given files */
    char *kernel, *initrd, *append, *firmware;
    bool tohost; /* bare ELF with riscv-tests' tohost word */
    struct vm_disk disk[VM_DISKS_MAX];
    unsigned disk_count;
    uint64_t disk_size;   /* of the disk that the image gives, at least; bytes, 0: the image's */
    char **command;       /* NULL-terminated; NULL: console */
    char **env;           /* the command's, "KEY=value", NULL-terminated; NULL: none */
    char *user, *workdir; /* the command's; NULL: the guest's default */
    bool tty;             /* the command gets a terminal */
    bool open_stdin;      /* the command's standard input stays open */
    bool auto_remove;
    char *file, *spec; /* the guest file it is from, and a digest of what that says; NULL: none */
    char *net_rate;    /* limits of each network as text (net/limit.h); NULL: none */
    char *restart;     /* its restart policy as text (vm/restart.h); NULL: no */
    /* Containers only: EROFS files of the root, lowest first; or the unpacked root instead. */
    char **layers, *tree;
    uint64_t memory_low, memory_high; /* bytes; 0: none */
    bool memory_auto;                 /* memory_high moves by pressure */
    unsigned millicpus, pids;         /* of processor time, of processes: at most; 0: no limit */
    char *stop_signal;                /* what asks its program to end; NULL: TERM */
    struct vm_net net[VM_NETS_MAX];   /* eth0 and so on */
    unsigned net_count;
    struct vm_share share[VM_SHARES_MAX];
    unsigned share_count;
    char **ports;       /* forwards of the user network, "127.0.0.1:8080:80/tcp"; NULL: none */
    char *vsock;        /* the host's socket of a virtio-vsock device; NULL: no such device */
    unsigned vsock_cid; /* the guest's address there */
    char *sandbox;      /* "strict", "thin"; NULL: as much as the host offers, if that is enough */
    unsigned gdb_port;  /* 0: none */
    char *trace;        /* trace classes, NULL: off */
    bool perf_map;      /* names for perf, in /tmp/perf-PID.map */
    char *symbols;      /* file with the guest kernel's function names for it; NULL: none */
    unsigned stress;    /* enum engine_stress: developers' tests, never recorded */
};

void vm_config_done(struct vm_config *config);

/* States as `posada ps` shows them. */
enum vm_state {
    VM_CREATED,
    VM_STARTING, /* process up, guest not yet answering */
    VM_RUNNING,
    VM_PAUSED,
    VM_STOPPING,
    VM_STOPPED, /* ended on its own account or by request */
    VM_FAILED,  /* the monitor or the engine failed, or the process died */
};
const char *vm_state_name(enum vm_state state);
