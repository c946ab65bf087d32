/* SPDX-License-Identifier: Apache-2.0 */
/*
 * boot: runs one machine in the foreground, with its console on the terminal, for developers. No
 * sandbox, no image store, no monitor: `posada run` has those. Ctrl-A x ends it.
 *
 *   boot --kernel FILE [--initrd FILE] [--append TEXT] [--firmware FILE] [--memory MIB] [--cpus N]
 *        [--disk FILE]... [--tohost] [--gdb PORT] [--engine NAME] [--trace FILE,CLASS...] [--stats]
 *        [--stress MODE,MODE...] [--perf-map] [--symbols FILE]
 *
 * Exit code: the guest's (tohost, test finisher), 0 after a plain power-off.
 */
#include "host/loop.h"
#include "vm/machine.h"
#include <errno.h>
#include <getopt.h>
#include <posada/log.h>
#include <posada/trace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>

enum { ESCAPE_KEY = 1 /* Ctrl-A */, TRACE_RECORDS = 1 << 22 };

struct boot_tool {
    struct chardev console; /* must be first */
    struct loop *loop;
    struct machine *machine;
    pthread_mutex_t lock;
    struct vm_config config;
    uint8_t typed[256]; /* read from stdin, not yet taken by the guest */
    size_t typed_len;
    bool escape, stats, stdin_ended;
    int exit_code;
    struct termios saved;
    bool raw;
};

static size_t console_write(struct chardev *dev, const uint8_t *data, size_t len)
{
    ssize_t n = write(STDOUT_FILENO, data, len);

    return n > 0 ? (size_t)n : len; /* a closed pipe swallows the rest */
}

static void console_feed(struct boot_tool *t)
{
    const struct chardev_front *front = &t->console.front;
    size_t taken = front->receive ? front->receive(front->arg, t->typed, t->typed_len) : 0;

    t->typed_len -= taken;
    memmove(t->typed, t->typed + taken, t->typed_len);
    if (!t->stdin_ended &&
        loop_change(t->loop, STDIN_FILENO, t->typed_len < sizeof(t->typed) ? EPOLLIN : 0))
        t->stdin_ended = true;
}

static void console_can_receive(struct chardev *dev)
{
    struct boot_tool *t = container_of(dev, struct boot_tool, console);

    if (t->typed_len)
        console_feed(t);
}

static const struct chardev_ops console_ops = {
    .write = console_write,
    .can_receive = console_can_receive,
};

/* Ctrl-A x ends, Ctrl-A Ctrl-A is Ctrl-A itself. */
static void console_key(struct boot_tool *t, uint8_t key)
{
    if (t->escape && key == 'x') {
        loop_stop(t->loop);
        return;
    }
    if (key == ESCAPE_KEY && !t->escape && t->raw) {
        t->escape = true;
        return;
    }
    t->escape = false;
    t->typed[t->typed_len++] = key;
}

static void console_readable(void *arg, int fd, unsigned events)
{
    struct boot_tool *t = (struct boot_tool *)arg;
    uint8_t buf[sizeof(t->typed)];
    ssize_t n = read(fd, buf, sizeof(t->typed) - t->typed_len);

    if (n <= 0) {
        loop_unwatch(t->loop, fd);
        t->stdin_ended = true;
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        console_key(t, buf[i]);
    console_feed(t);
}

static void console_raw(struct boot_tool *t)
{
    struct termios raw;

    if (tcgetattr(STDIN_FILENO, &t->saved))
        return;
    raw = t->saved;
    cfmakeraw(&raw);
    t->raw = !tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
}

static void tool_power(void *arg, enum power_action action, unsigned code)
{
    struct boot_tool *t = (struct boot_tool *)arg;

    if (action != POWER_OFF)
        return;
    t->exit_code = code > 255 ? 255 : (int)code;
    loop_stop(t->loop);
}

static void tool_failed(void *arg, const struct err *err)
{
    struct boot_tool *t = (struct boot_tool *)arg;

    log_error("%s", err->text);
    t->exit_code = EXIT_RUN_FAILED;
    loop_stop(t->loop);
}

static int tool_trace(const char *text, struct err *err)
{
    char path[256];
    const char *classes = strchr(text, ',');

    snprintf(path, sizeof(path), "%.*s", classes ? (int)(classes - text) : 0, text);
    return trace_open(path, classes ? classes + 1 : "", TRACE_RECORDS, err);
}

static int tool_run(struct boot_tool *t, struct err *err)
{
    const struct machine_io io = {.console = &t->console, .dir_fd = -1};
    const struct machine_events events = {.power = tool_power, .failed = tool_failed, .arg = t};
    int r = loop_new(&t->lock, &t->loop, err);

    if (r)
        return r;
    pthread_mutex_lock(&t->lock);
    r = machine_new(&t->config, t->loop, &t->lock, &io, &events, &t->machine, err);
    if (!r && loop_watch(t->loop, STDIN_FILENO, EPOLLIN, console_readable, t))
        t->stdin_ended = true;
    if (!r)
        r = machine_start(t->machine, err);
    pthread_mutex_unlock(&t->lock);
    return r ? r : loop_run(t->loop, err);
}

static void tool_print_stats(struct boot_tool *t)
{
    struct engine_stat stats[64];
    unsigned count = machine_stats(t->machine, stats, ARRAY_LEN(stats));

    for (unsigned i = 0; i < count; i++)
        fprintf(stderr, "%-24s %llu\n", stats[i].name, (unsigned long long)stats[i].value);
}

static void tool_end(struct boot_tool *t)
{
    pthread_mutex_lock(&t->lock);
    if (t->machine) {
        machine_stop(t->machine);
        if (t->stats)
            tool_print_stats(t);
    }
    machine_free(t->machine);
    pthread_mutex_unlock(&t->lock);
    loop_free(t->loop);
    trace_close();
    if (t->raw)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &t->saved);
}

