/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle's config.json as checked structures (OCI runtime-spec 1.3, config.md and
 * config-linux.md). Everything lives in the arena given to spec_parse(), texts point into it.
 * Unknown fields are reported, not refused (the specification asks for that); a known field with
 * a value we cannot honour is refused.
 */
#pragma once

#include "container/json.h"
#include <sys/types.h>

enum { SPEC_IDS = 340 }; /* the kernel's limit of extents in one map */

struct spec_map {
    uint32_t inside, outside, size;
};
struct spec_maps {
    struct spec_map *uid, *gid;
    unsigned uids, gids;
};

struct spec_rlimit {
    int resource;
    uint64_t soft, hard;
};

struct spec_scheduler {
    bool given;
    uint64_t policy, flags;
    int64_t nice, priority;
    uint64_t runtime, deadline, period;
};

/* Five sets of capabilities as bit masks; given: the object was there. */
struct spec_capabilities {
    bool given;
    uint64_t bounding, effective, inheritable, permitted, ambient;
};

struct spec_process {
    bool given, terminal, no_new_privs, has_umask, has_oom_score, has_personality, has_ioprio;
    unsigned columns, rows; /* consoleSize, 0: not given */
    uint32_t uid, gid, umask;
    uint32_t *groups;
    unsigned group_count;
    const char **args, **env; /* NULL-terminated; env never NULL */
    const char *cwd;
    struct spec_capabilities capabilities;
    struct spec_rlimit *rlimits;
    unsigned rlimit_count;
    int oom_score;
    uint64_t personality;
    int ioprio; /* as ioprio_set(2) takes it */
    struct spec_scheduler scheduler;
    const char *initial_affinity, *final_affinity; /* CPU lists: "0-3,7" */
    const char *apparmor, *selinux;
};

struct spec_mount {
    const char *destination, *type, *source;
    uint64_t flags, propagation[4], rec_set, rec_clear;
    unsigned propagations, extra;
    bool recursive_idmap;
    const char *data;       /* options that the file system gets */
    const char *idmap_text; /* crun's idmap=uids=...: refused with the reason */
    struct spec_maps maps;
    const struct json *at; /* for messages */
};

struct spec_namespace {
    uint64_t flag;
    const char *path; /* NULL: a new one */
};

struct spec_device {
    const char *path;
    mode_t type; /* S_IFCHR, S_IFBLK, S_IFIFO */
    unsigned major, minor;
    mode_t mode;
    uint32_t uid, gid;
};

struct spec_hook {
    const char *path, **args, **env;
    int timeout; /* seconds, 0: none */
};
enum spec_hook_kind {
    SPEC_PRESTART,
    SPEC_CREATE_RUNTIME,
    SPEC_CREATE_CONTAINER,
    SPEC_START_CONTAINER,
    SPEC_POSTSTART,
    SPEC_POSTSTOP,
    SPEC_HOOK_KINDS
};
extern const char *const spec_hook_names[SPEC_HOOK_KINDS];

struct spec_device_rule {
    bool allow;
    char type;            /* a, b, c */
    int64_t major, minor; /* -1: any */
    bool read, write, mknod;
};

struct spec_pair { /* a name and a value, or two */
    const char *name;
    uint64_t value;
};
struct spec_throttle {
    unsigned major, minor;
    uint64_t value;
};
enum {
    SPEC_THROTTLE_RBPS,
    SPEC_THROTTLE_WBPS,
    SPEC_THROTTLE_RIOPS,
    SPEC_THROTTLE_WIOPS,
    SPEC_THROTTLES
};
struct spec_rdma {
    const char *device;
    int64_t handles, objects; /* -1: not given */
};

#define SPEC_UNSET INT64_MIN /* a limit that is not there: -1 often means "no limit" */

struct spec_resources {
    bool given;
    struct spec_device_rule *devices;
    unsigned device_count;
    struct {
        int64_t limit, reservation, swap, kernel, kernel_tcp, swappiness;
        bool no_oom_killer, use_hierarchy, check_before_update, has_oom;
    } memory;
    struct {
        int64_t shares, quota, burst, period, rt_runtime, rt_period, idle;
        const char *cpus, *mems;
    } cpu;
    int64_t pids;
    struct {
        int64_t weight, leaf_weight;
        struct spec_throttle *weights;
        unsigned weight_count;
        struct spec_throttle *throttle[SPEC_THROTTLES];
        unsigned throttle_count[SPEC_THROTTLES];
    } block;
    struct spec_pair *huge; /* "2MB" and bytes */
    unsigned huge_count;
    int64_t class_id;
    struct spec_pair *priorities; /* network: interface and priority */
    unsigned priority_count;
    struct spec_rdma *rdma;
    unsigned rdma_count;
    const struct json *unified; /* of texts, NULL: none */
};

struct spec_net_device {
    const char *host_name, *name;
};

struct spec {
    struct arena *arena;
    struct json *root;
    const char *version, *hostname, *domainname;
    const struct json *annotations; /* of texts, NULL: none */
    struct spec_process process;
    const char *rootfs; /* as written */
    bool rootfs_readonly;
    struct spec_mount *mounts;
    unsigned mount_count;
    struct spec_hook *hooks[SPEC_HOOK_KINDS];
    unsigned hook_count[SPEC_HOOK_KINDS];
    struct spec_namespace namespaces[8];
    unsigned namespace_count;
    struct spec_maps maps;
    struct spec_device *devices;
    unsigned device_count;
    struct spec_net_device *net_devices;
    unsigned net_device_count;
    const char *cgroups_path; /* NULL: not given */
    struct spec_resources resources;
    uint64_t propagation; /* of the rootfs, MS_*; 0: not given */
    const struct json *seccomp, *sysctl, *time_offsets, *intel_rdt, *memory_policy;
    const char **masked, **readonly; /* NULL-terminated or NULL */
    const char *mount_label;
};

typedef void (*spec_note_fn)(void *arg, const char *text);

/* Parses and checks text[0 .. len) (changed by it). note hears of each unknown field. */
int must_use spec_parse(struct arena *arena, char *text, size_t len, spec_note_fn note, void *arg,
                        struct spec *ret_spec, struct err *err);
/* A process document as exec --process takes it. */
int must_use spec_parse_process(struct arena *arena, char *text, size_t len, spec_note_fn note,
                                void *arg, struct spec_process *ret_process, struct err *err);
/* Resources as update --resources takes them. */
int must_use spec_parse_resources(struct arena *arena, char *text, size_t len,
                                  struct spec_resources *ret_resources, struct err *err);

/* All limits "not given". */
void spec_resources_init(struct spec_resources *resources);

/* The namespace's entry, NULL when the container shares the runtime's. */
const struct spec_namespace *spec_namespace(const struct spec *spec, uint64_t flag);
/* The annotation's value or NULL. */
const char *spec_annotation(const struct spec *spec, const char *name);

/* Parts, in files of their own; each a reader of what json_reader describes. */
void spec_read_process(struct json_reader *r, const struct json *at, struct spec_process *process);
void spec_read_mounts(struct json_reader *r, const struct json *at, struct spec *spec);
void spec_read_linux(struct json_reader *r, const struct json *at, struct spec *spec);
void spec_read_resources(struct json_reader *r, const struct json *at,
                         struct spec_resources *resources);
void spec_read_maps(struct json_reader *r, const struct json *object, const char *name,
                    struct spec_map **ret_maps, unsigned *ret_count);
void *spec_array(struct json_reader *r, unsigned count, size_t size);
