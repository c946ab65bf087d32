/* SPDX-License-Identifier: Apache-2.0 */
/* posada logs: what a guest printed: its command's output, or its console. */
#include "base/cleanup.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static const struct cli_option logs_options[] = {
    {"follow", 'f', NULL, "go on until the guest ends"},
    {"console", 'c', NULL, "the kernel's console, also of a guest that runs a command"},
    CLI_OPTIONS_END,
};

/* Copies all there is now; false when nobody reads what we write. */
static bool logs_copy(int fd)
{
    char data[65536];
    ssize_t n;

    while ((n = read(fd, data, sizeof(data))) > 0)
        if (file_write_all(STDOUT_FILENO, data, (size_t)n) < 0)
            return false;
    return true;
}

static int logs_open(const struct guest *guest, const char *name)
{
    return file_open_to_read(guest->dir_fd, name);
}

/* After a rotation the name belongs to another file. */
static bool logs_is_current(const struct guest *guest, const char *name, int fd)
{
    struct stat mine, current;

    return fstat(fd, &mine) < 0 ||
           fstatat(guest->dir_fd, name, &current, AT_SYMLINK_NOFOLLOW) < 0 ||
           mine.st_ino == current.st_ino;
}

static int logs_follow(const struct guest *guest, const char *name, int fd)
{
    const struct timespec pause = {.tv_nsec = 100000000};

    for (;;) {
        bool alive = guest_is_alive(guest);

        if (!logs_copy(fd) || !alive)
            return fd;
        if (!logs_is_current(guest, name, fd)) {
            close(fd);
            fd = logs_open(guest, name);
            if (fd < 0)
                return -1;
        }
        nanosleep(&pause, NULL);
    }
}

static int logs_print(const struct cli_args *args, struct guest *guest, struct err *err)
{
    struct vm_config config;
    const char *name;
    char older[32];
    int fd, r = guest_read_config(guest, &config, err);

    if (r < 0)
        return r;
    name = config.command && !cli_has(args, "console") ? "output.log" : "console.log";
    vm_config_done(&config);
    snprintf(older, sizeof(older), "%s.1", name);
    fd = logs_open(guest, older);
    if (fd >= 0) {
        (void)logs_copy(fd);
        close(fd);
    }
    fd = logs_open(guest, name);
    if (fd < 0)
        return fd == -ENOENT ? 0 : err_set(err, fd, "guest '%s': cannot read its log", guest->name);
    if (cli_has(args, "follow"))
        fd = logs_follow(guest, name, fd);
    else
        (void)logs_copy(fd);
    if (fd >= 0)
        close(fd);
    return 0;
}

static int logs_run(const struct cli_args *args)
{
    return guests_each(args, NULL, logs_print);
}

const struct cli_verb cli_logs_verb = {
    .name = "logs",
    .operands = "GUEST",
    .summary = "Show what a guest printed",
    .options = logs_options,
    .min = 1,
    .max = 1,
    .run = logs_run,
};
