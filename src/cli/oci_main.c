/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada-oci: an OCI runtime as podman's conmon and containerd's shim call it. A small static
 * program of its own: `posada` links libraries whose loading alone would take longer than a
 * container (docs/adr/0005-container.md). `posada oci` executes it.
 */
#include "base/cleanup.h"
#include "cli/oci.h"
#include "container/cgroup.h"
#include "container/out.h"
#include "container/self.h"
#include "host/file.h"
#include "host/process.h"
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { OCI_READ = 64 << 20 };
enum oci_level { OCI_ERRORS, OCI_WARNINGS, OCI_ALL };

static const struct cli_verb *const oci_verbs[] = {
    &oci_checkpoint_verb, &oci_create_verb,  &oci_delete_verb,
    &oci_events_verb,     &oci_exec_verb,    &oci_features_verb,
    &oci_kill_verb,       &oci_list_verb,    &oci_pause_verb,
    &oci_ps_verb,         &oci_restore_verb, &oci_resume_verb,
    &oci_run_verb,        &oci_spec_verb,    &oci_start_verb,
    &oci_state_verb,      &oci_update_verb,  NULL,
};

static const struct cli_option oci_globals[] = {
    {"root", 0, "DIR", "where the state of containers is kept"},
    {"log", 0, "FILE", "also tell errors there: [file:]PATH, syslog:NAME or journald:NAME"},
    {"log-only", 0, NULL, "tell errors there alone: standard error is the container's"},
    {"log-format", 0, "FORMAT", "text or json"},
    {"log-level", 0, "LEVEL", "error, warning or debug"},
    {"debug", 0, NULL, "accepted for other runtimes' sake"},
    {"systemd-cgroup", 0, NULL, "the same as --cgroup-manager systemd"},
    {"cgroup-manager", 0, "MANAGER", "cgroupfs, systemd or disabled"},
    {"rootless", 0, "VALUE", "accepted for other runtimes' sake: found out by itself"},
    {"criu", 0, "PATH", "the criu program"},
    {"version", 'v', NULL, "show the version"},
    CLI_OPTIONS_END,
};

/* The house's help and did-you-mean know verbs by this table. */
static const struct cli_verb oci_verb = {
    .name = "oci", .summary = "OCI runtime", .verbs = oci_verbs};
const struct cli_verb *const cli_verbs[] = {&oci_verb, NULL};

static const struct cli_verb oci_globals_verb = {
    .name = "oci",
    .operands = "COMMAND [OPTIONS]",
    .options = oci_globals,
    .max = CLI_ANY_NUMBER,
    .command = true,
};

static struct {
    struct arena arena;
    struct container_runtime runtime;
    struct cgroup groups;
    const char *log_path, *syslog_name;
    bool json, log_only;
    enum oci_level level;
} oci;

const struct container_runtime *oci_runtime(void)
{
    return &oci.runtime;
}

