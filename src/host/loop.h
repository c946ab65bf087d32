/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: descriptors (epoll), timers and work posted from other threads.
 * One thread runs it. When a lock is given, every callback runs with it held (the machine lock).
 */
#pragma once

#include <posada/err.h>
#include <pthread.h>
#include <stdbool.h>

struct loop;
typedef void (*loop_fd_fn)(void *arg, int fd, unsigned events); /* EPOLLIN | EPOLLOUT | EPOLLHUP */
typedef void (*loop_fn)(void *arg);

int must_use loop_new(pthread_mutex_t *lock, struct loop **ret_loop, struct err *err);
pthread_mutex_t *
loop_given_lock(const struct loop *loop); /* what loop_new() was given; may be NULL */
void loop_free(struct loop *loop);        /* watched descriptors stay open and the caller's */

/* Watches fd for events (level-triggered); one registration a descriptor. A callback may remove
 * or change any registration, its own included. */
int must_use loop_watch(struct loop *loop, int fd, unsigned events, loop_fd_fn fn, void *arg);
int must_use loop_change(struct loop *loop, int fd, unsigned events);
void loop_unwatch(struct loop *loop, int fd);

/* Runs fn(arg) on the loop's thread, in order of posting. Any thread; -ENOMEM. */
int must_use loop_post(struct loop *loop, loop_fn fn, void *arg);

/* One-shot timer on the host's monotonic clock. */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg);
void loop_timer_free(struct loop_timer *timer);
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ns); /* UINT64_MAX disarms */

int must_use loop_run(struct loop *loop, struct err *err); /* until loop_stop() */
void loop_stop(struct loop *loop);                         /* any thread */
