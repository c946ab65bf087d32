/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor of containers: one process of a user. It stands in a mount namespace of its own, so
 * that no mount of it outlives it, and takes the processes that posada-oci leaves behind as its
 * children. Commands bring containers over its socket: by SCM_RIGHTS the guest's directory, its
 * lock and the owner's connection.
 */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "ctr/ctr.h"
#include "ctr/files.h"
#include "ctr/own_user.h"
#include "ctr/profile.h"
#include "host/dirs.h"
#include "host/loop.h"
#include "host/pass.h"
#include "host/process.h"
#include "vm/config.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <posada/log.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { IDLE_NS = 2000000000, ACCEPT_PAUSE_NS = 100000000, LINK_FDS = 3 };

struct ctr_link { /* a command that may bring a container */
    struct ctrs *all;
    int fd;
};

/* --- the end --- */

static void ctrs_look_idle(struct ctrs *all)
{
    loop_timer_set(all->idle, all->list || all->links ? UINT64_MAX : IDLE_NS);
}

static void ctrs_on_idle(void *arg)
{
    struct ctrs *all = arg;

    if (!all->list && !all->links)
        loop_stop(all->loop);
}

/* One that starts leaves us its first process, and we do not know which that is yet. */
static void ctrs_reap(const struct ctrs *all)
{
    for (const struct ctr *c = all->list; c; c = c->next)
        if (c->phase == CTR_STARTING)
            return;
    ctr_child_reap();
}

void ctrs_forget(struct ctrs *all, struct ctr *c)
{
    struct ctr **link = &all->list;

    while (*link && *link != c)
        link = &(*link)->next;
    if (*link)
        *link = c->next;
    ctrs_reap(all);
    ctrs_look_idle(all);
}

/* --- commands --- */

static void link_close(struct ctr_link *l)
{
    struct ctrs *all = l->all;

    loop_unwatch(all->loop, l->fd);
    close(l->fd);
    free(l);
    all->links--;
    ctrs_look_idle(all);
}

