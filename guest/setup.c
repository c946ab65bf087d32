/* SPDX-License-Identifier: Apache-2.0 */
/* What init does once before anything runs: file systems, names, the loopback interface. */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NETWORK_SECONDS = 1 }; /* how long a boot waits for an address */

struct mount_point {
    const char *type, *where, *options;
    unsigned long flags;
};

static const struct mount_point mount_points[] = {
    {"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
    {"devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC},
    {"tmpfs", "/dev/shm", "mode=1777", MS_NOSUID | MS_NODEV},
    {"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV},
    {"tmpfs", "/tmp", "mode=1777", MS_NOSUID | MS_NODEV},
};

void setup_mounts(void)
{
    for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++) {
        const struct mount_point *m = &mount_points[i];

        (void)mkdir(m->where, 0755);
        if (mount(m->type, m->where, m->type, m->flags, m->options) < 0 && errno != EBUSY)
            (void)fprintf(stderr, "init: mount %s: %s\n", m->where, strerror(errno));
    }
    (void)symlink("/proc/self/fd", "/dev/fd");
    (void)symlink("/proc/self/fd/0", "/dev/stdin");
    (void)symlink("/proc/self/fd/1", "/dev/stdout");
    (void)symlink("/proc/self/fd/2", "/dev/stderr");
}

static ssize_t setup_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0)
        (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

bool setup_option(const char *key, char *value, size_t size)
{
    char line[4096], *at = line, *word;
    size_t len = strlen(key);

    (void)setup_read("/proc/cmdline", line, sizeof(line));
    while ((word = strsep(&at, " \n")))
        if (strncmp(word, key, len) == 0 && word[len] == '=')
            return snprintf(value, size, "%s", word + len + 1) < (int)size;
    return false;
}

void setup_hostname(void)
{
    char name[65] = "";

    if (!setup_option("posada.hostname", name, sizeof(name)))
        (void)setup_read("/etc/hostname", name, sizeof(name));
    name[strcspn(name, "\n")] = '\0';
    if (*name)
        (void)sethostname(name, strlen(name));
}

static void setup_interface(const char *name)
{
    struct ifreq r = {.ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    (void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
    (void)ioctl(fd, SIOCSIFFLAGS, &r);
    (void)close(fd);
}

void setup_loopback(void)
{
    setup_interface("lo");
}

/* busybox's DHCP client, which goes to the background once it has an address, or has tried in
 * vain for a while; then it tries on. */
static pid_t setup_dhcp(const char *name)
{
    char pid_file[64];
    pid_t pid = fork();
    sigset_t none;
    int null;

    if (pid != 0)
        return pid;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(pid_file, sizeof(pid_file), "/run/udhcpc.%.15s.pid", name);
    null = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        (void)dup2(null, i);
    (void)execl("/bin/busybox", "udhcpc", "-b", "-i", name, "-p", pid_file, "-s",
                "/etc/udhcpc/default.script", (char *)NULL);
    _exit(127);
}

/* SIGCHLD is blocked. Other children that end meanwhile are nobody's yet. */
static void setup_await(unsigned children)
{
    const struct timespec limit = {NETWORK_SECONDS, 0};
    sigset_t child;

    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    while (children && sigtimedwait(&child, NULL, &limit) > 0)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            children -= children > 0;
}

void setup_network(void)
{
    DIR *dir = opendir("/sys/class/net");
    const struct dirent *e;
    unsigned asking = 0;

    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] == '.' || strcmp(e->d_name, "lo") == 0)
            continue;
        setup_interface(e->d_name);
        asking += setup_dhcp(e->d_name) > 0;
    }
    if (dir)
        (void)closedir(dir);
    setup_await(asking);
}