static const char *oci_time(char *buf, size_t size)
{
    time_t now = time(NULL);
    struct tm utc;

    (void)strftime(buf, size, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    return buf;
}

static void oci_log_file(const char *level, const char *text)
{
    CLEANUP(fd) int fd = open(oci.log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct out o = {0};
    char when[32];

    if (oci.json) {
        out_begin(&o, NULL, '{');
        out_text(&o, "msg", text);
        out_text(&o, "level", level);
        out_text(&o, "time", oci_time(when, sizeof(when)));
        out_end(&o, '}');
    } else {
        out_raw(&o, oci_time(when, sizeof(when)));
        out_raw(&o, " ");
        out_raw(&o, level);
        out_raw(&o, ": ");
        out_raw(&o, text);
    }
    out_raw(&o, "\n");
    if (fd >= 0 && !o.failed)
        (void)!file_write_all(fd, buf_data(&o.buf), o.buf.len);
    out_done(&o);
}

static void oci_log(const char *level, const char *text)
{
    if (oci.log_path)
        oci_log_file(level, text);
    if (oci.syslog_name) {
        openlog(oci.syslog_name, 0, LOG_USER);
        syslog(LOG_ERR, "%s", text);
    }
}

int oci_fail(const struct err *err)
{
    oci_log("error", err->text);
    if (!oci.log_only)
        fprintf(stderr, "posada-oci: %s\n", err->text);
    return EXIT_FAILED;
}

int oci_end(int code, const struct err *err)
{
    return code < 0 ? oci_fail(err) : EXIT_OK;
}

/* Unknown fields: in the log when there is one, else to people who want to hear it. */
static void oci_note(void *arg, const char *text)
{
    if (oci.level < OCI_WARNINGS)
        return;
    oci_log("warning", text);
    if (!oci.log_path && !oci.syslog_name)
        fprintf(stderr, "posada-oci: warning: %s\n", text);
}

/* Of the caller's own choice: links, pipes, /dev/fd/N. */
int oci_read(const char *path, char **ret_text, size_t *ret_len, struct err *err)
{
    CLEANUP(free) char *text = NULL;
    CLEANUP(file) FILE *in = strcmp(path, "-") ? fopen(path, "re") : fdopen(dup(0), "r");
    size_t room = 0;
    ssize_t n = in ? getdelim(&text, &room, '\0', in) : -1; /* JSON has no NUL */

    if (!in || ferror(in))
        return err_set(err, -errno, "%s: cannot read: %s", path, strerror(errno));
    if (n > OCI_READ)
        return err_set(err, -EFBIG, "%s: cannot read: longer than 64 MiB", path);
    *ret_len = n < 0 ? 0 : (size_t)n;
    *ret_text = arena_copy(&oci.arena, text ? text : "", *ret_len);
    return *ret_text ? 0 : err_set(err, -ENOMEM, "%s: no memory", path);
}

int oci_names(const struct cli_args *args, const char ***ret_ids, struct err *err)
{
    const char **all, **found = arena_get(&oci.arena, 2, sizeof(*found));
    unsigned n = 0;
    regex_t pattern;
    int r;

    if (!found)
        return err_set(err, -ENOMEM, "no memory");
    found[0] = args->operands[0];
    *ret_ids = found;
    if (!cli_has(args, "regex"))
        return 0;
    if (regcomp(&pattern, args->operands[0], REG_EXTENDED | REG_NOSUB))
        return err_set(err, -EINVAL, "'%s' is no regular expression", args->operands[0]);
    r = container_list(&oci.runtime, &all, err);
    for (const char **a = all; !r && *a; a++)
        if (regexec(&pattern, *a, 0, NULL, 0) == 0)
            all[n++] = *a;
    regfree(&pattern);
    if (!r) {
        all[n] = NULL;
        *ret_ids = all;
    }
    return r;
}

static int oci_set_log(const char *where, struct err *err)
{
    const char *colon = where ? strchr(where, ':') : NULL;

    if (!where)
        return 0;
    if (!colon || *where == '/') {
        oci.log_path = where;
    } else if (!strncmp(where, "file:", 5)) {
        oci.log_path = colon + 1;
    } else if (!strncmp(where, "syslog:", 7) || !strncmp(where, "journald:", 9)) {
        oci.syslog_name = colon + 1; /* the journal reads syslog's socket */
    } else {
        return err_set(err, -EINVAL, "--log %s: expected [file:]PATH, syslog:NAME or journald:NAME",
                       where);
    }
    return 0;
}

static int oci_set_level(const struct cli_args *args, struct err *err)
{
    const char *level = cli_value(args, "log-level"), *format = cli_value(args, "log-format");

    oci.level = OCI_WARNINGS;
    if (level && !strcmp(level, "error"))
        oci.level = OCI_ERRORS;
    else if (level && (!strcmp(level, "debug") || !strcmp(level, "info")))
        oci.level = OCI_ALL;
    else if (level && strcmp(level, "warning") && strcmp(level, "warn"))
        return err_set(err, -EINVAL, "--log-level %s: expected error, warning or debug", level);
    if (format && strcmp(format, "text") && strcmp(format, "json"))
        return err_set(err, -EINVAL, "--log-format %s: expected text or json", format);
    oci.json = format && !strcmp(format, "json");
    oci.log_only = cli_has(args, "log-only") && cli_has(args, "log");
    return 0;
}

static int oci_set_globals(const struct cli_args *args, struct err *err)
{
    const char *manager = cli_value(args, "cgroup-manager"), *root = cli_value(args, "root");
    int r = oci_set_level(args, err);

    if (!r)
        r = oci_set_log(cli_value(args, "log"), err);
    if (r < 0)
        return r;
    oci.runtime.arena = &oci.arena;
    oci.runtime.groups = &oci.groups;
    oci.runtime.note = oci_note;
    oci.runtime.criu = cli_value(args, "criu");
    if (cli_has(args, "systemd-cgroup") || (manager && !strcmp(manager, "systemd")))
        oci.runtime.manager = CONTAINER_SYSTEMD;
    else if (manager && !strcmp(manager, "disabled"))
        oci.runtime.manager = CONTAINER_NO_CGROUPS;
    else if (manager && strcmp(manager, "cgroupfs"))
        return err_set(err, -EINVAL, "--cgroup-manager %s: expected cgroupfs, systemd or disabled",
                       manager);
    if (root && *root != '/') {
        char *here = getcwd(NULL, 0);

        oci.runtime.root = here ? arena_text(&oci.arena, "%s/%s", here, root) : NULL;
        free(here);
    } else {
        oci.runtime.root = root ? root : state_default_root(&oci.arena, err);
    }
    return oci.runtime.root ? 0 : err_set(err, -ENOENT, "--root: cannot be determined");
}

/* Whether checkpoints may work is said by PATH. What that criu is worth, checkpoint asks it. */
static void oci_version(void)
{
    printf("posada-oci version %s\ncommand line as of runc version 1.1 and crun version 1.27\n"
           "spec: 1.2.0\n+SYSTEMD +SECCOMP +CGROUP_V1 +CGROUP_V2 +EBPF%s\n",
           POSADA_VERSION, process_in_path("criu") ? " +CRIU" : "");
}

static void oci_help(void)
{
    printf("Usage: posada oci [OPTIONS] COMMAND ...\n\nAn OCI runtime (runtime-spec "
           "1.2).\n\nCommands:\n");
    for (const struct cli_verb *const *v = oci_verbs; *v; v++)
        printf("  %-12s %s\n", (*v)->name, (*v)->summary);
    printf("\nOptions:\n");
    for (const struct cli_option *o = oci_globals; o->name; o++)
        printf("  --%s%s%-*s %s\n", o->name, o->value ? " " : "",
               (int)(26 - strlen(o->name) - (o->value ? 1 : 0)), o->value ? o->value : "", o->help);
    printf("\nposada oci COMMAND --help explains one command.\n");
}

static int oci_run_verb_of(const struct cli_args *globals)
{
    struct cli_args args;
    struct err err;
    char **words = calloc(globals->operand_count + 2, sizeof(*words));
    int code;

    if (!words)
        return EXIT_FAILED;
    words[0] = (char *)(uintptr_t) "oci";
    memcpy(words + 1, globals->operands, globals->operand_count * sizeof(*words));
    if (cli_parse(cli_verbs, (int)globals->operand_count + 1, words, &args, &err) < 0)
        return oci_fail(&err);
    if (args.help) {
        cli_help_verb(stdout, args.verb);
        code = EXIT_OK;
    } else {
        code = args.verb->run(&args);
    }
    cli_args_done(&args);
    free(words);
    return code;
}

int main(int argc, char *argv[])
{
    static const struct cli_verb *const globals[] = {&oci_globals_verb, NULL};
    struct cli_args args;
    struct err err;
    int code;

    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDWR);
    (void)signal(SIGCHLD, SIG_DFL);
    if (self_is_needed(argv) && self_protect(argv, &err) < 0)
        return oci_fail(&err);
    argv[0] = (char *)(uintptr_t) "oci";
    if (cli_parse(globals, argc, argv, &args, &err) < 0)
        return oci_fail(&err);
    if (args.help || (!args.operand_count && !cli_has(&args, "version"))) {
        oci_help();
        code = args.help ? EXIT_OK : EXIT_FAILED;
    } else if (cli_has(&args, "version")) {
        oci_version();
        code = EXIT_OK;
    } else {
        code = oci_set_globals(&args, &err) < 0 ? oci_fail(&err) : oci_run_verb_of(&args);
    }
    if (fflush(stdout) && !code)
        code = EXIT_FAILED;
    return code;
}
