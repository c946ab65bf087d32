/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of the guest's agent (protocol: include/posada/agent.h):
 *   agent.c    the process: one epoll loop over the port, signals and the commands' descriptors
 *   port.c     frames in and out of the port
 *   channel.c  one command: its pipes or terminal, flow control, its end
 *   mount.c    shares of the host
 *   spawn.c    the child's side of EXEC: user, directory, environment, exec
 *
 * No memory is allocated on the host's word except at EXEC (one window of input, one frame).
 */
#pragma once

#include "fifo.h"

#include <posada/agent.h>
#include <stdbool.h>
#include <sys/types.h>

enum {
    FRAME_HEAD = 8,
    FRAME_MAX = FRAME_HEAD + AGENT_MAX_PAYLOAD,
    OUT_SIZE = 256 * 1024,
    /* Output of commands is read only below the first mark and frames of the host only below the
     * second, so answers always find room whatever the host sends or fails to read. */
    OUT_LOW = 64 * 1024,
    OUT_HIGH = 128 * 1024,
    AGENT_MOUNTS = 16, /* being mounted at the same time */
};

struct port {
    int fd;
    bool readable, writable; /* edge-triggered: true until EAGAIN */
    bool connected;
    bool bad; /* the host broke the protocol: drop the stream */
    struct fifo out;
    uint8_t out_data[OUT_SIZE];
    size_t in_used;
    uint8_t in[FRAME_MAX];
};

/* A descriptor of a command and what epoll watches it for. */
struct source {
    int fd;
    unsigned watched;
};

enum channel_state { CHANNEL_FREE, CHANNEL_STARTING, CHANNEL_RUNNING };

struct channel {
    uint16_t id;
    enum channel_state state;
    bool tty;
    bool reaped;
    bool terminal_idle; /* nobody has the terminal open; read again at the end only */
    int exit_code;
    pid_t pid; /* also its session and process group */
    struct source status, in, out, err;
    struct fifo input;
    bool input_ended;
    uint8_t input_last;   /* last byte written to the terminal */
    uint32_t unacked;     /* output the host has not acknowledged */
    size_t after_exit[2]; /* bytes of out and err still to be read once reaped */
};

struct agent {
    int epoll, signals;
    bool ending;    /* SIGTERM came: leave when the last command has ended */
    bool stalled;   /* the port's queue was too full to go on when last looked at */
    bool test_port; /* a descriptor given by a test: leave when it closes */
    struct port port;
    struct channel channels[AGENT_CHANNELS];
};

/* What epoll hands back: channel << 8 | kind. */
enum source_kind { SRC_PORT, SRC_SIGNAL, SRC_STATUS, SRC_IN, SRC_OUT, SRC_ERR };

int source_watch(struct agent *a, struct source *s, unsigned events, unsigned channel,
                 enum source_kind kind);
void source_close(struct agent *a, struct source *s);

/* Opens the port by its name in sysfs; waits for it to appear. */
int port_find(const char *name);
/* Takes what the port has, hands every frame to handle(); the caller looks at port->bad. */
void port_receive(struct port *p,
                  void (*handle)(void *arg, const struct agent_frame *frame,
                                 const uint8_t *payload),
                  void *arg);
void port_flush(struct port *p);
void port_reset(struct port *p);
void port_send(struct port *p, enum agent_type type, unsigned channel, const void *payload,
               size_t len);
void port_send_u32(struct port *p, enum agent_type type, unsigned channel, uint32_t value);
void port_send_hello(struct port *p);

/* One frame for channel c. False: a protocol violation. */
bool channel_frame(struct agent *a, struct channel *c, const struct agent_frame *frame,
                   const uint8_t *payload);
void channel_event(struct agent *a, struct channel *c, enum source_kind kind, unsigned events);
void channel_reaped(struct agent *a, struct channel *c, int wait_status);
/* Brings what is watched in line with the state; ends the channel when all is said. */
void channel_settle(struct agent *a, struct channel *c);
/* Hangs the command up and forgets it. */
void channel_hangup(struct agent *a, struct channel *c);

/* MOUNT. False: a protocol violation. */
bool mount_frame(struct port *p, const uint8_t *payload, size_t len);
/* Some child has ended; perhaps one that mounted something. */
void mount_reaped(struct port *p, pid_t pid, int status);

/* A command as decoded from EXEC; strings point into `text`. */
struct command {
    char *text;
    char **argv, **envp; /* NULL-terminated, one allocation at argv */
    const char *user, *workdir;
    unsigned flags, rows, columns;
};

/* 0, -EINVAL when malformed, -ENOMEM. */
int command_parse(struct command *cmd, const uint8_t *payload, size_t len);
void command_done(struct command *cmd);

/* What the child could not do: written as a whole to the status pipe. */
struct spawn_failure {
    uint32_t code; /* 126 or 127 */
    char text[248];
};

/* Child's side, never returns: stdio[] become 0, 1, 2. */
void spawn_exec(const struct command *cmd, const int stdio[3], int status_fd)
    __attribute__((noreturn));
