/* SPDX-License-Identifier: Apache-2.0 */
/* What a monitor and its vsock helper say to each other (host/pass.h): a message each way. */
#pragma once

#include <posada/types.h>

struct vsock_dial {
    uint32_t guest_port, host_port; /* the helper needs the second only */
    int32_t code;                   /* the answer: 0, and a descriptor comes along, or -errno */
};
