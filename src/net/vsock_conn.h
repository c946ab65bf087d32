/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream connections between a guest and sockets of the host's: their table, their credit and the
 * packets they owe the guest. Shared by vsock.c (what guest and host ask for) and vsock_conn.c.
 */
#pragma once

#include "base/buf.h"

#include <posada/vsockdev.h>

struct loop;

enum {
    VSOCK_CONNS = 256,
    VSOCK_BUFFER = 256 << 10, /* bytes from the guest that may wait for the host's side */
    VSOCK_RESETS = 256,
    VSOCK_LINE = 32, /* "CONNECT 4294967295\n" */
};

enum vsock_state {
    VSOCK_FREE,
    VSOCK_HELLO,   /* a host client that has not said where to */
    VSOCK_OFFERED, /* it has: the guest has to answer */
    VSOCK_DIALING, /* the guest wants to reach the host: the helper has to answer */
    VSOCK_OPEN,
    VSOCK_CLOSING, /* the host's side is gone: the guest has to say that it knows */
};

enum vsock_due { /* packets owed to the guest */
                 DUE_REQUEST = 1,
                 DUE_RESPONSE = 2,
                 DUE_SHUTDOWN = 4,
                 DUE_CREDIT = 8,
                 DUE_ASK = 16,
};

struct vsock_conn {
    enum vsock_state state;
    uint32_t guest_port, host_port;
    int fd;                /* -1: none */
    unsigned watched;      /* the loop's events for it */
    bool listed;           /* the loop knows it */
    unsigned due;          /* enum vsock_due */
    unsigned shut;         /* enum vsock_shutdown, as the guest said */
    unsigned told;         /* the same, as we said */
    bool readable;         /* fd may have bytes, or its end, for the guest */
    bool asked;            /* for credit */
    bool half;             /* nothing more goes to fd */
    bool deaf;             /* because nobody is there to read: it is thrown away */
    struct buf out;        /* from the guest, on its way to fd */
    uint32_t fwd_cnt;      /* bytes from the guest that went on */
    uint32_t fwd_told;     /* as the guest knows it */
    uint32_t sent;         /* bytes to the guest */
    uint32_t peer_alloc;   /* the guest's buffer */
    uint32_t peer_fwd;     /* bytes that left it */
    char line[VSOCK_LINE]; /* VSOCK_HELLO: what was said so far */
    unsigned line_len;
};

struct vsock_rst {
    uint32_t guest_port, host_port;
    uint16_t type;
};

struct net_vsock {
    struct vsockdev dev; /* must be first */
    struct loop *loop;
    int listen_fd, helper_fd; /* -1: none */
    void (*lost)(void *arg);
    void *arg;
    uint32_t next_port;
    unsigned top;  /* connections at and behind this index are free */
    unsigned turn; /* the connection that is asked first */
    struct vsock_conn conn[VSOCK_CONNS];
    struct vsock_rst rst[VSOCK_RESETS];
    unsigned rst_count;
};

/* NULL: there is none. */
struct vsock_conn *vsock_conn_find(struct net_vsock *n, uint32_t guest_port, uint32_t host_port);
/* A free entry, made free at the cost of a connection that only waits if need be. Takes fd over;
 * NULL, and fd is closed, when there is none. */
struct vsock_conn *vsock_conn_new(struct net_vsock *n, enum vsock_state state, int fd);
void vsock_conn_end(struct net_vsock *n, struct vsock_conn *c); /* without a word to the guest */
void vsock_conn_reset(struct net_vsock *n, struct vsock_conn *c);
/* The guest will be told that there is no such connection. */
void vsock_refuse(struct net_vsock *n, uint32_t guest_port, uint32_t host_port, uint16_t type);

/* From the guest, whose connection c is open: bytes, or that it has shut down. May end c. */
void vsock_conn_data(struct net_vsock *n, struct vsock_conn *c, const struct iovec *iov,
                     unsigned count, uint32_t len);
void vsock_conn_shutdown(struct net_vsock *n, struct vsock_conn *c, unsigned flags);
void vsock_conn_credit(struct vsock_conn *c, const struct vsock_packet *p);
/* The host's side has news. May end c. */
void vsock_conn_event(struct net_vsock *n, struct vsock_conn *c, unsigned events);
/* Waits for what its state waits for. */
void vsock_conn_watch(struct net_vsock *n, struct vsock_conn *c);

/* vsock.c: a client that says where to has said more, or hung up. May end c. */
void vsock_hello(struct net_vsock *n, struct vsock_conn *c);

bool vsock_conn_pending(struct vsock_conn *c);
/* The next packet that c owes the guest; false: none after all. */
bool vsock_conn_next(struct net_vsock *n, struct vsock_conn *c, struct vsock_packet *p,
                     const struct iovec *iov, unsigned count);
