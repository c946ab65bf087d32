/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests on disk: making and finding them (store_change.c: changing, removing, tidying). Contract:
 * vm/store.h.
 *
 * Locks: DATA/guests/.lock is held while a guest is being made (".new-" directory to rename) or
 * removed (rename to ".dead-"), so that whoever holds it may delete any ".new-" and ".dead-". A
 * guest's own lock is taken second, and only under it: so who holds the first and finds the second
 * free knows that the guest stays dead. Names with a leading dot are never guests.
 */
#include "vm/store.h"

#include "base/cleanup.h"
#include "host/dirs.h"
#include "host/file.h"
#include "vm/config.h"
#include "vm/events.h"
#include "vm/names.h"
#include "vm/network.h"
#include "vm/own.h"
#include "vm/store_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

/* --- directories and the store's lock --- */

int store_dir(enum dirs_kind kind, int *ret_fd, struct err *err)
{
    CLEANUP(free) char *path = NULL;
    int r = dirs_get_sub(kind, "guests", &path, err);

    if (r < 0)
        return r;
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return err_set(err, -errno, "directory %s: %s", path, strerror(errno));
    return 0;
}

int store_lock(int dir_fd, int *ret_lock_fd, struct err *err)
{
    int fd = openat(dir_fd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int r = fd < 0 ? -1 : 0;

    while (!r && (r = fcntl(fd, F_OFD_SETLKW, &whole)) < 0 && errno == EINTR)
        r = 0;
    if (r < 0) {
        r = err_set(err, -errno, "cannot lock the list of guests: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return r;
    }
    *ret_lock_fd = fd;
    return 0;
}

void store_random_hex(char *ret, unsigned digits)
{
    uint8_t bytes[16];

    /* getrandom() fails only for bad arguments once the system has booted. */
    (void)!getrandom(bytes, sizeof(bytes), 0);
    for (unsigned i = 0; i < digits; i++)
        ret[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 * 4) & 15];
    ret[digits] = '\0';
}

void vm_uuid_new(char ret_uuid[37])
{
    char hex[33];

    store_random_hex(hex, 32);
    hex[12] = '4';
    hex[16] = "89ab"[hex[16] & 3];
    snprintf(ret_uuid, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

void vm_mac_new(char ret_mac[18])
{
    char hex[13];

    store_random_hex(hex, 12);
    hex[1] = "26ae"[hex[1] & 3]; /* one station, administered locally */
    snprintf(ret_mac, 18, "%.2s:%.2s:%.2s:%.2s:%.2s:%.2s", hex, hex + 2, hex + 4, hex + 6, hex + 8,
             hex + 10);
}

/* --- making a guest --- */

static int store_fill(struct vm_config *config, struct guest *guest, struct err *err)
{
    struct guest_record record = {.state = VM_CREATED, .created = (uint64_t)time(NULL)};
    int r = own_create(guest->dir_fd, config, err);

    if (r == 0)
        r = guest_write_config(guest, config, err);
    if (r < 0)
        return r;
    guest->lock_fd = openat(guest->dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    r = guest->lock_fd < 0 ? -errno : file_lock(guest->lock_fd);
    if (r < 0)
        return err_set(err, r, "guest '%s': cannot lock it: %s", config->name, strerror(-r));
    return guest_write_record(guest, &record, err);
}

/* Gives the finished directory its name: the one asked for, or generated ones until one is free. */
static int store_publish(int store_fd, const char *temp, struct vm_config *config, struct err *err)
{
    int r;

    r = renameat2(store_fd, temp, store_fd, config->name, RENAME_NOREPLACE) < 0 ? -errno : 0;
    if (r == -EEXIST)
        return err_set(err, r,
                       "guest '%s' exists already; choose another --name or remove it: "
                       "posada rm %s",
                       config->name, config->name);
    return r < 0 ? err_set(err, r, "guest '%s': cannot make it: %s", config->name, strerror(-r))
                 : 0;
}

static int store_choose_name(int store_fd, struct vm_config *config, struct err *err)
{
    if (config->name[0])
        return vm_name_check(config->name, err);
    /* Under the store's lock: what is free now stays free until it is taken. */
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        names_generate(config->name, attempt > 20);
        if (faccessat(store_fd, config->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            return 0;
    }
    return err_set(err, -EEXIST, "cannot find a free name for the guest; give one with --name");
}

static int store_make(int store_fd, struct vm_config *config, struct guest *guest, struct err *err)
{
    char temp[32] = ".new-";
    int r = store_choose_name(store_fd, config, err);

    if (r < 0)
        return r;
    store_random_hex(temp + 5, 12);
    if (mkdirat(store_fd, temp, 0700) < 0)
        return err_set(err, -errno, "guest '%s': cannot make it: %s", config->name,
                       strerror(errno));
    guest->dir_fd = openat(store_fd, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    strcpy(guest->name, config->name);
    strcpy(guest->uuid, config->uuid);
    r = guest->dir_fd < 0 ? err_set(err, -errno, "guest '%s': %s", config->name, strerror(errno))
                          : store_fill(config, guest, err);
    if (!r)
        r = store_publish(store_fd, temp, config, err);
    if (r < 0) {
        guest_close(guest);
        (void)!file_remove_tree(store_fd, temp, NULL);
    }
    return r;
}

int store_create(struct vm_config *config, struct guest *ret_guest, struct err *err)
{
    CLEANUP(fd) int store_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    struct guest guest = GUEST_NONE;
    int r = store_dir(DIRS_DATA, &store_fd, err);

    if (!r)
        r = store_lock(store_fd, &lock_fd, err);
    if (!config->uuid[0])
        vm_uuid_new(config->uuid);
    for (unsigned i = 0; i < config->net_count; i++)
        if (!config->net[i].mac[0])
            vm_mac_new(config->net[i].mac);
    if (!r)
        r = store_make(store_fd, config, &guest, err);
    if (!r) {
        event_add(EVENT_CREATED, &guest, NULL);
        *ret_guest = guest;
    }
    return r;
}

/* --- finding --- */

void guest_close(struct guest *guest)
{
    if (guest->dir_fd >= 0)
        close(guest->dir_fd);
    if (guest->lock_fd >= 0)
        close(guest->lock_fd);
    *guest = GUEST_NONE;
}

int guest_open_at(int store_fd, const char *name, struct guest *guest)
{
    *guest = GUEST_NONE;
    snprintf(guest->name, sizeof(guest->name), "%s", name);
    guest->dir_fd = openat(store_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (guest->dir_fd >= 0)
        guest->lock_fd = openat(guest->dir_fd, "lock", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (guest->lock_fd < 0) {
        int r = -errno;

        guest_close(guest);
        return r;
    }
    guest_read_uuid(guest);
    return 0;
}

int guest_open_again(const struct guest *guest, struct guest *ret_guest, struct err *err)
{
    int r = guest_open_at(guest->dir_fd, ".", ret_guest);

    if (r < 0)
        return err_set(err, r, "guest '%s': %s", guest->name, strerror(-r));
    strcpy(ret_guest->name, guest->name);
    return 0;
}

int guest_adopt(int dir_fd, int lock_fd, struct guest *ret_guest)
{
    struct guest guest = {.dir_fd = dir_fd, .lock_fd = lock_fd};
    int r = guest_refresh(&guest);

    if (r < 0)
        return r;
    guest_read_uuid(&guest);
    *ret_guest = guest;
    return 0;
}

int guest_refresh(struct guest *guest)
{
    char proc[32], path[PATH_MAX];
    const char *name;
    ssize_t n;

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", guest->dir_fd);
    n = readlink(proc, path, sizeof(path) - 1);
    if (n < 0)
        return 0; /* no /proc: the name we know */
    path[n] = '\0';
    name = strrchr(path, '/');
    if (!name || vm_name_check(name + 1, NULL) < 0)
        return -ENOENT;
    strcpy(guest->name, name + 1);
    return 0;
}

/* The one guest whose UUID begins so. */
static int store_open_uuid(int store_fd, const char *prefix, struct guest *ret_guest)
{
    struct guest found = GUEST_NONE;
    char **names = NULL;
    int r = -ENOENT;

    if (strlen(prefix) < 4 || store_list(&names, NULL) < 0)
        return -ENOENT;
    for (char **name = names; *name && r != -ENOTUNIQ; name++) {
        struct guest guest;

        if (guest_open_at(store_fd, *name, &guest) < 0)
            continue;
        if (strncmp(guest.uuid, prefix, strlen(prefix)) != 0) {
            guest_close(&guest);
            continue;
        }
        r = found.dir_fd < 0 ? 0 : -ENOTUNIQ;
        guest_close(&found);
        found = guest;
    }
    vm_strings_free(names);
    if (r < 0)
        guest_close(&found);
    else
        *ret_guest = found;
    return r;
}

int store_open(const char *name, struct guest *ret_guest, struct err *err)
{
    CLEANUP(fd) int store_fd = -1;
    int r = store_dir(DIRS_DATA, &store_fd, err);

    if (r < 0)
        return r;
    r = vm_name_check(name, NULL) < 0 ? -ENOENT : guest_open_at(store_fd, name, ret_guest);
    if (r == -ENOENT)
        r = store_open_uuid(store_fd, name, ret_guest);
    if (r == -ENOENT)
        return err_set(err, r, "no guest '%.80s'; posada ps -a lists all", name);
    return r < 0 ? err_set(err, r, "guest '%.80s': %s", name, strerror(-r)) : 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_dir(DIR *dir, char ***ret_names)
{
    size_t count = 0, room = 16;
    char **names = calloc(room + 1, sizeof(*names));
    struct dirent *entry;

    while (names && (entry = readdir(dir))) {
        if (vm_name_check(entry->d_name, NULL) < 0)
            continue;
        if (count == room) {
            char **grown = realloc(names, ((room *= 2) + 1) * sizeof(*names));

            if (!grown)
                break;
            names = grown;
        }
        names[count] = strdup(entry->d_name);
        names[++count] = NULL;
    }
    if (!names)
        return -ENOMEM;
    qsort(names, count, sizeof(*names), compare_names);
    *ret_names = names;
    return 0;
}

int store_list(char ***ret_names, struct err *err)
{
    int store_fd = -1, r = store_dir(DIRS_DATA, &store_fd, err);
    DIR *dir;

    if (r < 0)
        return r;
    dir = fdopendir(store_fd);
    if (!dir) {
        close(store_fd);
        return err_set(err, -ENOMEM, "cannot list the guests: out of memory");
    }
    r = list_dir(dir, ret_names);
    closedir(dir);
    return r < 0 ? err_set(err, r, "cannot list the guests: %s", strerror(-r)) : 0;
}

/* --- the run directory --- */

static int run_dir_open(const struct guest *guest, bool make, int *ret_dir_fd, struct err *err)
{
    CLEANUP(fd) int run_fd = -1;
    int r = store_dir(DIRS_RUN, &run_fd, err);

    if (r < 0)
        return r;
    if (!guest->uuid[0])
        return err_set(err, -EIO, "guest '%s': config.json tells no UUID", guest->name);
    if (make && mkdirat(run_fd, guest->uuid, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "guest '%s': run directory: %s", guest->name, strerror(errno));
    *ret_dir_fd = openat(run_fd, guest->uuid, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*ret_dir_fd < 0)
        return err_set(err, -errno, "guest '%s': run directory: %s", guest->name, strerror(errno));
    return 0;
}

int guest_run_dir(const struct guest *guest, int *ret_dir_fd, struct err *err)
{
    return run_dir_open(guest, true, ret_dir_fd, err);
}

int guest_open_run_dir(const struct guest *guest, int *ret_dir_fd, struct err *err)
{
    return run_dir_open(guest, false, ret_dir_fd, err);
}

bool guest_has_run_dir(const struct guest *guest)
{
    CLEANUP(fd) int run_fd = -1;

    return guest->uuid[0] && !store_dir(DIRS_RUN, &run_fd, NULL) &&
           !faccessat(run_fd, guest->uuid, F_OK, AT_SYMLINK_NOFOLLOW);
}

void guest_remove_run_dir(const struct guest *guest)
{
    CLEANUP(fd) int run_fd = -1;

    if (guest->uuid[0] && !store_dir(DIRS_RUN, &run_fd, NULL))
        (void)!file_remove_tree(run_fd, guest->uuid, NULL);
}
