/* SPDX-License-Identifier: Apache-2.0 */
/* Loads kernel modules for devices (modules.h). Formats: modules.dep(5), "alias PATTERN NAME". */
#include "modules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { MODULES_MAX = 128, ALIASES_MAX = 512, TEXT_MAX = 64 * 1024 };

struct module {
    char *file, *needs; /* as in modules.dep: its file, then files to load before it, last first */
    bool tried;
};

struct alias {
    const char *pattern, *name;
};

struct modules {
    char dir[128];
    struct module module[MODULES_MAX];
    struct alias alias[ALIASES_MAX];
    unsigned count, alias_count;
    char dep[TEXT_MAX + 1], alias_text[TEXT_MAX + 1];
};

static struct modules modules;

static char *modules_read(const char *dir, const char *file, char *text)
{
    char path[512];
    ssize_t n = -1;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, TEXT_MAX);
        (void)close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void modules_open(struct modules *t)
{
    struct utsname u;
    char *at, *line;

    if (uname(&u) < 0)
        return;
    (void)snprintf(t->dir, sizeof(t->dir), "/lib/modules/%s", u.release);
    at = modules_read(t->dir, "modules.dep", t->dep);
    while (t->count < MODULES_MAX && (line = strsep(&at, "\n"))) {
        struct module *m = &t->module[t->count];

        m->file = strsep(&line, ":");
        m->needs = line;
        t->count += line != NULL;
    }
    at = modules_read(t->dir, "modules.alias", t->alias_text);
    while (t->alias_count < ALIASES_MAX && (line = strsep(&at, "\n"))) {
        struct alias *a = &t->alias[t->alias_count];

        (void)strsep(&line, " ");
        a->pattern = strsep(&line, " ");
        a->name = line;
        t->alias_count += line != NULL;
    }
}

/* "virtio_blk" against "virtio_blk.ko". */
static bool module_is_named(const struct module *m, const char *name)
{
    size_t len = strlen(name);

    return strncmp(m->file, name, len) == 0 && m->file[len] == '.';
}

static int module_insert(const struct modules *t, const char *file)
{
    char path[512];
    int fd, r;

    (void)snprintf(path, sizeof(path), "%s/%s", t->dir, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST ? -errno : 0;
    (void)close(fd);
    if (r < 0)
        (void)fprintf(stderr, "init: module %s: %s\n", file, strerror(-r));
    return r;
}

static int module_load(struct modules *t, struct module *m)
{
    char *space;

    m->tried = true;
    while ((space = strrchr(m->needs, ' '))) {
        (void)module_insert(t, space + 1);
        *space = '\0';
    }
    return module_insert(t, m->file);
}

/* How many modules it loaded for a device of that alias. */
static unsigned modules_load_alias(struct modules *t, const char *alias)
{
    unsigned loaded = 0;

    for (unsigned i = 0; i < t->alias_count; i++) {
        if (fnmatch(t->alias[i].pattern, alias, 0) != 0)
            continue;
        for (unsigned j = 0; j < t->count; j++)
            if (!t->module[j].tried && module_is_named(&t->module[j], t->alias[i].name))
                loaded += module_load(t, &t->module[j]) == 0;
    }
    return loaded;
}

static unsigned modules_for_device(struct modules *t, const char *bus, const char *device)
{
    char dir[512], alias[TEXT_MAX + 1];

    (void)snprintf(dir, sizeof(dir), "%s/%s", bus, device);
    (void)modules_read(dir, "modalias", alias);
    alias[strcspn(alias, "\n")] = '\0';
    return *alias ? modules_load_alias(t, alias) : 0;
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

    modules_open(&modules);
    do {
        loaded = modules_for_bus(&modules, "/sys/bus/pci/devices");
        loaded += modules_for_bus(&modules, "/sys/bus/virtio/devices");
    } while (modules.alias_count && loaded);
}
