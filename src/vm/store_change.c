/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests on disk: locking, changing, renaming and removing them, and putting right what a crash
 * left. Contract: vm/store.h; the order of locks: store.c.
 */
#include "vm/store.h"

#include "base/cleanup.h"
#include "host/file.h"
#include "vm/config.h"
#include "vm/events.h"
#include "vm/network.h"
#include "vm/store_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Nobody runs it, but its run may have ended without anyone to clean up: then the run directory is
 * still there, and it is the last thing to go. */
static void guest_end_run(const struct guest *guest)
{
    struct vm_config config = {0};

    if (!guest_has_run_dir(guest))
        return;
    if (!guest_read_config(guest, &config, NULL))
        networks_tidy(&config);
    vm_config_done(&config);
    guest_remove_run_dir(guest);
}

/* Who wanted the guest to stop at the same moment may write that down in there. What stays is
 * removed by whoever tidies next. */
static int store_remove_dead(int store_fd, const char *temp, struct err *err)
{
    int r = -ENOTEMPTY;

    for (unsigned i = 0; i < 8 && r == -ENOTEMPTY; i++)
        r = file_remove_tree(store_fd, temp, err);
    return r == -ENOTEMPTY ? 0 : r;
}

static int store_remove_in(int store_fd, struct guest *guest, struct err *err)
{
    char temp[32] = ".dead-";
    int r;

    store_random_hex(temp + 6, 12);
    if (guest_refresh(guest) < 0)
        return 0;
    guest_end_run(guest);
    r = renameat(store_fd, guest->name, store_fd, temp) < 0 ? -errno : 0;
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_set(err, r, "guest '%s': cannot remove it: %s", guest->name, strerror(-r));
    event_add(EVENT_REMOVED, guest, NULL);
    return store_remove_dead(store_fd, temp, err);
}

int store_remove_locked(struct guest *guest, struct err *err)
{
    CLEANUP(fd) int store_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    int r = store_dir(DIRS_DATA, &store_fd, err);

    if (!r)
        r = store_lock(store_fd, &lock_fd, err);
    return r < 0 ? r : store_remove_in(store_fd, guest, err);
}

/* Of a container whose monitor was killed: what runs of it is known by its run directory alone, and
 * goes on or is ended by the next monitor (src/ctr), not here. */
static bool guest_is_left_over(const struct guest *guest)
{
    struct vm_config config = {0};
    bool left = guest_has_run_dir(guest) && !guest_read_config(guest, &config, NULL) &&
                config.technique == TECHNIQUE_CONTAINER;

    vm_config_done(&config);
    return left;
}

/* -EAGAIN: nobody holds it, but it may run nevertheless. Who was seen to hold it may be killed any
 * moment, and leave it so. */
static int lock_guest_in(const struct guest *guest, struct err *err)
{
    bool locked = file_is_locked(guest->lock_fd);

    if (!locked && guest_is_left_over(guest))
        return err_set(err, -EAGAIN,
                       "container '%s': its monitor was killed a moment ago; try again",
                       guest->name);
    if (locked || file_lock(guest->lock_fd) < 0)
        return err_set(err, -EBUSY, "guest '%s' is running; stop it first: posada stop %s",
                       guest->name, guest->name);
    return 0;
}

/* By its present name, which stays as long as the caller holds the store's lock. */
static int find_guest_in(struct guest *guest, struct err *err)
{
    if (guest_refresh(guest) < 0)
        return err_set(err, -ENOENT, "guest '%s' has been removed", guest->name);
    return 0;
}

int store_lock_guest(struct guest *guest, struct err *err)
{
    CLEANUP(fd) int store_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    int r = store_dir(DIRS_DATA, &store_fd, err);

    if (!r)
        r = store_lock(store_fd, &lock_fd, err);
    if (!r)
        r = lock_guest_in(guest, err);
    return r ? r : find_guest_in(guest, err);
}

int store_remove(struct guest *guest, struct err *err)
{
    CLEANUP(fd) int store_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    int r = store_dir(DIRS_DATA, &store_fd, err);

    if (!r)
        r = store_lock(store_fd, &lock_fd, err);
    if (!r && guest_refresh(guest) < 0)
        return 0; /* who removed it may still hold its lock */
    if (!r)
        r = lock_guest_in(guest, err);
    return r < 0 ? r : store_remove_in(store_fd, guest, err);
}

