/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libslirp, loaded when it is needed: only the helper process of a user network ever has it, and
 * the glib it brings, in its memory; a host without it lacks this one network.
 */
#pragma once

#include <posada/err.h>
#include <slirp/libslirp.h>

struct slirp_api {
    Slirp *(*new)(const SlirpConfig *config, const SlirpCb *callbacks, void *opaque);
    void (*fill)(Slirp *slirp, uint32_t *timeout, SlirpAddPollCb add, void *opaque);
    void (*poll)(Slirp *slirp, int failed, SlirpGetREventsCb get, void *opaque);
    void (*input)(Slirp *slirp, const uint8_t *frame, int len);
    int (*add_forward)(Slirp *slirp, const struct sockaddr *host, socklen_t host_len,
                       const struct sockaddr *guest, socklen_t guest_len, int flags);
    int (*remove_forward)(Slirp *slirp, const struct sockaddr *host, socklen_t host_len, int flags);
};

int must_use slirp_load(struct slirp_api *ret_api, struct err *err);
