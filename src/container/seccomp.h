/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System call filters (runtime-spec config-linux.md "Seccomp") by libseccomp. Compiling a usual
 * profile takes milliseconds, so the result is kept: in CACHE_DIR under a hash of the profile,
 * together with the profile itself, which is compared.
 */
#pragma once

#include "container/spec.h"

struct seccomp_filter {
    void *code; /* struct sock_filter[count]; NULL: no filter */
    unsigned count;
    unsigned flags;                                /* SECCOMP_FILTER_FLAG_* */
    const char *listener_path, *listener_metadata; /* who gets the notify descriptor; or NULL */
    bool notify;
};

/* From the profile, or from the cache below dir (a directory; -1: none). */
int must_use seccomp_compile(struct arena *arena, const struct json *profile, int cache_dir,
                             bool refuse_unknown, struct seccomp_filter *ret, struct err *err);
/* The same without a cache. */
int must_use seccomp_from_profile(struct arena *arena, const struct json *profile,
                                  bool refuse_unknown, struct seccomp_filter *ret, struct err *err);
/* Installs it for the calling thread; *ret_listener -1, or the notify descriptor. */
int must_use seccomp_install(const struct seccomp_filter *filter, int *ret_listener);
/* Connects to the listener before the container can change anything: a socket, -1 when unwanted. */
int must_use seccomp_connect(const struct seccomp_filter *filter, int *ret_socket, struct err *err);

extern const char *const seccomp_action_names[];
extern const char *const seccomp_operator_names[];
extern const char *const seccomp_arch_names[];
extern const char *const seccomp_flag_names[];
