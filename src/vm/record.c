/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's files: config.json (as created), state.json (written by its process), pid (by its
 * keeper). Contract: vm/store.h. What its process wrote is hostile once the guest has broken out
 * of its machine: sizes are bounded, text is made printable, and a pid is not taken from it.
 */
#include "vm/store.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "host/file.h"
#include "vm/config.h"
#include "vm/store_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

enum { CONFIG_CAP = 1 << 20, RECORD_CAP = 1 << 16 };

static int write_json(int dir_fd, const char *name, json_t *json, struct err *err)
{
    CLEANUP(free) char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;

    json_decref(json);
    if (!text)
        return err_set(err, -ENOMEM, "%s: out of memory", name);
    return file_write(dir_fd, name, text, strlen(text), 0600, err);
}

int guest_write_config(const struct guest *guest, const struct vm_config *config, struct err *err)
{
    return write_json(guest->dir_fd, "config.json", vm_config_to_json(config), err);
}

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
    if (r < 0)
        return err_wrap(err, r, "guest '%s': config.json", guest->name);
    strcpy(config->name, guest->name); /* the directory's name counts (store_rename()) */
    return 0;
}

static bool uuid_is_sound(const char *text)
{
    return text && strlen(text) == 36 && strspn(text, "0123456789abcdef-") == 36;
}

void guest_read_uuid(struct guest *guest)
{
    CLEANUP(free) char *text = NULL;
    const char *uuid;
    json_t *json;

    if (file_read(guest->dir_fd, "config.json", CONFIG_CAP, &text, NULL, NULL) < 0)
        return;
    json = json_loads(text, 0, NULL);
    uuid = json_string_value(json_object_get(json, "uuid"));
    if (uuid_is_sound(uuid))
        strcpy(guest->uuid, uuid);
    json_decref(json);
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
        .by_request = json_is_true(json_object_get(json, "by_request")),
        .restarts = (unsigned)json_integer_value(json_object_get(json, "restarts")),
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

/* A guest without a process that its record says it has. */
static bool record_is_stale(const struct guest *guest, const struct guest_record *record)
{
    return !guest_is_alive(guest) && record->state != VM_CREATED &&
           !vm_state_is_final(record->state);
}

static void record_be_honest(struct guest_record *record)
{
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

int guest_read_own_record(const struct guest *guest, struct guest_record *ret, struct err *err)
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
    return 0;
}

int guest_read_record(const struct guest *guest, struct guest_record *ret, struct err *err)
{
    int r = guest_read_own_record(guest, ret, err);

    if (!r && record_is_stale(guest, ret))
        record_be_honest(ret);
    return r;
}

bool guest_bury(const struct guest *guest)
{
    struct guest_record record;

    if (guest_read_own_record(guest, &record, NULL) < 0 ||
        (!record.pid && !record_is_stale(guest, &record)))
        return false;
    if (record_is_stale(guest, &record))
        record_be_honest(&record);
    (void)!guest_write_record(guest, &record, NULL);
    (void)!guest_write_pid(guest, 0, NULL);
    return true;
}

int guest_write_record(const struct guest *guest, const struct guest_record *record,
                       struct err *err)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:b, s:b, s:i, s:i, s:I, s:I, s:I}", "state", vm_state_name(record->state),
        "reason", record->reason, "engine", record->engine, "agent", record->agent, "by_request",
        record->by_request, "restarts", (int)record->restarts, "exit_code", (int)record->exit_code,
        "created", (json_int_t)record->created, "started", (json_int_t)record->started, "ended",
        (json_int_t)record->ended);

    return write_json(guest->dir_fd, "state.json", json, err);
}

int guest_want_stopped(const struct guest *guest, bool stopped, struct err *err)
{
    if (stopped)
        return file_write(guest->dir_fd, "stopped", "", 0, 0600, err);
    if (unlinkat(guest->dir_fd, "stopped", 0) < 0 && errno != ENOENT)
        return err_set(err, -errno, "guest '%s': stopped: %s", guest->name, strerror(errno));
    return 0;
}

bool guest_is_wanted_stopped(const struct guest *guest)
{
    return !faccessat(guest->dir_fd, "stopped", F_OK, AT_SYMLINK_NOFOLLOW);
}

bool guest_is_alive(const struct guest *guest)
{
    return file_is_locked(guest->lock_fd);
}

int guest_wait_gone(const struct guest *guest, unsigned timeout_ms)
{
    struct timespec pause = {.tv_nsec = 250000};

    for (uint64_t waited = 0; guest_is_alive(guest); waited += (uint64_t)pause.tv_nsec) {
        if (waited >= timeout_ms * UINT64_C(1000000))
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 4000000)
            pause.tv_nsec += pause.tv_nsec / 2;
    }
    return 0;
}
