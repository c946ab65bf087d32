/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor profiles and SELinux contexts. Contract: container/label.h. */
#include "container/label.h"

#include "base/cleanup.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LABEL_PATH = 256, LABEL_TEXT = 65536 };

static bool label_file_has(const char *mounted, const char *name, const char *wanted)
{
    CLEANUP(free) char *text = NULL;
    char path[LABEL_PATH];

    snprintf(path, sizeof(path), "%s/%s", mounted, name);
    return file_read(AT_FDCWD, path, LABEL_TEXT, &text, NULL, NULL) == 0 && strstr(text, wanted);
}

/* The attr files are there as soon as a kernel was built with the module. What tells whether it
 * runs is AppArmor's parameter; and SELinux registers its file system only when it starts, but
 * without a policy takes all labels and heeds none: every process is then just "kernel". */
bool label_usable_at(const char *sys, const char *proc, enum label_module module)
{
    if (module == LABEL_APPARMOR)
        return label_file_has(sys, "module/apparmor/parameters/enabled", "Y");
    return label_file_has(proc, "filesystems", "\tselinuxfs\n") &&
           label_file_has(proc, "self/attr/current", ":");
}

bool label_usable(enum label_module module)
{
    return label_usable_at("/sys", "/proc", module);
}

static bool label_wanted(const char *label)
{
    return label && *label;
}

int label_check(const struct spec_process *process, struct err *err)
{
    bool apparmor = label_wanted(process->apparmor), selinux = label_wanted(process->selinux);

    if (apparmor && !label_usable(LABEL_APPARMOR))
        return err_set(err, -EOPNOTSUPP,
                       "apparmorProfile '%s' cannot be applied: AppArmor is not enabled on this "
                       "host; leave the profile out, or boot with security=apparmor",
                       process->apparmor);
    if (selinux && !label_usable(LABEL_SELINUX))
        return err_set(err, -EOPNOTSUPP,
                       "selinuxLabel '%s' cannot be applied: SELinux is not enabled on this "
                       "host, or has no policy; leave the label out, or boot with "
                       "security=selinux",
                       process->selinux);
    if (apparmor && selinux)
        return err_set(err, -EINVAL,
                       "apparmorProfile '%s' and selinuxLabel '%s': a process can have only one "
                       "of them",
                       process->apparmor, process->selinux);
    return 0;
}

void label_check_mounts(const char *label, spec_note_fn note, void *arg)
{
    char text[LABEL_PATH];

    if (!label_wanted(label) || label_usable(LABEL_SELINUX) || !note)
        return;
    snprintf(text, sizeof(text),
             "config.json: linux.mountLabel: '%.100s' is not applied: SELinux is not enabled on "
             "this host, or has no policy",
             label);
    note(arg, text);
}

/* selinux(8) "context=" gives a whole file system one label. What the kernel makes up, and shares
 * with others, has labels of its own. */
const char *label_mount_data(struct arena *arena, const char *type, const char *data,
                             const char *label)
{
    static const char *const others[] = {"proc", "sysfs", "mqueue", "cgroup", "cgroup2"};

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (!strcmp(type, others[i]))
            return data ? data : "";
    return arena_text(arena, "%s%scontext=\"%s\"", data ? data : "", data && *data ? "," : "",
                      label);
}

int label_open(const struct spec_process *process, int proc, int *ret_fd, struct err *err)
{
    const char *path = label_wanted(process->apparmor)  ? "thread-self/attr/apparmor/exec"
                       : label_wanted(process->selinux) ? "thread-self/attr/exec"
                                                        : NULL;

    *ret_fd = -1;
    if (!path)
        return 0;
    *ret_fd = openat(proc, path, O_WRONLY | O_CLOEXEC);
    return *ret_fd < 0 ? err_set(err, -errno, "/proc/%s: %s", path, strerror(errno)) : 0;
}

/* One write(2): the kernel takes the label as a whole. AppArmor wants the command in front
 * (apparmor_setprocattr() of the kernel). */
int label_set(const struct spec_process *process, int fd, struct err *err)
{
    bool apparmor = label_wanted(process->apparmor);
    const char *label = apparmor ? process->apparmor : process->selinux;
    CLEANUP(free) char *text = NULL;
    int length, r;

    if (fd < 0)
        return 0;
    length = asprintf(&text, "%s%s", apparmor ? "exec " : "", label);
    if (length < 0) {
        text = NULL;
        return err_set(err, -ENOMEM, "no memory");
    }
    r = write(fd, text, (size_t)length) < 0 ? -errno : 0;
    return r < 0 ? err_set(err, r, "%s '%s': %s", apparmor ? "apparmorProfile" : "selinuxLabel",
                           label,
                           apparmor && r == -ENOENT ? "no such profile is loaded" : strerror(-r))
                 : 0;
}
