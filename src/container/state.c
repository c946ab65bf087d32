/* SPDX-License-Identifier: Apache-2.0 */
/* What the runtime remembers of a container. Contract: container/state.h. */
#include "container/state.h"

#include "base/cleanup.h"
#include "container/json.h"
#include "container/out.h"
#include "container/path.h"
#include "host/dirs.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

enum {
    STATE_CAP = 65 << 20,
    STATE_NEWBORN_S = 2,
    STATE_CLAIM_MS = 1000,
    STATE_FOLDER_MS = 50,
    STATE_ID = 240
};

struct state_path {
    char text[STATE_ID + 16];
};

#define STATE_FILE "status" /* in a folder */
/* The record's line begins and ends so, the configuration follows, then what closes the object. */
#define STATE_BEGIN  "{\"pid\":"
#define STATE_CONFIG ",\"config\":"
#define STATE_CLOSE  "\n}\n"

const char *const state_status_names[] = {
    [STATE_CREATING] = "creating", [STATE_CREATED] = "created", [STATE_RUNNING] = "running",
    [STATE_PAUSED] = "paused",     [STATE_STOPPED] = "stopped",
};

const char *state_default_root(struct arena *arena, struct err *err)
{
    CLEANUP(free) char *dir = NULL;
    const char *copy;

    if (dirs_get_sub(DIRS_RUN, "oci", &dir, err) < 0)
        return NULL;
    copy = arena_text(arena, "%s", dir);
    if (!copy)
        err_set(err, -ENOMEM, "no memory");
    return copy;
}

int state_open_root(const char *root, bool make, int *ret_fd, struct err *err)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0 && errno == ENOENT && make) {
        r = file_make_dirs(root, 0700, err);
        if (r < 0)
            return r;
        fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return err_set(err, -errno, "state directory %s: %s", root, strerror(errno));
    *ret_fd = fd;
    return 0;
}

int state_check_id(const char *id, struct err *err)
{
    size_t good;

    if (path_is_plain_name(id) && strlen(id) <= STATE_ID)
        return 0;
    good = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-+");
    if (id[good] > ' ' && id[good] < 0x7f)
        return err_set(err, -EINVAL,
                       "container id '%.80s': invalid character `%c` in the ID; letters, digits "
                       "and _ . - + are allowed",
                       id, id[good]);
    return err_set(err, -EINVAL,
                   "container id '%.80s': letters, digits and _ . - + are allowed, up to 240", id);
}

struct state_name state_name(const struct state_place *at, const char *what)
{
    struct state_name name;
    struct stat st = {0};

    (void)!fstat(at->file, &st);
    snprintf(name.text, sizeof(name.text), ":%" PRIx64 ".%s", (uint64_t)st.st_ino, what);
    return name;
}

void state_close(struct state_place *at)
{
    if (at->file >= 0)
        close(at->file);
    if (at->root >= 0)
        close(at->root);
    *at = STATE_NOWHERE;
}

int state_lock(const struct state_place *at, unsigned wait_ms)
{
    struct stat st;
    int r;

    for (unsigned ms = 0;; ms++) {
        r = file_lock(at->file);
        if (r != -EAGAIN || ms >= wait_ms)
            break;
        (void)poll(NULL, 0, 1);
    }
    if (!r && (fstat(at->file, &st) < 0 || !st.st_nlink))
        return -ENOENT;
    return r;
}

void state_unlock(const struct state_place *at)
{
    file_unlock(at->file);
}

static struct state_path state_path(const char *id, const char *what)
{
    struct state_path path;

    snprintf(path.text, sizeof(path.text), "%s/%s", id, what);
    return path;
}

