/* SPDX-License-Identifier: Apache-2.0 */
/* Loads kernel modules by device, name or alias. Table and purpose: modules.h. */
#include "modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MODULES_MAX = 128, TABLE_MAX = 64 * 1024 };

struct module {
    char *name, *path, *depends, *aliases; /* aliases: separated by spaces */
    bool tried;
    int result;
};

struct modules {
    struct module m[MODULES_MAX];
    unsigned count;
    char text[TABLE_MAX + 1];
};

static struct modules modules;

static void modules_parse_line(struct modules *t, char *line)
{
    struct module *m = &t->m[t->count];

    m->name = strsep(&line, " ");
    m->path = strsep(&line, " ");
    m->depends = strsep(&line, " ");
    m->aliases = line;
    if (m->path && m->depends)
        t->count++;
}

static void modules_read(struct modules *t)
{
    int fd = open(MODULES_TABLE, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, t->text, TABLE_MAX);
    char *at = t->text, *line;

    if (fd >= 0)
        (void)close(fd);
    t->text[n > 0 ? n : 0] = '\0';
    while (t->count < MODULES_MAX && (line = strsep(&at, "\n")))
        modules_parse_line(t, line);
}

/* Names compare with '-' and '_' alike. */
static bool module_is_named(const struct module *m, const char *name, size_t len)
{
    if (strlen(m->name) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (m->name[i] != name[i] && !(m->name[i] == '_' && name[i] == '-'))
            return false;
    return true;
}

static bool module_has_alias(const struct module *m, const char *alias)
{
    char *copy = m->aliases ? strdup(m->aliases) : NULL, *at = copy, *pattern;
    bool found = false;

    while (!found && (pattern = strsep(&at, " ")))
        found = *pattern && fnmatch(pattern, alias, 0) == 0;
    free(copy);
    return found;
}

static int module_insert(const struct module *m)
{
    int fd = open(m->path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : (int)syscall(SYS_finit_module, fd, "", 0);

    if (fd >= 0 && r < 0)
        r = errno == EEXIST ? 0 : -errno;
    if (fd >= 0)
        (void)close(fd);
    if (r < 0)
        (void)fprintf(stderr, "init: module %s: %s\n", m->name, strerror(-r));
    return r;
}

static int module_load(struct modules *t, struct module *m);

static int module_load_named(struct modules *t, const char *name, size_t len)
{
    for (unsigned i = 0; i < t->count; i++)
        if (module_is_named(&t->m[i], name, len))
            return module_load(t, &t->m[i]);
    return -ENOENT;
}

/* Dependencies first; `tried` also ends a circle of them. */
static int module_load(struct modules *t, struct module *m)
{
    const char *at = m->depends;
    size_t len;

    if (m->tried)
        return m->result;
    m->tried = true;
    while (*at && *at != '-') {
        len = strcspn(at, ",");
        (void)module_load_named(t, at, len);
        at += len + (at[len] == ',');
    }
    return m->result = module_insert(m);
}

static unsigned modules_load_alias(struct modules *t, const char *alias)
{
    unsigned loaded = 0;

    for (unsigned i = 0; i < t->count; i++)
        if (!t->m[i].tried && module_has_alias(&t->m[i], alias))
            loaded += module_load(t, &t->m[i]) == 0;
    return loaded;
}

static unsigned modules_for_device(struct modules *t, const char *bus, const char *device)
{
    char path[512], alias[512];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s/modalias", bus, device);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, alias, sizeof(alias) - 1);
    (void)close(fd);
    if (n <= 0)
        return 0;
    alias[n] = '\0';
    alias[strcspn(alias, "\n")] = '\0';
    return modules_load_alias(t, alias);
}

static unsigned modules_for_bus(struct modules *t, const char *bus)
{
    DIR *dir = opendir(bus);
    const struct dirent *e;
    unsigned loaded = 0;

    while (dir && (e = readdir(dir)))
        if (e->d_name[0] != '.')
            loaded += modules_for_device(t, bus, e->d_name);
    if (dir)
        (void)closedir(dir);
    return loaded;
}

void modules_coldplug(void)
{
    unsigned loaded;

    modules_read(&modules);
    do {
        loaded = modules_for_bus(&modules, "/sys/bus/pci/devices");
        loaded += modules_for_bus(&modules, "/sys/bus/virtio/devices");
    } while (modules.count && loaded);
}

int modules_modprobe(char **names)
{
    int failed = 0;

    modules_read(&modules);
    for (; *names; names++) {
        if (**names == '-' || module_load_named(&modules, *names, strlen(*names)) == 0)
            continue;
        failed |= modules_load_alias(&modules, *names) == 0;
    }
    return failed;
}
