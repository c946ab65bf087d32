/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada doctor: what this host can do for guests, found by trying, with what to do about the rest.
 * Exits 0 when guests can run by some technique and be kept, 6 when not.
 */
#include "cli/output.h"
#include "cli/verbs.h"
#include "host/dirs.h"
#include "host/facts.h"
#include "host/process.h"
#include "host/sandbox.h"
#include <posada/engine.h>
#include <posada/vm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FACTS_MAX = 32, DISK_WANTED = 1 << 30, RUN_WANTED = 1 << 20 };

static const struct cli_option doctor_options[] = {CLI_LISTING_OPTIONS, CLI_OPTIONS_END};

static const struct cli_column doctor_columns[] = {
    {"CHECK", "check"}, {"RESULT", "result"}, {"DETAIL", "text"}, {NULL, NULL}};

static void doctor_add(json_t *rows, const char *kind, const struct fact *f)
{
    static const char *const results[] = {"OK", "DEGRADED", "NO"};

    json_array_append_new(
        rows, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "check", f->name, "kind", kind, "result",
                        results[f->result], "detail", f->detail, "fix", f->fix, "text",
                        json_sprintf("%s%s%s", f->detail, f->fix[0] ? "; " : "", f->fix)));
}

/* --- techniques --- */

/* One technique by the probes of its engines, the best first. */
static void doctor_technique(const char *technique, struct fact *f)
{
    struct err err = {0};
    char names[100] = "";
    bool any = false;

    for (const struct engine_ops *const *ops = engine_registry; *ops; ops++) {
        size_t used = strlen(names);

        if (strcmp((*ops)->technique, technique) != 0)
            continue;
        any = true;
        if (!(*ops)->probe(&err))
            snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", (*ops)->name);
    }
    if (names[0])
        fact_set(f, FACT_OK, "engine %s", names);
    else if (any)
        fact_set(f, FACT_NO, "%.200s", err.text);
    else
        fact_set(f, FACT_NO, "this version of Posada has no engine for it");
}

/* It has no engine: the kernel is all it needs, and who is not root needs user namespaces. */
static void doctor_container(const struct fact *kernel, unsigned count, struct fact *f)
{
    fact_set(f, FACT_OK, "of this host's own kernel, as root");
    for (unsigned i = 0; geteuid() && i < count; i++) {
        if (strcmp(kernel[i].name, "user namespaces") != 0)
            continue;
        fact_set(f, kernel[i].result, "of this host's own kernel, in a user namespace%s",
                 kernel[i].result == FACT_OK ? "" : ", which cannot be made");
        fact_fix(f, "%.180s", kernel[i].fix);
    }
}

static bool doctor_techniques(json_t *rows, const struct fact *kernel, unsigned count)
{
    bool any = false;

    for (unsigned t = TECHNIQUE_AUTO + 1; t < TECHNIQUE_COUNT; t++) {
        const char *name = vm_technique_name((enum vm_technique)t);
        char check[40];
        struct fact f = {.name = check};

        snprintf(check, sizeof(check), "technique %s", name);
        if (t == TECHNIQUE_CONTAINER)
            doctor_container(kernel, count, &f);
        else
            doctor_technique(name, &f);
        any = any || f.result != FACT_NO;
        doctor_add(rows, "technique", &f);
    }
    return any;
}

/* --- the rest --- */

static void doctor_sandbox(json_t *rows)
{
    struct sandbox_part parts[8];
    unsigned n = sandbox_parts(parts, ARRAY_LEN(parts));

    for (unsigned i = 0; i < n; i++) {
        char check[64];
        struct fact f = {.name = check};

        snprintf(check, sizeof(check), "sandbox: %s", parts[i].name);
        fact_set(&f, parts[i].available ? FACT_OK : FACT_DEGRADED, "%s",
                 parts[i].available ? "entered" : parts[i].detail);
        doctor_add(rows, "sandbox", &f);
    }
    if (!sandbox_parts_suffice(parts, n)) {
        struct fact f = {.name = "sandbox: all in all"};

        fact_set(&f, FACT_NO,
                 "too little to contain a guest: allow user namespaces or Landlock, or give guests "
                 "--sandbox thin");
        doctor_add(rows, "sandbox", &f);
    }
}

static bool doctor_directory(json_t *rows, enum dirs_kind kind, const char *check, uint64_t wanted)
{
    struct fact f = {.name = check};
    char *path = NULL;
    struct err err;

    if (dirs_get(kind, &path, &err) < 0)
        fact_set(&f, FACT_NO, "%.200s", err.text);
    else
        facts_storage(check, path, wanted, &f);
    free(path);
    doctor_add(rows, "storage", &f);
    return f.result != FACT_NO;
}

static void doctor_tools(json_t *rows)
{
    static const struct {
        const char *program, *package, *use;
    } tools[] = {
        {"apt-get", "apt", "building images"},
        {"apt-cache", "apt", "building images"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(tools); i++) {
        char check[64];
        struct fact f = {.name = check};
        bool there = process_in_path(tools[i].program);

        snprintf(check, sizeof(check), "program %s", tools[i].program);
        fact_set(&f, there ? FACT_OK : FACT_DEGRADED, "%s; for %s", there ? "found" : "not found",
                 tools[i].use);
        if (!there)
            fact_fix(&f, "apt install %s", tools[i].package);
        doctor_add(rows, "program", &f);
    }
}

static int doctor_run(const struct cli_args *args)
{
    struct err err;
    json_t *rows;
    struct fact kernel[FACTS_MAX];
    unsigned count;
    bool fine;
    int code;

    if (cli_listing_check(args, &err) < 0)
        return cli_fail(&err);
    rows = json_array();
    count = facts_kernel(kernel, ARRAY_LEN(kernel));
    fine = doctor_techniques(rows, kernel, count);
    for (unsigned i = 0; i < count; i++)
        doctor_add(rows, "kernel", &kernel[i]);
    doctor_sandbox(rows);
    fine &= doctor_directory(rows, DIRS_DATA, "data directory", DISK_WANTED);
    fine &= doctor_directory(rows, DIRS_CACHE, "cache directory", DISK_WANTED);
    fine &= doctor_directory(rows, DIRS_RUN, "run directory", RUN_WANTED);
    doctor_tools(rows);
    code = cli_print_listing(args, rows, doctor_columns);
    json_decref(rows);
    return code ? code : fine ? EXIT_OK : EXIT_NO_TECHNIQUE;
}

const struct cli_verb cli_doctor_verb = {
    .name = "doctor",
    .summary = "Measure what this host can do for guests",
    .details = "Everything is tried, not guessed. OK: works; DEGRADED: works less well, or "
               "something else takes\nits place; NO: does not. Exits 0 when some technique can run "
               "guests and the directories can\nkeep them, 6 when not.",
    .options = doctor_options,
    .run = doctor_run,
};
