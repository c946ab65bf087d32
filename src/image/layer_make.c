/* SPDX-License-Identifier: Apache-2.0 */
/* Layers into a root: the process that does it, and what comes of it. Contract: image/layer.h. */
#include "image/layer.h"

#include "base/cleanup.h"
#include "host/process.h"
#include "host/sandbox_helper.h"
#include "image/erofs.h"
#include "image/tree.h"
#include "image/tree_dir.h"
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* What is left free for others, and what no image needs. */
#define ROOM_LEFT ((uint64_t)256 << 20)
#define ROOM_MAX  ((uint64_t)1 << 40)
enum { MAKE_MEMORY_MAX = 3 }; /* GiB of address space */

/* From the process: how far it is, or how it ended. Written whole: shorter than PIPE_BUF. */
struct make_word {
    int32_t ended;
    uint32_t percent;
    struct err err;
};

struct make {
    const struct layer *layers;
    unsigned count;
    enum layer_whiteouts whiteouts;
    int out_fd, pipe;
    const struct image_progress *progress; /* in this process */
    uint64_t total, before;
    uint32_t percent;
};

static void make_say(struct make *m, const struct make_word *word)
{
    if (m->pipe >= 0)
        (void)!write(m->pipe, word, sizeof(*word));
    else if (m->progress && m->progress->amount)
        m->progress->amount(m->progress->arg, word->percent);
}

static void make_amount(void *arg, uint64_t bytes)
{
    struct make *m = arg;
    struct make_word word = {.ended = 0};

    word.percent = m->total ? (uint32_t)((m->before + bytes) * 100 / m->total) : 0;
    if (word.percent == m->percent || word.percent > 100)
        return;
    m->percent = word.percent;
    make_say(m, &word);
}

static int make_lay(struct make *m, struct tree *t, struct err *err)
{
    int r = 0;

    for (unsigned i = 0; i < m->count; i++)
        m->total += m->layers[i].size;
    for (unsigned i = 0; r == 0 && i < m->count; i++) {
        r = layer_lay(t, &m->layers[i], m->whiteouts, make_amount, m, err);
        m->before += m->layers[i].size;
        if (r < 0)
            return err_wrap(err, r, "layer %u of %u", i + 1, m->count);
    }
    return r;
}

static uint64_t make_room(int fd)
{
    struct statvfs fs;
    uint64_t room = ROOM_MAX;

    if (fstatvfs(fd, &fs) == 0)
        room = (uint64_t)fs.f_bavail * fs.f_frsize;
    room = room > ROOM_LEFT ? room - ROOM_LEFT : room / 2;
    return (room < ROOM_MAX ? room : ROOM_MAX) / TREE_BLOCK;
}

static int make_erofs(struct make *m, uint64_t room, struct err *err)
{
    struct tree t;
    uint64_t size;
    int r = tree_init(&t, m->out_fd, room);

    if (r < 0) {
        tree_done(&t);
        return err_set(err, r, "out of memory");
    }
    r = make_lay(m, &t, err);
    if (r == 0)
        r = erofs_write(&t, &size, err);
    tree_done(&t);
    return r;
}

static noreturn_fn void make_process(struct make *m, pid_t parent)
{
    const struct sandbox_helper box = {
        .name = "image helper", .uuid = "1a9e", .writes_files = true};
    const struct rlimit memory = {(rlim_t)MAKE_MEMORY_MAX << 30, (rlim_t)MAKE_MEMORY_MAX << 30};
    struct sandbox_missing missing; /* told by doctor, and by each guest */
    struct make_word word = {.ended = 1};
    uint64_t room = make_room(m->out_fd);
    int r;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* names are bytes; libarchive must not change them */
    (void)setrlimit(RLIMIT_AS, &memory);
    r = sandbox_enter_helper(&box, &missing, &word.err);
    if (r == 0)
        r = make_erofs(m, room, &word.err);
    word.err.code = r;
    make_say(m, &word);
    _exit(0);
}

/* Until the process has said its last. */
static int make_listen(int fd, const struct image_progress *progress, struct err *err)
{
    struct make_word word;
    ssize_t n;

    while ((n = read(fd, &word, sizeof(word))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n != sizeof(word))
            break;
        if (!word.ended && progress && progress->amount)
            progress->amount(progress->arg, word.percent <= 100 ? word.percent : 100);
        if (!word.ended)
            continue;
        word.err.text[sizeof(word.err.text) - 1] = '\0';
        return word.err.code
                   ? err_set(err, word.err.code < 0 ? word.err.code : -EIO, "%s", word.err.text)
                   : 0;
    }
    return err_set(err, -EIO, "the process that reads its layers died");
}

int layer_make_erofs(const struct layer *layers, unsigned count, enum layer_whiteouts whiteouts,
                     int out_fd, const struct image_progress *progress, struct err *err)
{
    struct make m = {.layers = layers,
                     .count = count,
                     .whiteouts = whiteouts,
                     .out_fd = out_fd,
                     .percent = UINT32_MAX};
    pid_t parent = getpid(), pid;
    int p[2], status, r;

    if (pipe2(p, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %s", strerror(errno));
    m.pipe = p[1];
    pid = fork();
    if (pid == 0)
        make_process(&m, parent);
    (void)close(p[1]);
    if (pid < 0) {
        r = err_set(err, -errno, "cannot start a process: %s", strerror(errno));
    } else {
        r = make_listen(p[0], progress, err);
        (void)!process_wait(pid, &status);
    }
    (void)close(p[0]);
    return r;
}

/* --- a directory --- */

/* Contents wait in a file without a name beside the directory. */
int layer_make_dir(const struct layer *layers, unsigned count, int dir_fd,
                   const struct image_progress *progress, struct err *err)
{
    CLEANUP(fd) int data = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    struct make m = {.layers = layers,
                     .count = count,
                     .pipe = -1,
                     .out_fd = data,
                     .progress = progress,
                     .percent = UINT32_MAX};
    struct tree t;
    int r;

    if (data < 0)
        return err_set(err, -errno, "cannot make a temporary file: %s", strerror(errno));
    r = tree_init(&t, data, make_room(data));
    if (r < 0)
        (void)err_set(err, r, "out of memory");
    if (r == 0)
        r = make_lay(&m, &t, err);
    if (r == 0)
        r = tree_write_dir(&t, dir_fd, NULL, err);
    tree_done(&t);
    return r;
}