static const struct option tool_options[] = {
    {"kernel", required_argument, NULL, 'k'}, {"initrd", required_argument, NULL, 'i'},
    {"append", required_argument, NULL, 'a'}, {"firmware", required_argument, NULL, 'f'},
    {"memory", required_argument, NULL, 'm'}, {"cpus", required_argument, NULL, 'c'},
    {"disk", required_argument, NULL, 'd'},   {"tohost", no_argument, NULL, 't'},
    {"gdb", required_argument, NULL, 'g'},    {"trace", required_argument, NULL, 'T'},
    {"stats", no_argument, NULL, 's'},        {"engine", required_argument, NULL, 'e'},
    {"perf-map", no_argument, NULL, 'p'},     {"symbols", required_argument, NULL, 'y'},
    {"stress", required_argument, NULL, 'S'}, {0},
};

static int tool_disk(struct vm_config *config, char *path)
{
    if (config->disk_count == VM_DISKS_MAX)
        return -E2BIG;
    config->disk[config->disk_count++].path = path;
    return 0;
}

static int tool_option(struct boot_tool *t, int option, char *value, struct err *err)
{
    struct vm_config *config = &t->config;

    switch (option) {
    case 'k': config->kernel = value; return 0;
    case 'i': config->initrd = value; return 0;
    case 'a': config->append = value; return 0;
    case 'f': config->firmware = value; return 0;
    case 'm': config->memory = strtoull(value, NULL, 0) << 20; return 0;
    case 'c': config->cpus = (unsigned)strtoul(value, NULL, 0); return 0;
    case 'd': return tool_disk(config, value);
    case 't': config->tohost = true; return 0;
    case 'g': config->gdb_port = (unsigned)strtoul(value, NULL, 0); return 0;
    case 'e': snprintf(config->engine, sizeof(config->engine), "%s", value); return 0;
    case 'S': return engine_stress_parse(value, &config->stress, err);
    case 'p': config->perf_map = true; return 0;
    case 'y': config->symbols = value; return 0;
    case 's': t->stats = true; return 0;
    case 'T': return tool_trace(value, err);
    default: return -EINVAL;
    }
}

int main(int argc, char **argv)
{
    struct boot_tool t = {.console.ops = &console_ops,
                          .config = {.arch = ARCH_RISCV64, .cpus = 1, .memory = 512 << 20}};
    struct err err = {0};
    int option, r = 0;

    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&t.lock, NULL);
    while (!r && (option = getopt_long(argc, argv, "", tool_options, NULL)) >= 0)
        r = tool_option(&t, option, optarg, &err);
    if (r) {
        fprintf(stderr, "boot: %s\n", err.text[0] ? err.text : "bad usage; see tools/boot.c");
        return EXIT_USAGE;
    }
    console_raw(&t);
    r = tool_run(&t, &err);
    tool_end(&t);
    if (!r)
        return t.exit_code;
    fprintf(stderr, "boot: %s\n", err.text);
    return err_exit_code(r);
}
