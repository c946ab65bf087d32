/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The criu program as a service for one request: `criu swrk FD` talks protocol buffers over a
 * SOCK_SEQPACKET pair (criu's images/rpc.proto; encoding: protobuf.dev "Encoding"). Only the fields
 * that are used here are known, others are skipped. What criu answers is bounded and checked.
 */
#pragma once

#include "base/buf.h"
#include "container/arena.h"
#include <posada/err.h>
#include <stdbool.h>
#include <sys/types.h>

enum { CRIU_FDS = 12, CRIU_FIRST_FD = 20, CRIU_OLDEST = 31700 };

enum criu_type {
    CRIU_DUMP = 1,
    CRIU_RESTORE = 2,
    CRIU_CHECK = 3,
    CRIU_PRE_DUMP = 4,
    CRIU_NOTIFY = 6,
    CRIU_FEATURES = 9,
    CRIU_VERSION = 10,
};

/* Fields of criu_opts by their numbers in rpc.proto. The directories are descriptors of ours, which
 * criu opens by /proc; those to inherit are its own (criu_put_inherit). */
enum criu_option {
    CRIU_IMAGES_FD = 1,
    CRIU_PID = 2,
    CRIU_LEAVE_RUNNING = 3,
    CRIU_EXT_UNIX_SK = 4,
    CRIU_TCP_ESTABLISHED = 5,
    CRIU_SHELL_JOB = 7,
    CRIU_FILE_LOCKS = 8,
    CRIU_LOG_LEVEL = 9,
    CRIU_LOG_FILE = 10,
    CRIU_NOTIFY_SCRIPTS = 12,
    CRIU_ROOT = 13,
    CRIU_PARENT_IMAGES = 14,
    CRIU_TRACK_MEMORY = 15,
    CRIU_AUTO_DEDUP = 16,
    CRIU_WORK_FD = 17,
    CRIU_LINK_REMAP = 18,
    CRIU_MANAGE_CGROUPS = 24,
    CRIU_SIBLING = 26,
    CRIU_INHERIT_FD = 27,
    CRIU_CGROUPS_MODE = 34,
    CRIU_EXTERNAL = 37,
    CRIU_FREEZE_CGROUP = 44,
    CRIU_TCP_SKIP_IN_FLIGHT = 46,
    CRIU_ORPHAN_PTS_MASTER = 50,
    CRIU_CONFIG_FILE = 51,
    CRIU_TCP_CLOSE = 52,
    CRIU_LSM_PROFILE = 53,
};

/* Options under construction. */
struct criu_options {
    struct buf buf;
    bool failed;
    int fds[CRIU_FDS]; /* criu gets fds[i] as CRIU_FIRST_FD + i; not ours to close */
    unsigned fd_count;
};
void criu_put_number(struct criu_options *o, unsigned field, uint64_t value);
void criu_put_bytes(struct criu_options *o, unsigned field, const void *data, size_t len);
void criu_put_text(struct criu_options *o, unsigned field, const char *text);
/* Hands a descriptor over, under the name the images know it by. */
void criu_put_inherit(struct criu_options *o, const char *key, int fd);
void criu_options_done(struct criu_options *o);

struct criu_answer {
    enum criu_type type;
    bool success, track_memory;
    pid_t pid;       /* of a restore, or a notification */
    char script[64]; /* of a notification */
    char message[300];
    int error; /* errno of the failure, 0: not told */
    unsigned major, minor, patch;
};
/* -EBADMSG. For its test, too. */
int must_use criu_parse(const uint8_t *data, size_t len, struct criu_answer *ret);

/* How the program is run, for restore: called in its process before exec. */
struct criu {
    const char *program; /* NULL: criu in PATH */
    int group;           /* version 2 group to be born in, -1: ours */
    int (*enter)(void *arg, struct err *err);
    /* Hears notifications; fd: a descriptor that came with it, -1, its to close. */
    int (*notify)(void *arg, const struct criu_answer *a, int fd, struct err *err);
    void *arg;
};
int must_use criu_request(const struct criu *c, enum criu_type type, const struct criu_options *o,
                          struct criu_answer *ret, struct err *err);
/* A criu that can be used here: new enough, and content with the kernel. work: where it may log. */
int must_use criu_probe(const struct criu *c, int work, struct err *err);
