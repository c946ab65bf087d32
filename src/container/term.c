/* SPDX-License-Identifier: Apache-2.0 */
/* A container's terminal. Contract: container/term.h. */
#include "container/term.h"

#include "base/cleanup.h"
#include "container/path.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ptmx must be the one of a real devpts: anything may lie in the container's /dev. */
static int term_open_master(int root)
{
    int fd = path_open(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);

    if (fd >= 0 && path_is_on(fd, DEVPTS_SUPER_MAGIC))
        return fd;
    if (fd >= 0)
        close(fd);
    fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int term_open(int root, const struct spec_process *process, struct term *ret, struct err *err)
{
    CLEANUP(fd) int master = term_open_master(root);
    CLEANUP(fd) int slave = -1;
    struct winsize size = {.ws_row = (unsigned short)process->rows,
                           .ws_col = (unsigned short)process->columns};
    int unlock = 0;

    if (master < 0)
        return err_set(err, master, "terminal: %s", strerror(-master));
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return err_set(err, -errno, "terminal: %s", strerror(errno));
    /* The other end of this very master, not whatever a path leads to (CVE-2025-52565). */
    slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_set(err, -errno, "terminal: %s", strerror(errno));
    if (size.ws_row && size.ws_col && ioctl(master, TIOCSWINSZ, &size) < 0)
        return err_set(err, -errno, "consoleSize: %s", strerror(errno));
    if (fchown(slave, process->uid, (gid_t)-1) < 0 && errno != EPERM && errno != EINVAL)
        return err_set(err, -errno, "terminal: owner: %s", strerror(errno));
    ret->master = take_fd(&master);
    ret->slave = take_fd(&slave);
    return 0;
}

int term_take(struct term *term, struct err *err)
{
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(term->slave, fd) < 0)
            return err_set(err, -errno, "terminal: %s", strerror(errno));
    if (ioctl(0, TIOCSCTTY, 0) < 0)
        return err_set(err, -errno, "terminal: cannot control it: %s", strerror(errno));
    close(take_fd(&term->slave));
    return 0;
}
