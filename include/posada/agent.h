/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol between the guest's agent and the monitor, over the virtio-console port named
 * AGENT_PORT; the CLI speaks the same frames to the monitor once an `exec` or `attach` connection
 * has switched to streaming. Both ends treat the other as hostile: lengths are checked before
 * anything is allocated, unknown types are ignored, a bad frame closes the stream.
 *
 * Frame: struct agent_frame, little-endian, then `length` bytes. Channel 0 is the agent itself;
 * each running command has a channel of its own, chosen by the host (1..AGENT_CHANNELS-1).
 * Flow control: each direction of a channel may have AGENT_WINDOW bytes of STDIN/STDOUT/STDERR
 * unacknowledged; the receiver sends ACK (u32: bytes consumed) as it passes them on.
 */
#pragma once

#include <posada/types.h>

#define AGENT_PORT "posada.agent.0"

enum { AGENT_VERSION = 1, AGENT_MAX_PAYLOAD = 16384, AGENT_WINDOW = 131072, AGENT_CHANNELS = 64 };

struct agent_frame {
    uint8_t type; /* enum agent_type */
    uint8_t zero;
    uint16_t channel;
    uint32_t length; /* payload bytes, at most AGENT_MAX_PAYLOAD */
};

enum agent_type {
    /* guest -> host, channel 0, first frame after boot: u32 version, then "key=value\0"...
     * (arch, kernel, hostname). Sent again whenever the host sends PING. */
    AGENT_HELLO = 1,
    AGENT_PING = 2, /* host -> guest, empty; answered by HELLO */
    /* host -> guest: u32 flags (enum agent_exec_flag), u16 rows, u16 columns, u32 argc, u32 envc,
     * then argc + envc NUL-terminated strings, then user NUL, workdir NUL (empty: default). */
    AGENT_EXEC = 3,
    AGENT_STARTED = 4,   /* guest -> host: u32 guest pid */
    AGENT_STDIN = 5,     /* host -> guest; an empty one is end of file */
    AGENT_STDOUT = 6,    /* guest -> host; an empty one is end of file */
    AGENT_STDERR = 7,    /* guest -> host (never with a terminal) */
    AGENT_RESIZE = 8,    /* host -> guest: u16 rows, u16 columns */
    AGENT_SIGNAL = 9,    /* host -> guest: u32 Linux signal number */
    AGENT_EXIT = 10,     /* guest -> host, last of a channel: u32 exit code (128+n for a signal) */
    AGENT_FAILED = 11,   /* guest -> host, instead of STARTED: u32 exit code (126, 127), text */
    AGENT_ACK = 12,      /* both: u32 bytes consumed */
    AGENT_SHUTDOWN = 13, /* host -> guest, channel 0: u32 enum agent_shutdown; clean power-down */
    AGENT_CLOSE = 14,    /* host -> guest: the client is gone; hang up the command (SIGHUP) */
    /* host -> guest, channel 0: u32 number of a share, u32 flags (enum agent_mount_flag), then its
     * tag NUL and where to mount it NUL. One that is mounted already is fine. */
    AGENT_MOUNT = 15,
    AGENT_MOUNTED = 16, /* guest -> host, channel 0: u32 number, u32 Linux errno, 0 for done */
};

/* AGENT_EXEC_OWN: the command is one of the agent's own: "pack PATH [total]" writes a file or
 * folder as a tar stream, "unpack PATH [NAME]" reads one (src/copy/copy.h). Exit codes are
 * posada's. */
enum agent_exec_flag {
    AGENT_EXEC_TTY = 1 << 0,
    AGENT_EXEC_STDIN = 1 << 1,
    AGENT_EXEC_OWN = 1 << 2
};
enum agent_mount_flag { AGENT_MOUNT_READ_ONLY = 1 << 0 };
enum agent_shutdown { AGENT_POWEROFF = 0, AGENT_REBOOT = 1 };
