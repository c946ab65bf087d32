/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests on disk. Contract: vm/store.h.
 *
 * Locks: DATA/guests/.lock is held while a guest is being made (".new-" directory to rename) or
 * removed (rename to ".dead-"), so that whoever holds it may delete any ".new-" and ".dead-". A
 * guest's own lock is taken second. Names with a leading dot are never guests.
 */
#include "vm/store.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "host/dirs.h"
#include "host/file.h"
#include "vm/config.h"
#include "vm/names.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

enum { CONFIG_CAP = 1 << 20, RECORD_CAP = 1 << 16 };

/* --- directories and the store's lock --- */

static int store_dir(enum dirs_kind kind, int *ret_fd, struct err *err)
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

static int store_lock(int dir_fd, int *ret_lock_fd, struct err *err)
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

static void random_hex(char *ret, unsigned digits)
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

    random_hex(hex, 32);
    hex[12] = '4';
    hex[16] = "89ab"[hex[16] & 3];
    snprintf(ret_uuid, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

/* --- making a guest --- */

static int write_json(int dir_fd, const char *name, json_t *json, struct err *err)
{
    CLEANUP(free) char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;

    json_decref(json);
    if (!text)
        return err_set(err, -ENOMEM, "%s: out of memory", name);
    return file_write(dir_fd, name, text, strlen(text), 0600, err);
}

static int store_fill(int dir_fd, const struct vm_config *config, struct guest *guest,
                      struct err *err)
{
    struct guest_record record = {.state = VM_CREATED, .created = (uint64_t)time(NULL)};
    int r;

    r = write_json(dir_fd, "config.json", vm_config_to_json(config), err);
    if (r < 0)
        return r;
    guest->lock_fd = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
    random_hex(temp + 5, 12);
    if (mkdirat(store_fd, temp, 0700) < 0)
        return err_set(err, -errno, "guest '%s': cannot make it: %s", config->name,
                       strerror(errno));
    guest->dir_fd = openat(store_fd, temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    strcpy(guest->name, config->name);
    r = guest->dir_fd < 0 ? err_set(err, -errno, "guest '%s': %s", config->name, strerror(errno))
                          : store_fill(guest->dir_fd, config, guest, err);
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
    if (!r)
        r = store_make(store_fd, config, &guest, err);
    if (!r)
        *ret_guest = guest;
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

static int guest_open_at(int store_fd, const char *name, struct guest *guest)
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
    return 0;
}

static bool guest_has_uuid(const struct guest *guest, const char *prefix)
{
    struct vm_config config;
    bool same;

    if (guest_read_config(guest, &config, NULL) < 0)
        return false;
    same = !strncmp(config.uuid, prefix, strlen(prefix));
    vm_config_done(&config);
    return same;
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
        if (!guest_has_uuid(&guest, prefix)) {
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

/* --- removing and tidying --- */

static int store_remove_in(int store_fd, struct guest *guest, struct err *err)
{
    char temp[32] = ".dead-";
    int r;

    random_hex(temp + 6, 12);
    guest_remove_run_dir(guest->name);
    r = renameat(store_fd, guest->name, store_fd, temp) < 0 ? -errno : 0;
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_set(err, r, "guest '%s': cannot remove it: %s", guest->name, strerror(-r));
    return file_remove_tree(store_fd, temp, err);
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

int store_remove(struct guest *guest, struct err *err)
{
    if (file_lock(guest->lock_fd) < 0)
        return err_set(err, -EBUSY, "guest '%s' is running; stop it first or use rm -f",
                       guest->name);
    return store_remove_locked(guest, err);
}

/* A guest whose process ended without a word: say so, clean up, and remove it if it asked so. */
static void tidy_guest(int store_fd, const char *name)
{
    struct guest_record record;
    struct vm_config config = {0};
    struct guest guest;

    if (guest_open_at(store_fd, name, &guest) < 0)
        return;
    /* The lock tells the living from the dead; a record already final needs no care. */
    if (!file_lock(guest.lock_fd) && !guest_read_record(&guest, &record, NULL)) {
        if (record.pid) {
            (void)!guest_write_record(&guest, &record, NULL);
            (void)!guest_write_pid(&guest, 0, NULL);
            guest_remove_run_dir(name);
        }
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
}

/* --- the run directory --- */

int guest_run_dir(const struct guest *guest, int *ret_dir_fd, struct err *err)
{
    CLEANUP(fd) int run_fd = -1;
    int r = store_dir(DIRS_RUN, &run_fd, err);

    if (r < 0)
        return r;
    if (mkdirat(run_fd, guest->name, 0700) < 0 && errno != EEXIST)
        return err_set(err, -errno, "guest '%s': run directory: %s", guest->name, strerror(errno));
    *ret_dir_fd = openat(run_fd, guest->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*ret_dir_fd < 0)
        return err_set(err, -errno, "guest '%s': run directory: %s", guest->name, strerror(errno));
    return 0;
}

void guest_remove_run_dir(const char *name)
{
    CLEANUP(fd) int run_fd = -1;

    if (!store_dir(DIRS_RUN, &run_fd, NULL))
        (void)!file_remove_tree(run_fd, name, NULL);
}

/* --- configuration and record --- */

int guest_read_config(const struct guest *guest, struct vm_config *config, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    json_t *json;
    int r = file_read(guest->dir_fd, "config.json", CONFIG_CAP, &text, NULL, err);

    if (r < 0)
        return err_wrap(err, r, "guest '%s'", guest->name);
    json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    if (!json)
        return err_set(err, -EIO, "guest '%s': config.json is no valid JSON", guest->name);
    r = vm_config_from_json(json, config, err);
    json_decref(json);
    return r < 0 ? err_wrap(err, r, "guest '%s': config.json", guest->name) : 0;
}

bool vm_state_is_final(enum vm_state state)
{
    return state == VM_STOPPED || state == VM_FAILED;
}

static enum vm_state state_parse(const char *name)
{
    for (unsigned s = VM_CREATED; s < VM_FAILED; s++)
        if (name && !strcmp(vm_state_name((enum vm_state)s), name))
            return (enum vm_state)s;
    return VM_FAILED;
}

static void record_from_json(const json_t *json, struct guest_record *ret)
{
    const char *reason = json_string_value(json_object_get(json, "reason"));
    const char *engine = json_string_value(json_object_get(json, "engine"));

    *ret = (struct guest_record){
        .state = state_parse(json_string_value(json_object_get(json, "state"))),
        .agent = json_is_true(json_object_get(json, "agent")),
        .exit_code = (unsigned)json_integer_value(json_object_get(json, "exit_code")),
        .created = (uint64_t)json_integer_value(json_object_get(json, "created")),
        .started = (uint64_t)json_integer_value(json_object_get(json, "started")),
        .ended = (uint64_t)json_integer_value(json_object_get(json, "ended")),
    };
    snprintf(ret->reason, sizeof(ret->reason), "%s", reason ? reason : "");
    snprintf(ret->engine, sizeof(ret->engine), "%s", engine ? engine : "");
    text_make_printable(ret->reason, sizeof(ret->reason));
    text_make_printable(ret->engine, sizeof(ret->engine));
}

/* Whoever holds the lock himself reads what is written. */
static void record_be_honest(const struct guest *guest, struct guest_record *record)
{
    if (!record->pid || guest_is_alive(guest) || vm_state_is_final(record->state))
        return;
    record->state = VM_FAILED;
    record->ended = record->ended ? record->ended : (uint64_t)time(NULL);
    snprintf(record->reason, sizeof(record->reason),
             "the guest's process (pid %d) ended without a word: killed, or the host went down",
             record->pid);
}

static pid_t guest_read_pid(const struct guest *guest)
{
    CLEANUP(free) char *text = NULL;
    long pid;

    if (file_read(guest->dir_fd, "pid", 32, &text, NULL, NULL) < 0)
        return 0;
    pid = strtol(text, NULL, 10);
    return pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

int guest_write_pid(const struct guest *guest, pid_t pid, struct err *err)
{
    char text[32];

    if (!pid) {
        (void)!unlinkat(guest->dir_fd, "pid", 0);
        return 0;
    }
    return file_write(guest->dir_fd, "pid", text, (size_t)snprintf(text, sizeof(text), "%d\n", pid),
                      0600, err);
}

int guest_read_record(const struct guest *guest, struct guest_record *ret, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    json_t *json;
    int r = file_read(guest->dir_fd, "state.json", RECORD_CAP, &text, NULL, err);

    if (r < 0)
        return err_wrap(err, r, "guest '%s'", guest->name);
    json = json_loads(text, 0, NULL);
    if (!json)
        return err_set(err, -EIO, "guest '%s': state.json is no valid JSON", guest->name);
    record_from_json(json, ret);
    json_decref(json);
    ret->pid = guest_read_pid(guest);
    record_be_honest(guest, ret);
    return 0;
}

int guest_write_record(const struct guest *guest, const struct guest_record *record,
                       struct err *err)
{
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:b, s:i, s:I, s:I, s:I}", "state", vm_state_name(record->state),
                  "reason", record->reason, "engine", record->engine, "agent", record->agent,
                  "exit_code", (int)record->exit_code, "created", (json_int_t)record->created,
                  "started", (json_int_t)record->started, "ended", (json_int_t)record->ended);

    return write_json(guest->dir_fd, "state.json", json, err);
}

bool guest_is_alive(const struct guest *guest)
{
    return file_is_locked(guest->lock_fd);
}

int guest_wait_gone(const struct guest *guest, unsigned timeout_ms)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    for (unsigned waited = 0; guest_is_alive(guest); waited += 5) {
        if (waited >= timeout_ms)
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
    }
    return 0;
}
