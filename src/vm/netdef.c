/* SPDX-License-Identifier: Apache-2.0 */
#include "vm/netdef.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/file.h"
#include "vm/config.h"
#include "vm/network.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

enum { NETDEF_CAP = 4096, NETDEF_FILE = VM_NAME_MAX + 8 };
static const char netdef_ending[] = ".json";

static int netdef_open_dir(int *ret_fd, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    int r = dirs_get_sub(DIRS_DATA, "networks", &path, err);

    if (r < 0)
        return r;
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *ret_fd < 0 ? err_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
}

/* Whoever changes networks holds this. */
static int netdef_lock(int dir_fd, int *ret_fd, struct err *err)
{
    *ret_fd = openat(dir_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*ret_fd < 0 || flock(*ret_fd, LOCK_EX) < 0)
        return err_set(err, -errno, "networks: cannot lock their folder: %s", strerror(errno));
    return 0;
}

static void netdef_file(const char *name, char file[NETDEF_FILE])
{
    (void)snprintf(file, NETDEF_FILE, "%.*s%s", VM_NAME_MAX, name, netdef_ending);
}

/* --- One --- */
static int netdef_read_at(int dir_fd, const char *name, struct netdef *ret_def, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    char file[NETDEF_FILE];
    struct netdef def = {0};
    const char *subnet;
    json_int_t created = 0;
    json_t *json;
    int r;

    netdef_file(name, file);
    if (faccessat(dir_fd, file, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        return err_set(err, -ENOENT, "no network '%.80s'; posada network ls lists all", name);
    r = file_read(dir_fd, file, NETDEF_CAP, &text, NULL, err);
    if (r < 0)
        return r;
    json = json_loads(text, 0, NULL);
    r = json_unpack(json, "{s:s, s:I}", "subnet", &subnet, "created", &created) < 0 ||
                !net_subnet_parse(subnet, &def.subnet)
            ? err_set(err, -EINVAL, "network '%s': %s does not say its subnet", name, file)
            : 0;
    json_decref(json);
    def.created = (uint64_t)created;
    (void)snprintf(def.name, sizeof(def.name), "%s", name);
    if (!r)
        *ret_def = def;
    return r;
}

int netdef_read(const char *name, struct netdef *ret_def, struct err *err)
{
    CLEANUP(fd) int dir_fd = -1;
    int r = vm_name_check(name, NULL) < 0 || !network_is_named(name)
                ? err_set(err, -ENOENT, "no network '%.80s'; posada network ls lists all", name)
                : netdef_open_dir(&dir_fd, err);

    return r < 0 ? r : netdef_read_at(dir_fd, name, ret_def, err);
}

static int netdef_write(int dir_fd, const struct netdef *def, struct err *err)
{
    char file[NETDEF_FILE], subnet[NET_SUBNET_TEXT];
    CLEANUP(free) char *text = NULL;
    json_t *json;

    net_subnet_print(&def->subnet, subnet);
    json = json_pack("{s:s, s:s, s:I}", "name", def->name, "subnet", subnet, "created",
                     (json_int_t)def->created);
    text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    if (!text)
        return err_set(err, -ENOMEM, "out of memory");
    netdef_file(def->name, file);
    return file_write(dir_fd, file, text, strlen(text), 0600, err);
}

/* --- All --- */
static int netdef_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int netdef_list_at(int dir_fd, char ***ret_names, struct err *err)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    const struct dirent *e;
    char **names = calloc(1, sizeof(*names));
    size_t count = 0;

    while (names && dir && (e = readdir(dir))) {
        size_t len = strlen(e->d_name), end = strlen(netdef_ending);
        char **grown;

        if (e->d_name[0] == '.' || len <= end || strcmp(e->d_name + len - end, netdef_ending) != 0)
            continue;
        grown = realloc(names, (count + 2) * sizeof(*names));
        if (!grown)
            break;
        names = grown;
        names[count] = strndup(e->d_name, len - end);
        names[++count] = NULL;
    }
    if (dir)
        closedir(dir);
    if (!names || !dir)
        return err_set(err, -ENOMEM, "networks: cannot list them");
    qsort(names, count, sizeof(*names), netdef_compare);
    *ret_names = names;
    return 0;
}

int netdef_list(char ***ret_names, struct err *err)
{
    CLEANUP(fd) int dir_fd = -1;
    int r = netdef_open_dir(&dir_fd, err);

    return r < 0 ? r : netdef_list_at(dir_fd, ret_names, err);
}

/* Which other network has addresses of this one; NULL: none. */
static const char *netdef_clash(int dir_fd, char *const *names, const struct net_subnet *subnet)
{
    struct netdef def;

    for (char *const *name = names; *name; name++)
        if (!netdef_read_at(dir_fd, *name, &def, NULL) && net_subnet_overlap(&def.subnet, subnet))
            return *name;
    return NULL;
}

/* --- Making --- */
static int netdef_choose(int dir_fd, char *const *names, struct net_subnet *ret, struct err *err)
{
    for (uint32_t i = 0; i < 256; i++) {
        *ret = (struct net_subnet){0x0a580000u | i << 8, 24}; /* 10.88.i.0/24 */
        if (!netdef_clash(dir_fd, names, ret))
            return 0;
    }
    return err_set(err, -ENOSPC, "all of 10.88.0.0/16 is taken by networks; give one --subnet");
}

static int netdef_make(int dir_fd, const char *name, const struct net_subnet *subnet,
                       struct netdef *ret_def, struct err *err)
{
    struct netdef def = {.created = (uint64_t)time(NULL)};
    char **names = NULL, text[NET_SUBNET_TEXT];
    int r = netdef_list_at(dir_fd, &names, err);
    const char *clash;

    if (r < 0)
        return r;
    if (!subnet) {
        r = netdef_choose(dir_fd, names, &def.subnet, err);
    } else if ((clash = netdef_clash(dir_fd, names, subnet))) {
        net_subnet_print(subnet, text);
        r = err_set(err, -EEXIST, "network '%s': network '%s' has addresses of %s", name, clash,
                    text);
    } else {
        def.subnet = *subnet;
    }
    vm_strings_free(names);
    (void)snprintf(def.name, sizeof(def.name), "%s", name);
    if (!r)
        r = netdef_write(dir_fd, &def, err);
    if (!r)
        *ret_def = def;
    return r;
}

static int netdef_get(const char *name, const struct net_subnet *subnet, bool fresh,
                      struct netdef *ret_def, struct err *err)
{
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    int r = netdef_open_dir(&dir_fd, err);

    if (!r)
        r = netdef_lock(dir_fd, &lock_fd, err);
    if (r < 0)
        return r;
    r = netdef_read_at(dir_fd, name, ret_def, err);
    if (!r && fresh)
        return err_set(err, -EEXIST, "network '%s': there is one of that name", name);
    return r == -ENOENT ? netdef_make(dir_fd, name, subnet, ret_def, err) : r;
}

int netdef_create(const char *name, const struct net_subnet *subnet, struct netdef *ret_def,
                  struct err *err)
{
    if (!network_is_named(name))
        return err_set(err, -EINVAL, "network '%.40s': that name means another kind", name);
    if (vm_name_check(name, err) < 0)
        return err_wrap(err, -EINVAL, "network");
    return netdef_get(name, subnet, true, ret_def, err);
}

int netdef_ensure(const char *name, struct netdef *ret_def, struct err *err)
{
    return netdef_get(name, NULL, false, ret_def, err);
}

/* --- Removing --- */
static void netdef_guest(const char *guest_name, const char *name,
                         void (*fn)(void *arg, const struct guest *guest, const struct vm_net *net),
                         void *arg)
{
    struct guest guest = GUEST_NONE;
    struct vm_config config;

    if (store_open(guest_name, &guest, NULL) < 0)
        return;
    if (!guest_read_config(&guest, &config, NULL)) {
        for (unsigned i = 0; i < config.net_count; i++)
            if (!strcmp(config.net[i].network, name))
                fn(arg, &guest, &config.net[i]);
        vm_config_done(&config);
    }
    guest_close(&guest);
}

void netdef_each_user(const char *name,
                      void (*fn)(void *arg, const struct guest *guest, const struct vm_net *net),
                      void *arg)
{
    char **guests = NULL;

    if (store_list(&guests, NULL) < 0)
        return;
    for (char **g = guests; *g; g++)
        netdef_guest(*g, name, fn, arg);
    vm_strings_free(guests);
}

static void netdef_note_user(void *arg, const struct guest *guest, const struct vm_net *net)
{
    (void)snprintf(arg, VM_NAME_MAX + 1, "%s", guest->name);
}

int netdef_remove(const char *name, struct err *err)
{
    CLEANUP(fd) int dir_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    char file[NETDEF_FILE], user[VM_NAME_MAX + 1] = "";
    struct netdef def;
    int r = netdef_read(name, &def, err);

    if (r == -ENOENT)
        return r; /* one that cannot be read is removed all the same */
    r = netdef_open_dir(&dir_fd, err);
    if (!r)
        r = netdef_lock(dir_fd, &lock_fd, err);
    if (r < 0)
        return r;
    netdef_each_user(name, netdef_note_user, user);
    if (*user)
        return err_set(err, -EBUSY, "network '%s': guest '%s' is on it; remove that one first",
                       name, user);
    netdef_file(name, file);
    return unlinkat(dir_fd, file, 0) < 0
               ? err_set(err, -errno, "network '%s': %s", name, strerror(errno))
               : 0;
}