/* The directory's name is the guest's; config.json only repeats it, for people. */
static int store_rename_in(int store_fd, struct guest *guest, const char *name, struct err *err)
{
    char from[VM_NAME_MAX + 1];
    struct vm_config config;
    int r = find_guest_in(guest, err);

    if (r < 0)
        return r;
    if (!strcmp(guest->name, name)) /* perhaps by another command, a moment ago */
        return err_set(err, -EEXIST, "guest '%s' has that name already", name);
    r = renameat2(store_fd, guest->name, store_fd, name, RENAME_NOREPLACE) < 0 ? -errno : 0;
    if (r == -EEXIST)
        return err_set(err, r, "guest '%s' exists already; choose another name", name);
    if (r < 0)
        return err_set(err, r, "guest '%s': cannot rename it: %s", guest->name, strerror(-r));
    strcpy(from, guest->name);
    snprintf(guest->name, sizeof(guest->name), "%s", name);
    r = guest_read_config(guest, &config, err);
    if (r < 0)
        return r;
    r = guest_write_config(guest, &config, err);
    vm_config_done(&config);
    event_add(EVENT_RENAMED, guest, json_pack("{s:s}", "from", from));
    return r;
}

int store_rename(struct guest *guest, const char *name, struct err *err)
{
    CLEANUP(fd) int store_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    int r = vm_name_check(name, err);

    if (!r)
        r = store_dir(DIRS_DATA, &store_fd, err);
    if (!r)
        r = store_lock(store_fd, &lock_fd, err);
    return r < 0 ? r : store_rename_in(store_fd, guest, name, err);
}

int store_change(struct guest *guest,
                 int (*fn)(const void *arg, struct vm_config *config, struct err *err),
                 const void *arg, struct err *err)
{
    CLEANUP(fd) int store_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    struct vm_config config = {0};
    int r = store_dir(DIRS_DATA, &store_fd, err);

    if (!r)
        r = store_lock(store_fd, &lock_fd, err);
    if (!r)
        r = find_guest_in(guest, err);
    if (!r)
        r = guest_read_config(guest, &config, err);
    if (!r)
        r = fn(arg, &config, err);
    if (!r)
        r = guest_write_config(guest, &config, err);
    vm_config_done(&config);
    if (!r)
        event_add(EVENT_CHANGED, guest, NULL);
    return r;
}

/* A guest whose process ended without a word: say so, clean up, and remove it if it asked so. */
static void tidy_guest(int store_fd, const char *name)
{
    struct vm_config config = {0};
    struct guest guest;

    if (guest_open_at(store_fd, name, &guest) < 0)
        return;
    /* The lock tells the living from the dead. It is only looked at: who asks meanwhile whether the
     * guest lives must not find us. */
    if (!file_is_locked(guest.lock_fd) && !guest_is_left_over(&guest)) {
        (void)guest_bury(&guest);
        guest_end_run(&guest);
        if (!guest_read_config(&guest, &config, NULL) && config.auto_remove)
            (void)!store_remove_in(store_fd, &guest, NULL);
        vm_config_done(&config);
    }
    guest_close(&guest);
}

void store_tidy(void)
{
    CLEANUP(fd) int store_fd = -1;
    CLEANUP(fd) int lock_fd = -1;
    struct dirent *entry;
    DIR *dir;
    int copy;

    if (store_dir(DIRS_DATA, &store_fd, NULL) < 0 || store_lock(store_fd, &lock_fd, NULL) < 0)
        return;
    copy = openat(store_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = copy < 0 ? NULL : fdopendir(copy);
    while (dir && (entry = readdir(dir))) {
        if (!strncmp(entry->d_name, ".new-", 5) || !strncmp(entry->d_name, ".dead-", 6))
            (void)!file_remove_tree(store_fd, entry->d_name, NULL);
        else if (!vm_name_check(entry->d_name, NULL))
            tidy_guest(store_fd, entry->d_name);
    }
    if (dir)
        closedir(dir);
    networks_sweep();
}
