/* SPDX-License-Identifier: Apache-2.0 */
/* posada oci spec: a config.json to start from, usual for engines: five namespaces, the customary
 * mounts, masked and read-only paths, few capabilities. */
#include "cli/oci.h"

#include "base/cleanup.h"
#include "container/out.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct cli_option oci_spec_options[] = {
    {"bundle", 'b', "DIR", "write it there (default: the current directory)"},
    {"rootless", 0, NULL, "for an ordinary user: with a user namespace"},
    CLI_OPTIONS_END,
};

static void oci_spec_capabilities(struct out *o)
{
    static const char *const sets[] = {"bounding", "effective", "permitted"};
    static const char *const caps[] = {"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", NULL};

    out_begin(o, "capabilities", '{');
    for (size_t i = 0; i < ARRAY_LEN(sets); i++)
        out_texts(o, sets[i], caps);
    out_end(o, '}');
}

static void oci_spec_process(struct out *o)
{
    static const char *const args[] = {"sh", NULL};
    static const char *const env[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", NULL};

    out_begin(o, "process", '{');
    out_bool(o, "terminal", true);
    out_begin(o, "user", '{');
    out_int(o, "uid", 0);
    out_int(o, "gid", 0);
    out_end(o, '}');
    out_texts(o, "args", args);
    out_texts(o, "env", env);
    out_text(o, "cwd", "/");
    oci_spec_capabilities(o);
    out_begin(o, "rlimits", '[');
    out_begin(o, NULL, '{');
    out_text(o, "type", "RLIMIT_NOFILE");
    out_int(o, "hard", 1024);
    out_int(o, "soft", 1024);
    out_end(o, '}');
    out_end(o, ']');
    out_bool(o, "noNewPrivileges", true);
    out_end(o, '}');
}

static void oci_spec_mount(struct out *o, const char *at, const char *type, const char *source,
                           const char *const *options)
{
    static const char *const none[] = {NULL};

    out_begin(o, NULL, '{');
    out_text(o, "destination", at);
    out_text(o, "type", type);
    out_text(o, "source", source);
    out_texts(o, "options", options ? options : none);
    out_end(o, '}');
}

static void oci_spec_mounts(struct out *o, bool rootless)
{
    static const char *const dev[] = {"nosuid", "strictatime", "mode=755", "size=65536k", NULL};
    static const char *const pts[] = {"nosuid",    "noexec", "newinstance", "ptmxmode=0666",
                                      "mode=0620", "gid=5",  NULL};
    static const char *const pts_rootless[] = {"nosuid",        "noexec",    "newinstance",
                                               "ptmxmode=0666", "mode=0620", NULL};
    static const char *const shm[] = {"nosuid",    "noexec",      "nodev",
                                      "mode=1777", "size=65536k", NULL};
    static const char *const queue[] = {"nosuid", "noexec", "nodev", NULL};
    static const char *const sys[] = {"nosuid", "noexec", "nodev", "ro", NULL};
    static const char *const groups[] = {"nosuid", "noexec", "nodev", "relatime", "ro", NULL};

    out_begin(o, "mounts", '[');
    oci_spec_mount(o, "/proc", "proc", "proc", NULL);
    oci_spec_mount(o, "/dev", "tmpfs", "tmpfs", dev);
    oci_spec_mount(o, "/dev/pts", "devpts", "devpts", rootless ? pts_rootless : pts);
    oci_spec_mount(o, "/dev/shm", "tmpfs", "shm", shm);
    oci_spec_mount(o, "/dev/mqueue", "mqueue", "mqueue", queue);
    oci_spec_mount(o, "/sys", "sysfs", "sysfs", sys);
    oci_spec_mount(o, "/sys/fs/cgroup", "cgroup", "cgroup", groups);
    out_end(o, ']');
}

static void oci_spec_map(struct out *o, const char *name, uint32_t id)
{
    out_begin(o, name, '[');
    out_begin(o, NULL, '{');
    out_int(o, "containerID", 0);
    out_int(o, "hostID", id);
    out_int(o, "size", 1);
    out_end(o, '}');
    out_end(o, ']');
}

static void oci_spec_linux(struct out *o, bool rootless)
{
    static const char *const masked[] = {"/proc/acpi",
                                         "/proc/asound",
                                         "/proc/kcore",
                                         "/proc/keys",
                                         "/proc/latency_stats",
                                         "/proc/timer_list",
                                         "/proc/timer_stats",
                                         "/proc/sched_debug",
                                         "/sys/firmware",
                                         "/proc/scsi",
                                         NULL};
    static const char *const readonly[] = {
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};
    static const char *const namespaces[] = {"pid", "network", "ipc", "uts", "mount", "cgroup"};

    out_begin(o, "linux", '{');
    if (rootless) {
        oci_spec_map(o, "uidMappings", geteuid());
        oci_spec_map(o, "gidMappings", getegid());
    } else {
        out_begin(o, "resources", '{');
        out_begin(o, "devices", '[');
        out_begin(o, NULL, '{');
        out_bool(o, "allow", false);
        out_text(o, "access", "rwm");
        out_end(o, '}');
        out_end(o, ']');
        out_end(o, '}');
    }
    out_begin(o, "namespaces", '[');
    for (size_t i = 0; i < ARRAY_LEN(namespaces) + rootless; i++) {
        out_begin(o, NULL, '{');
        out_text(o, "type", i < ARRAY_LEN(namespaces) ? namespaces[i] : "user");
        out_end(o, '}');
    }
    out_end(o, ']');
    out_texts(o, "maskedPaths", masked);
    out_texts(o, "readonlyPaths", readonly);
    out_end(o, '}');
}

static int oci_spec_write(const char *bundle, const struct out *o, struct err *err)
{
    CLEANUP(fd) int dir = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(fd) int fd = -1;

    if (dir < 0)
        return err_set(err, -errno, "bundle %s: %s", bundle, strerror(errno));
    fd = openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 || o->failed || file_write_all(fd, buf_data(&o->buf), o->buf.len) < 0)
        return err_set(err, -errno, "%s/config.json: %s", bundle, strerror(errno));
    return 0;
}

static int oci_spec_run(const struct cli_args *args)
{
    const char *bundle = cli_value(args, "bundle");
    bool rootless = cli_has(args, "rootless");
    struct out o = {.pretty = true};
    struct err err;
    int r;

    out_begin(&o, NULL, '{');
    out_text(&o, "ociVersion", "1.2.0");
    oci_spec_process(&o);
    out_begin(&o, "root", '{');
    out_text(&o, "path", "rootfs");
    out_bool(&o, "readonly", true);
    out_end(&o, '}');
    out_text(&o, "hostname", "posada");
    oci_spec_mounts(&o, rootless);
    oci_spec_linux(&o, rootless);
    out_end(&o, '}');
    out_raw(&o, "\n");
    r = oci_spec_write(bundle ? bundle : ".", &o, &err);
    out_done(&o);
    return oci_end(r, &err);
}

const struct cli_verb oci_spec_verb = {
    .name = "spec",
    .summary = "Write a config.json to start from",
    .options = oci_spec_options,
    .run = oci_spec_run,
};
