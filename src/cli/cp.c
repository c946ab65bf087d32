/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada cp: files and folders between this host and a guest. A tar stream (src/copy) goes through
 * a command of the guest's agent; a thread makes or reads it on this side, and the client of all
 * commands (cli/attach.h) moves it, by way of a pipe in the place of standard input or output.
 */
#include "base/cleanup.h"
#include "cli/attach.h"
#include "cli/exec.h"
#include "cli/guests.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "copy/copy.h"
#include "image/image.h"
#include "vm/client.h"
#include "vm/config.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_SECONDS = 60, SIGNALS_BASE = EXIT_SIGNAL_BASE };

struct cp {
    bool up;                /* to the guest */
    bool stream;            /* the host's side is "-": no thread */
    const char *host;       /* path here */
    char name[256];         /* of the guest */
    const char *path;       /* there */
    int link;               /* control connection */
    int pipe[2];            /* [0] is read; -1: closed */
    int saved;              /* what stood where the pipe stands now */
    struct copy_pack *pack; /* what goes up */
    struct copy_watch watch;
    pthread_t thread;
    int result; /* the thread's */
    struct err err;
    const struct image_progress *progress;
};

/* --- What to copy --- */
/* NAME:PATH, with a name that a guest could have; a path of the host holds a '/' before any ':'. */
static bool cp_is_guest(const char *text, struct cp *cp)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;

    if (!colon || len >= sizeof(cp->name))
        return false;
    memcpy(cp->name, text, len);
    cp->name[len] = '\0';
    cp->path = colon + 1;
    return vm_name_check(cp->name, NULL) == 0;
}

static int cp_operands(struct cp *cp, const struct cli_args *args, struct err *err)
{
    const char *from = args->operands[0], *to = args->operands[1];
    struct cp other = *cp;
    bool from_guest = cp_is_guest(from, &other), to_guest = cp_is_guest(to, cp);

    if (from_guest == to_guest)
        return err_set(err, -EINVAL,
                       "cp: %s of '%.80s' and '%.80s' is in a guest; write one as GUEST:PATH",
                       from_guest ? "each" : "neither", from, to);
    if (from_guest)
        *cp = other;
    cp->up = to_guest;
    cp->host = to_guest ? from : to;
    cp->stream = !strcmp(cp->host, "-");
    if (!*cp->path || !*cp->host)
        return err_set(err, -EINVAL, "cp: '%.80s': a path is missing",
                       !*cp->host ? ""
                       : cp->up   ? to
                                  : from);
    if (cp->up && !cp->stream && access(cp->host, R_OK) < 0)
        return err_set(err, -errno, "cp: %.300s: %s", cp->host, strerror(errno));
    return 0;
}

/* --- The thread --- */
static void cp_bytes(void *arg, uint64_t done, uint64_t total)
{
    const struct cp *cp = arg;

    if (cp->progress && total)
        cp->progress->amount(cp->progress->arg,
                             done < total ? (unsigned)(done * 100 / total) : 100);
}

static void cp_warn(void *arg, const char *text)
{
    cli_progress_end();
    fprintf(stderr, "posada: %s\n", text);
}

static mode_t cp_mask(void)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    return 0777 & ~mask; /* no set-user-ID from a guest */
}

static void *cp_work(void *arg)
{
    struct cp *cp = arg;
    const struct copy_unpack unpack = {
        .path = cp->host, .name = cp->path, .mask = cp_mask(), .watch = cp->watch};

    if (cp->up)
        cp->result = copy_pack_write(cp->pack, cp->pipe[1], false, &cp->err);
    else
        cp->result = copy_unpack(&unpack, cp->pipe[0], &cp->err);
    /* The other side of the pipe hears of the end; the number itself is main's to close. */
    (void)dup3(cp->saved, cp->pipe[cp->up ? 1 : 0], O_CLOEXEC);
    return NULL;
}

static int cp_failed(int code, struct err *err)
{
    return err_set(err, -code, "cp: %s", strerror(code));
}

/* Puts one end of a pipe where attach_run() looks, the thread at the other. */
static int cp_start(struct cp *cp, struct err *err)
{
    int place = cp->up ? STDIN_FILENO : STDOUT_FILENO, r;
    sigset_t all, old;

    if (cp->stream)
        return 0;
    cp->saved = fcntl(place, F_DUPFD_CLOEXEC, 3);
    if (cp->saved < 0)
        cp->saved = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (cp->saved < 0 || pipe2(cp->pipe, O_CLOEXEC) < 0 ||
        dup2(cp->pipe[cp->up ? 0 : 1], place) < 0)
        return cp_failed(errno, err);
    close(cp->pipe[cp->up ? 0 : 1]);
    cp->pipe[cp->up ? 0 : 1] = -1;
    if (isatty(STDERR_FILENO)) {
        cp->progress = cli_progress_start(cp->up ? cp->host : cp->path);
        cp->progress->step(cp->progress->arg, cp->up ? "to the guest" : "from the guest");
    }
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&cp->thread, NULL, cp_work, cp);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r ? cp_failed(r, err) : 0;
}