/* -ENOENT: between its making and our lock somebody has deleted it. */
static int state_make(struct state_place *at, const char *id, bool folder)
{
    const char *name = id;
    struct state_path path = state_path(id, STATE_FILE);
    int r;

    if (folder) {
        if (mkdirat(at->root, id, 0700) < 0)
            return -errno;
        name = path.text;
    }
    at->file = openat(at->root, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    r = at->file < 0 ? -errno : state_lock(at, STATE_CLAIM_MS);
    if (at->file < 0 && folder)
        (void)unlinkat(at->root, id, AT_REMOVEDIR);
    if (!r) /* of an inode that somebody removed by hand: it would say that our process waits */
        (void)unlinkat(at->root, state_name(at, STATE_START).text, 0);
    return r;
}

int state_claim(const char *root, const char *id, bool folder, struct state_place *ret,
                struct err *err)
{
    struct state_place at = STATE_NOWHERE;
    int r = state_check_id(id, err);

    if (!r)
        r = state_open_root(root, true, &at.root, err);
    if (r < 0)
        return r;
    r = state_make(&at, id, folder);
    if (!r) {
        *ret = at;
        return 0;
    }
    state_close(&at);
    return r == -EEXIST ? err_set(err, r, "container '%s' already exists; delete it first", id)
                        : err_set(err, r, "container '%s': state file: %s", id, strerror(-r));
}

static int state_open_file(int root, const char *id)
{
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    struct state_path path = state_path(id, STATE_FILE);
    int fd = openat(root, id, flags);

    /* A folder's file comes a moment after it. */
    for (unsigned ms = 0; fd < 0 && errno == EISDIR; ms++) {
        fd = openat(root, path.text, flags);
        if (fd >= 0 || errno != ENOENT || ms == STATE_FOLDER_MS)
            break;
        (void)poll(NULL, 0, 1);
        fd = openat(root, id, flags);
    }
    return fd < 0 ? -errno : fd;
}

int state_open(const char *root, const char *id, struct state_place *ret, struct err *err)
{
    struct state_place at = STATE_NOWHERE;
    int r = state_check_id(id, err);

    if (r < 0)
        return r;
    r = state_open_root(root, false, &at.root, err);
    if (!r) {
        at.file = state_open_file(at.root, id);
        r = at.file < 0 ? at.file : 0;
    }
    if (!r) {
        *ret = at;
        return 0;
    }
    if (r == -ENOENT)
        r = err_set(err, r, "container '%s' does not exist", id);
    else if (at.root >= 0)
        r = err_set(err, r, "container '%s': state file: %s", id, strerror(-r));
    state_close(&at);
    return r;
}

void state_sweep(const char *root, const char *id)
{
    CLEANUP(fd) int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        (void)unlinkat(fd, id, AT_REMOVEDIR);
}

/* Fixed width: what state_update() overwrites. Spaces are nothing in JSON. */
static int state_numbers(const struct state *s, char *buf, size_t size)
{
    return snprintf(buf, size,
                    STATE_BEGIN "%10d,\"startTime\":%20" PRIu64
                                ",\"cgroupMade\":%4u,\"scopeMade\":%d",
                    s->pid, s->start_time, s->cgroup_made % 1000, s->scope_made);
}

static void state_write(struct out *o, const struct state *s)
{
    char numbers[100];

    (void)state_numbers(s, numbers, sizeof(numbers));
    out_raw(o, numbers);
    o->comma = true;
    out_text(o, "id", s->id);
    out_text(o, "bundle", s->bundle);
    out_text(o, "rootfs", s->rootfs);
    out_text(o, "created", s->created);
    out_text(o, "owner", s->owner);
    out_u64(o, "ownerUid", s->owner_uid);
    out_text(o, "cgroup", s->cgroup);
    out_text(o, "scope", s->scope);
    out_bool(o, "ownPids", s->own_pids);
    out_bool(o, "systemd", s->systemd);
    out_bool(o, "detached", s->detached);
    out_text(o, "annotations", s->annotations);
    out_text(o, "external_descriptors", s->descriptors);
    out_raw(o, STATE_CONFIG "\n");
}

/* No fsync: /run does not outlive a crash of the host anyway. */
int state_save(const struct state_place *at, const struct state *state, const char *config,
               size_t len, struct err *err)
{
    struct out o = {0};
    int r;

    state_write(&o, state);
    if (!o.failed && buf_append(&o.buf, config, len) < 0)
        o.failed = true;
    out_raw(&o, STATE_CLOSE);
    r = o.failed ? -ENOMEM : file_write_all(at->file, buf_data(&o.buf), o.buf.len);
    out_done(&o);
    return r < 0 ? err_set(err, r, "container '%s': state: %s", state->id, strerror(-r)) : 0;
}

int state_update(const struct state_place *at, const struct state *state, struct err *err)
{
    char numbers[100];
    int n = state_numbers(state, numbers, sizeof(numbers));

    if (pwrite(at->file, numbers, (size_t)n, 0) != n)
        return err_set(err, -errno, "container '%s': state: %s", state->id, strerror(errno));
    return 0;
}

/* The whole file in the arena, and the length of its record without what leads to the
 * configuration. */
static int state_read(struct arena *arena, const struct state_place *at, const char *id,
                      char **ret_text, size_t *ret_len, size_t *ret_line, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    char *copy, *end;
    size_t len;
    int r = file_read_fd(at->file, STATE_CAP, &text, &len);

    if (r < 0)
        return err_set(err, r, "container '%s': state: %s", id, strerror(-r));
    if (strncmp(text, STATE_BEGIN, len < strlen(STATE_BEGIN) ? len : strlen(STATE_BEGIN)) != 0)
        return err_set(err, -EBADMSG, "container '%s': state: the file is none of a container", id);
    end = strstr(text, STATE_CONFIG "\n");
    if (!end) /* its creator is at the very beginning, or died there */
        return -ENOENT;
    if (len < strlen(STATE_CLOSE) + (size_t)(end - text) + strlen(STATE_CONFIG "\n"))
        return err_set(err, -EBADMSG, "container '%s': state: is cut off", id);
    copy = arena_copy(arena, text, len);
    if (!copy)
        return err_set(err, -ENOMEM, "container '%s': state: no memory", id);
    *ret_line = (size_t)(end - text);
    *ret_len = len;
    *ret_text = copy;
    return 0;
}

int state_config(struct arena *arena, const struct state_place *at, const char *id, char **ret_text,
                 size_t *ret_len, struct err *err)
{
    size_t len = 0, line = 0;
    char *text = NULL;
    int r = state_read(arena, at, id, &text, &len, &line, err);

    if (r == -ENOENT)
        return err_set(err, r, "container '%s' was never finished", id);
    if (r < 0)
        return r;
    line += strlen(STATE_CONFIG "\n");
    len -= strlen(STATE_CLOSE);
    text[len] = '\0';
    *ret_text = text + line;
    *ret_len = len - line;
    return 0;
}

static void state_parse(struct json_reader *r, const struct json *at, struct state *s)
{
    s->pid = (pid_t)json_take_int(r, at, "pid", 0, INT32_MAX, 0);
    s->start_time = json_take_u64(r, at, "startTime", 0);
    s->bundle = json_take_text(r, at, "bundle");
    s->rootfs = json_take_text(r, at, "rootfs");
    s->created = json_take_text(r, at, "created");
    s->owner = json_take_text(r, at, "owner");
    s->owner_uid = (uint32_t)json_take_int(r, at, "ownerUid", 0, UINT32_MAX, 0);
    s->cgroup = json_take_text(r, at, "cgroup");
    s->cgroup_made = (unsigned)json_take_int(r, at, "cgroupMade", 0, 999, 0);
    s->scope_made = json_take_int(r, at, "scopeMade", 0, 1, 0);
    s->scope = json_take_text(r, at, "scope");
    s->own_pids = json_take_bool(r, at, "ownPids", false);
    s->systemd = json_take_bool(r, at, "systemd", false);
    s->detached = json_take_bool(r, at, "detached", false);
    s->annotations = json_take_text(r, at, "annotations");
    s->descriptors = json_take_text(r, at, "external_descriptors");
    if (s->cgroup && path_climbs(s->cgroup))
        (void)json_refuse(r, at, "the cgroup's path climbs");
}

int state_load(struct arena *arena, const struct state_place *at, const char *id,
               struct state *ret_state, struct err *err)
{
    struct json_reader r = {.arena = arena, .what = "state", .err = err};
    struct state s = {.id = id};
    struct json *top;
    size_t len = 0, line = 0;
    char *text = NULL;
    int code = state_read(arena, at, id, &text, &len, &line, err);

    if (code == -ENOENT) {
        *ret_state = s;
        return 0;
    }
    if (code < 0)
        return code;
    text[line++] = '}';
    text[line] = '\0';
    code = json_parse(arena, r.what, text, line, &top, err);
    if (code < 0)
        return err_wrap(err, code, "container '%s'", id);
    state_parse(&r, top, &s);
    if (r.code)
        return err_wrap(err, r.code, "container '%s'", id);
    *ret_state = s;
    return 0;
}

uint64_t state_start_time(pid_t pid)
{
    char path[32], text[1024], *at;
    unsigned long long start = 0;
    CLEANUP(fd) int fd = -1;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    at = strrchr(text, ')'); /* the name may hold anything, a ')' too */
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    /* proc(5): starttime is field 22; what follows the name is field 3. */
    if (sscanf(at + 2,
               "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &start) != 1)
        return 0;
    return start;
}

static bool state_alive(const struct state *state)
{
    return state->pid > 0 && state->start_time && state_start_time(state->pid) == state->start_time;
}

/* Made, and for a moment not locked yet: an empty file of the last seconds. */
static bool state_is_newborn(int fd)
{
    struct timespec now;
    struct stat st;

    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return fstat(fd, &st) == 0 && !st.st_size && now.tv_sec - st.st_mtim.tv_sec <= STATE_NEWBORN_S;
}

enum state_status state_look(const struct state_place *at, const struct state *state)
{
    if (state_alive(state)) {
        if (faccessat(at->root, state_name(at, STATE_START).text, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            return STATE_CREATED;
        return STATE_RUNNING;
    }
    /* Only looked at: taking the lock would be in the creator's way. */
    return file_is_locked(at->file) || state_is_newborn(at->file) ? STATE_CREATING : STATE_STOPPED;
}

int state_pidfd(const struct state *state)
{
    int fd;

    if (state->pid <= 0)
        return -ESRCH;
    fd = (int)syscall(SYS_pidfd_open, state->pid, 0);
    if (fd < 0)
        return -errno;
    if (!state_alive(state)) { /* looked at after the open: the descriptor cannot be recycled */
        close(fd);
        return -ESRCH;
    }
    return fd;
}

/* An earlier version had in there too what is now named by the inode. */
static void state_remove_folder(int root, const char *id)
{
    (void)unlinkat(root, state_path(id, "start.sock").text, 0);
    (void)!file_remove_tree(root, state_path(id, STATE_NOTIFY).text, NULL);
    if (unlinkat(root, state_path(id, STATE_FILE).text, 0) == 0)
        (void)unlinkat(root, id, AT_REMOVEDIR);
}

void state_remove(const struct state_place *at, const char *id)
{
    (void)unlinkat(at->root, state_name(at, STATE_START).text, 0);
    (void)!file_remove_tree(at->root, state_name(at, STATE_NOTIFY).text, NULL);
    if (unlinkat(at->root, id, 0) < 0 && errno == EISDIR)
        state_remove_folder(at->root, id);
}
