/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A share's helper process: takes requests from the window (share/window.h) with a few threads, so
 * that one which waits for a disk does not hold up others. It ends with its monitor's side of the
 * socket.
 */
#include "host/process.h"
#include "host/sandbox_tree.h"
#include "share/server.h"
#include "share/window.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORKERS = 4, ARGUMENTS = 8, FILES_MAX = 16384, DESCRIPTORS_APART = 64 };

struct helper {
    struct share_server *server;
    uint8_t *window;
};

/* --- Work --- */
static void helper_serve(const struct helper *h, struct share_worker *w,
                         const struct share_message *m)
{
    struct share_message answer = {.slot = m->slot};
    size_t at = share_reply_at(m->request);
    uint8_t *slot = h->window + (size_t)m->slot * SHARE_SLOT_SIZE;

    if (at <= SHARE_SLOT_SIZE && m->reply <= SHARE_SLOT_SIZE - at)
        answer.reply = (uint32_t)share_serve(w, slot, m->request, slot + at, m->reply);
    while (send(SHARE_LINK_FD, &answer, sizeof(answer), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static void *helper_work(void *arg)
{
    const struct helper *h = arg;
    struct share_worker *w = share_worker_new(h->server);
    struct share_message m;
    ssize_t n;

    if (!w)
        return NULL;
    for (;;) {
        n = recv(SHARE_LINK_FD, &m, sizeof(m), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != sizeof(m) || m.slot >= SHARE_SLOTS || m.request > SHARE_SLOT_SIZE)
            break;
        helper_serve(h, w, &m);
    }
    share_worker_free(w);
    return NULL;
}

/* --- Start --- */
static int helper_numbers(char *const *arguments, struct share_owner *owner, struct err *err)
{
    unsigned n[5];

    for (size_t i = 0; i < ARRAY_LEN(n); i++) {
        char *end;

        errno = 0;
        n[i] = (unsigned)strtoul(arguments[i], &end, 10);
        if (errno || *end || end == arguments[i])
            return err_set(err, -EINVAL, "share: '%.20s' is no number", arguments[i]);
    }
    *owner = (struct share_owner){n[0] != 0, n[1], n[2], n[3], n[4]};
    return 0;
}

static int helper_window(struct helper *h, struct err *err)
{
    struct stat st;
    void *memory;

    if (fstat(SHARE_WINDOW_FD, &st) < 0 || st.st_size != (off_t)share_window_size())
        return err_set(err, -EINVAL, "share: a window of another size");
    memory =
        mmap(NULL, share_window_size(), PROT_READ | PROT_WRITE, MAP_SHARED, SHARE_WINDOW_FD, 0);
    if (memory == MAP_FAILED)
        return err_set(err, -errno, "share: window: %s", strerror(errno));
    h->window = memory;
    close(SHARE_WINDOW_FD);
    return 0;
}

/* Of the descriptors there may be, some are for open files, most for nodes. */
static void helper_limits(struct share_server_config *config, unsigned limit)
{
    limit -= limit > 2 * DESCRIPTORS_APART ? DESCRIPTORS_APART : 0;
    config->files_max = limit / 4 < FILES_MAX ? limit / 4 : FILES_MAX;
    config->nodes_max = limit - config->files_max;
}

static int helper_start(struct helper *h, char *const *arguments, struct err *err)
{
    struct share_server_config config = {.read_only = !strcmp(arguments[2], "ro")};
    struct sandbox_tree_fds fds;
    struct sandbox_tree box;
    char name[200];
    int r = helper_numbers(arguments + 3, &config.owner, err);

    if (!r)
        r = helper_window(h, err);
    if (r < 0)
        return r;
    (void)!getrandom(&config.session, sizeof(config.session), 0);
    (void)snprintf(name, sizeof(name), "share '%.150s'", arguments[1]);
    box = (struct sandbox_tree){.name = name,
                                .path = arguments[1],
                                .read_only = config.read_only,
                                .become = config.owner.squash,
                                .uid = config.owner.uid,
                                .gid = config.owner.gid};
    config.become = geteuid() == 0 && !config.owner.squash;
    r = sandbox_enter_tree(&box, &fds, err);
    if (r < 0)
        return r;
    config.root_fd = fds.root;
    config.proc_fd = fds.proc;
    helper_limits(&config, fds.limit);
    return share_server_new(&config, &h->server, err);
}

static void helper_run(struct helper *h)
{
    pthread_t thread[WORKERS - 1];
    unsigned n = 0;

    while (n < ARRAY_LEN(thread) && !pthread_create(&thread[n], NULL, helper_work, h))
        n++;
    (void)helper_work(h);
    (void)shutdown(SHARE_LINK_FD, SHUT_RDWR); /* the others notice */
    while (n)
        (void)pthread_join(thread[--n], NULL);
}

int share_main(char *const *arguments, unsigned count)
{
    struct helper h = {0};
    struct err err = {0};
    int r;

    if (count != ARGUMENTS)
        return EXIT_USAGE;
    (void)fcntl(SHARE_LINK_FD, F_SETFD, FD_CLOEXEC);
    process_set_name("posada-share");
    signal(SIGPIPE, SIG_IGN);
    (void)umask(0); /* the guest's kernel has applied its own */
    r = helper_start(&h, arguments, &err);
    if (send(SHARE_LINK_FD, &err, sizeof(err), MSG_NOSIGNAL) < 0)
        return EXIT_FAILED;
    if (!r)
        helper_run(&h);
    return r ? EXIT_FAILED : EXIT_OK;
}
