/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada doctor: what this host can do for guests, found by trying, with what to do about the
 * rest. Exits 0 when guests can run at all.
 */
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/dirs.h"
#include "host/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/engine.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { KVM_GET_API_VERSION = 0xae00, DISK_WANTED_MIB = 1024, MEMORY_WANTED_MIB = 512 };

static const struct cli_option doctor_options[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};

static const struct cli_column doctor_columns[] = {
    {"CHECK", "check"}, {"RESULT", "result"}, {"DETAIL", "detail"}, {NULL, NULL}};

enum verdict { FINE, MISSING, BAD };

static void doctor_note(json_t *rows, enum verdict verdict, const char *check, const char *detail)
{
    static const char *const names[] = {"ok", "missing", "bad"};

    json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "check", check, "result",
                                          names[verdict], "detail", detail));
}

/* Techniques, each by its engines' own probes. True when one can run guests. */
static bool doctor_engines(json_t *rows)
{
    bool any = false;

    for (const struct engine_ops *const *ops = engine_registry; *ops; ops++) {
        struct err err = {0};
        int r = (*ops)->probe(&err);
        char check[64];

        snprintf(check, sizeof(check), "%s by engine %s", (*ops)->technique, (*ops)->name);
        doctor_note(rows, r ? MISSING : FINE, check, r ? err.text : "");
        any = any || !r;
    }
    return any;
}

/* Told, not used: no engine of this version needs it. */
static void doctor_kvm(json_t *rows)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    char detail[120];

    if (fd < 0)
        snprintf(detail, sizeof(detail), "/dev/kvm: %s (nothing in this version needs it)",
                 strerror(errno));
    else
        snprintf(detail, sizeof(detail), "/dev/kvm answers with version %d (not used yet)",
                 ioctl(fd, KVM_GET_API_VERSION, 0));
    doctor_note(rows, fd < 0 ? MISSING : FINE, "processor virtualization", detail);
    if (fd >= 0)
        close(fd);
}

static void doctor_sandbox(json_t *rows)
{
    struct sandbox_part parts[8];
    unsigned n = sandbox_parts(parts, ARRAY_LEN(parts));

    for (unsigned i = 0; i < n; i++) {
        char check[64];

        snprintf(check, sizeof(check), "sandbox: %s", parts[i].name);
        doctor_note(rows, parts[i].available ? FINE : MISSING, check, parts[i].detail);
    }
}

static bool doctor_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[512];

    for (path = path ? path : "/usr/bin:/bin"; *path;) {
        size_t len = strcspn(path, ":");

        snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, program);
        if (!access(file, X_OK))
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

static void doctor_tools(json_t *rows)
{
    static const struct {
        const char *program, *use;
    } tools[] = {{"apt-get", "building images (package apt)"},
                 {"apt-cache", "building images (package apt)"}};

    for (unsigned i = 0; i < ARRAY_LEN(tools); i++) {
        char check[64], detail[120];
        bool there = doctor_in_path(tools[i].program);

        snprintf(check, sizeof(check), "program %s", tools[i].program);
        snprintf(detail, sizeof(detail), "%s%s", there ? "" : "install it for ", tools[i].use);
        doctor_note(rows, there ? FINE : MISSING, check, detail);
    }
}

/* False: nothing can be kept there. */
static bool doctor_directory(json_t *rows, enum dirs_kind kind, const char *check, unsigned wanted)
{
    char *path = NULL, detail[600];
    struct statvfs fs = {0};
    struct err err;
    uint64_t mib;
    bool fine;

    if (dirs_get(kind, &path, &err) < 0) {
        doctor_note(rows, BAD, check, err.text);
        return false;
    }
    fine = !statvfs(path, &fs) && !access(path, W_OK);
    mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
    snprintf(detail, sizeof(detail), "%s: %llu MiB free%s", path, (unsigned long long)mib,
             !fine          ? ", cannot write there"
             : mib < wanted ? ", images may not fit"
                            : "");
    doctor_note(rows, !fine ? BAD : mib < wanted ? MISSING : FINE, check, detail);
    free(path);
    return fine;
}

static void doctor_memory(json_t *rows)
{
    struct sysinfo info;
    char detail[80];
    uint64_t mib;

    sysinfo(&info);
    mib = (uint64_t)(info.freeram + info.bufferram) * info.mem_unit >> 20;
    snprintf(detail, sizeof(detail), "%llu MiB free, %d processors", (unsigned long long)mib,
             get_nprocs());
    doctor_note(rows, mib < MEMORY_WANTED_MIB ? MISSING : FINE, "memory", detail);
}

static int doctor_run(const struct cli_args *args)
{
    struct err err;
    json_t *rows;
    bool fine;

    if (cli_listing_check(args, &err) < 0)
        return cli_fail(&err);
    rows = json_array();
    fine = doctor_engines(rows);
    doctor_kvm(rows);
    doctor_sandbox(rows);
    fine &= doctor_directory(rows, DIRS_DATA, "data directory", DISK_WANTED_MIB);
    fine &= doctor_directory(rows, DIRS_CACHE, "cache directory", DISK_WANTED_MIB);
    fine &= doctor_directory(rows, DIRS_RUN, "run directory", 1);
    doctor_tools(rows);
    doctor_memory(rows);
    cli_print_listing(args, rows, doctor_columns);
    json_decref(rows);
    return fine ? EXIT_OK : EXIT_FAILED;
}

const struct cli_verb cli_doctor_verb = {
    .name = "doctor",
    .summary = "Find out what this host can do for guests",
    .options = doctor_options,
    .run = doctor_run,
};