/* A byte and its descriptors: 1, 0: not yet; negative for what makes no sense. */
static int link_receive(int fd, int fds[LINK_FDS])
{
    char byte;
    int r = pass_receive(fd, &byte, 1, fds, LINK_FDS);

    if (r <= 0 || fds[LINK_FDS - 1] >= 0) /* they come in order */
        return r;
    for (unsigned i = 0; i < LINK_FDS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return -EPROTO;
}

/* The same directory in our mount namespace: what is mounted from theirs is refused. Its name is
 * enough: in a chroot the kernel tells another path of a descriptor from another namespace. */
static int link_reopen(const struct ctrs *all, int theirs)
{
    CLEANUP(free) char *mine = NULL;
    CLEANUP(fd) int ours = -1;
    char proc[40], path[PATH_MAX];
    const char *name;
    struct stat a, b;
    ssize_t n;

    (void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", theirs);
    n = readlink(proc, path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = '\0';
    name = strrchr(path, '/');
    if (!name || asprintf(&mine, "%s%s", all->data_dir, name) < 0)
        return -ESTALE;
    ours = open(mine, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (ours < 0 || fstat(ours, &a) < 0 || fstat(theirs, &b) < 0 || a.st_ino != b.st_ino ||
        a.st_dev != b.st_dev)
        return -ESTALE;
    close(theirs);
    return take_fd(&ours);
}

static void link_ready(void *arg, int fd, unsigned events)
{
    struct ctr_link *l = arg;
    struct ctrs *all = l->all;
    struct guest guest = GUEST_NONE;
    int fds[LINK_FDS], dir_fd, r = link_receive(fd, fds);

    if (r == 0)
        return;
    if (r > 0) {
        dir_fd = link_reopen(all, fds[0]);
        if (guest_adopt(dir_fd < 0 ? fds[0] : dir_fd, fds[1], &guest) < 0) {
            close(dir_fd < 0 ? fds[0] : dir_fd); /* it has been removed */
            close(fds[1]);
            close(fds[2]);
        } else {
            (void)fcntl(fds[2], F_SETFL, O_NONBLOCK);
            ctr_new(all, &guest, fds[2]);
        }
    }
    link_close(l);
}

static bool link_may_talk(const struct ctrs *all, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

/* Who waits to be accepted would wake us again and again. */
static void ctrs_listen_later(struct ctrs *all)
{
    if (loop_change(all->loop, all->listen_fd, 0) == 0)
        loop_timer_set(all->accept, ACCEPT_PAUSE_NS);
}

static void ctrs_on_accept(void *arg)
{
    struct ctrs *all = arg;

    if (loop_change(all->loop, all->listen_fd, EPOLLIN) < 0)
        loop_timer_set(all->accept, ACCEPT_PAUSE_NS);
}

static void ctrs_accept(void *arg, int fd, unsigned events)
{
    struct ctrs *all = arg;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ctr_link *l = client < 0 ? NULL : calloc(1, sizeof(*l));

    if (client < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        ctrs_listen_later(all);
        return;
    }
    if (!l || !link_may_talk(all, client) ||
        loop_watch(all->loop, client, EPOLLIN, link_ready, l) < 0 ||
        send(client, "", 1, MSG_NOSIGNAL) != 1) { /* hello: we do not end before it has spoken */
        if (client >= 0) {
            loop_unwatch(all->loop, client);
            close(client);
        }
        free(l);
        return;
    }
    *l = (struct ctr_link){all, client};
    all->links++;
    ctrs_look_idle(all);
}

/* --- start --- */

static int ctrs_paths(struct ctrs *all, struct err *err)
{
    char path[PATH_MAX + 16], *slash;
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    int r = dirs_get_sub(DIRS_RUN, "guests", &all->run_dir, err);

    if (!r)
        r = dirs_get_sub(DIRS_DATA, "guests", &all->data_dir, err);
    if (!r)
        r = dirs_get_sub(DIRS_RUN, "oci", &all->oci_root, err);
    if (r < 0)
        return r;
    if (n < 0)
        return err_set(err, -errno, "/proc/self/exe: %s", strerror(errno));
    path[n] = '\0';
    all->self = strdup(path);
    slash = strrchr(path, '/');
    strcpy(slash ? slash + 1 : path, "posada-oci");
    all->oci = strdup(path);
    if (!all->self || !all->oci)
        return err_set(err, -ENOMEM, "out of memory");
    if (access(all->oci, X_OK) < 0)
        return err_set(err, -errno, "%s: %s; it is installed together with posada", all->oci,
                       strerror(errno));
    return 0;
}

/* Mounts of the host still arrive, none of ours leaves. */
static int ctrs_enter_mounts(struct err *err)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_set(err, -errno, "a mount namespace: %s", strerror(errno));
    return 0;
}

static int ctrs_init(struct ctrs *all, struct err *err)
{
    int r = ctrs_paths(all, err);

    ctr_group_find(&all->group);
    if (!r && geteuid() != 0)
        r = ctr_own_user_enter(ctrs_left_init(), &all->users, err);
    if (!r)
        r = ctrs_enter_mounts(err);
    if (!r)
        r = ctr_layers_init(&all->layers, all->users != 0, err);
    if (!r)
        r = loop_new(NULL, &all->loop, err);
    if (r < 0)
        return r;
    all->seccomp = ctr_profile_seccomp();
    all->idle = loop_timer_new(all->loop, ctrs_on_idle, all);
    all->accept = loop_timer_new(all->loop, ctrs_on_accept, all);
    if (!all->seccomp || !all->idle || !all->accept)
        return err_set(err, -ENOMEM, "out of memory");
    r = ctr_files_listen(all->dir_fd, &all->listen_fd, err);
    if (!r)
        r = loop_watch(all->loop, all->listen_fd, EPOLLIN, ctrs_accept, all);
    return r;
}

int ctr_main(void)
{
    struct ctrs all = {.listen_fd = -1, .dir_fd = -1};
    int lock_fd = -1, r;
    struct err err = {0};

    if (ctr_files_open(&all.dir_fd, &err) < 0 || ctr_files_lock(all.dir_fd, &lock_fd) < 0)
        return EXIT_FAILED; /* there is one already */
    process_set_name("posada-ctr");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    ctr_spawn_raise_files(); /* a container needs about ten */
    r = ctrs_init(&all, &err);
    if (r < 0) {
        log_warn("the monitor of containers cannot start: %s", err.text);
        return EXIT_FAILED;
    }
    ctrs_adopt(&all);
    close(CTR_READY_FD);
    ctrs_look_idle(&all);
    r = loop_run(all.loop, &err);
    (void)!unlinkat(all.dir_fd, "socket", 0);
    return r < 0 ? EXIT_FAILED : EXIT_OK;
}