/* The stream is over: the thread sees its end, or that nobody reads any more. */
static void cp_finish(struct cp *cp)
{
    if (cp->stream)
        return;
    (void)dup2(cp->saved, cp->up ? STDIN_FILENO : STDOUT_FILENO);
    pthread_join(cp->thread, NULL);
    close(cp->pipe[cp->up ? 1 : 0]);
    close(cp->saved);
    cli_progress_end();
}

/* --- The guest's side --- */
static json_t *cp_request(const struct cp *cp)
{
    json_t *request = guests_request("exec"), *command;
    char base[256] = "";

    if (!cp->up)
        command = cp->stream ? json_pack("[s,s]", "pack", cp->path)
                             : json_pack("[s,s,s]", "pack", cp->path, "total");
    else if (cp->stream || copy_base_name(cp->host, base, sizeof(base)) < 0)
        command = json_pack("[s,s]", "unpack", cp->path);
    else
        command = json_pack("[s,s,s]", "unpack", cp->path, base);
    json_object_set_new(request, "own", json_true());
    json_object_set_new(request, "exec",
                        json_pack("{s:o, s:b}", "command", command, "open_stdin", cp->up));
    return request;
}

static int cp_connect(struct cp *cp, struct guest *guest, struct err *err)
{
    int r = guests_open(cp->name, guest, err);

    if (!r)
        r = exec_wait(guest, WAIT_SECONDS, err);
    if (!r)
        r = client_connect(guest, &cp->link, err);
    return r ? r : client_ask(cp->link, cp_request(cp), NULL, err);
}

/* What both sides say, as one exit code: the guest has said on stderr what it did not like. */
static int cp_exit_code(const struct cp *cp, const struct attach_result *result)
{
    if (result->end == ATTACH_EXITED && result->code && cp->up && cp->result < 0 &&
        cp->result != -EPIPE)
        (void)cli_fail(&cp->err); /* why the stream that the guest complains of ended */
    if (result->end == ATTACH_EXITED && result->code)
        return (int)result->code;
    if (!cp->stream && cp->result < 0 && cp->result != -EPIPE)
        return cli_fail(&cp->err);
    if (result->end == ATTACH_CANCELLED && result->code != SIGPIPE)
        return EXIT_CANCELLED;
    if (result->end != ATTACH_EXITED)
        return attach_exit_code(result) == EXIT_RUN_FAILED ? EXIT_FAILED : attach_exit_code(result);
    return !cp->stream && cp->result < 0 ? cli_fail(&cp->err) : EXIT_OK;
}

static int cp_run(const struct cli_args *args)
{
    struct cp cp = {.link = -1, .pipe = {-1, -1}, .saved = -1};
    struct guest guest = GUEST_NONE;
    struct attach_result result = {0};
    struct err err;
    int r = cp_operands(&cp, args, &err);
    struct attach attach;

    cp.watch = (struct copy_watch){.bytes = cp_bytes, .warn = cp_warn, .arg = &cp};
    if (!r && cp.up && !cp.stream && copy_pack_look(cp.host, &cp.watch, &cp.pack, &err) < 0)
        r = err_wrap(&err, err.code, "cp");
    if (!r)
        r = cp_connect(&cp, &guest, &err);
    signal(SIGPIPE, SIG_IGN);
    if (!r)
        r = cp_start(&cp, &err);
    if (!r) {
        attach = (struct attach){
            .fd = cp.link, .guest = guest.name, .command = true, .input = cp.up, .quiet = true};
        r = attach_run(&attach, &result, &err);
        cp_finish(&cp);
    }
    guest_close(&guest);
    copy_pack_free(cp.pack);
    if (cp.link >= 0)
        close(cp.link);
    return r < 0 ? cli_fail(&err) : cp_exit_code(&cp, &result);
}

const struct cli_verb cli_cp_verb = {
    .name = "cp",
    .operands = "SOURCE DESTINATION",
    .summary = "Copy files and folders into or out of a running guest",
    .details =
        "One of the two is GUEST:PATH. A folder is copied with all in it. When DESTINATION is a\n"
        "folder that is there, the copy is put into it; else the copy gets its name. Files are\n"
        "whole or not there: they get their names when the last byte is written. '-' is a tar\n"
        "stream: posada cp GUEST:/etc - | tar t; tar c . | posada cp - GUEST:/srv",
    .min = 2,
    .max = 2,
    .run = cp_run,
};
