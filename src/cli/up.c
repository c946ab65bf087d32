/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada up, down: the guests of a file, made, started and removed together. All of a file is
 * checked before anything is done; what is there already and as described is left alone, so that an
 * interrupted up is finished by another one.
 */
#include "base/cleanup.h"
#include "cli/guestfile.h"
#include "cli/guests.h"
#include "cli/run.h"
#include "cli/start.h"
#include "cli/verbs.h"
#include "image/digest.h"
#include "vm/client.h"
#include "vm/config.h"
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WAIT_DEFAULT = 300, STEP_MS = 50, SETTLE_MS = 5000, STOP_SECONDS = 10 };
#define UP_FILE "posada.yaml"

struct up {
    const struct cli_args *args;
    struct guestfile file;
    struct vm_config *config; /* one for each guest of the file */
    bool wanted[GUESTFILE_GUESTS_MAX];
    uint64_t seconds;
};

/* --- reading --- */

/* Paths in a file count from its folder. */
static int up_enter_folder(const struct guestfile *file, struct err *err)
{
    CLEANUP(free) char *copy = strdup(file->path);

    if (!copy || chdir(dirname(copy)) < 0)
        return err_set(err, -errno, "folder of %s: %s", file->path, strerror(errno));
    return 0;
}

static void up_want(struct up *up, const struct guestfile_guest *g)
{
    up->wanted[g - up->file.guest] = true;
    for (unsigned i = 0; i < g->depends_count; i++)
        up_want(up, guestfile_find(&up->file, g->depends_on[i]));
}

static int up_choose(struct up *up, bool with_dependencies, struct err *err)
{
    for (unsigned i = 0; i < up->file.count && !up->args->operand_count; i++)
        up->wanted[i] = true;
    for (unsigned i = 0; i < up->args->operand_count; i++) {
        const struct guestfile_guest *g = guestfile_find(&up->file, up->args->operands[i]);

        if (!g)
            return err_set(err, -ENOENT, "%s: there is no guest '%.80s' in it", up->file.path,
                           up->args->operands[i]);
        if (with_dependencies)
            up_want(up, g);
        else
            up->wanted[g - up->file.guest] = true;
    }
    return 0;
}

static int up_open(const struct cli_args *args, bool with_dependencies, struct up *up,
                   struct err *err)
{
    const char *path = cli_value(args, "file");
    int r = guestfile_read(path ? path : UP_FILE, &up->file, err);

    up->args = args;
    if (!r)
        r = up_choose(up, with_dependencies, err);
    return r ? r : up_enter_folder(&up->file, err);
}

static int up_configure_one(struct up *up, unsigned i, struct err *err)
{
    struct guestfile_guest *g = &up->file.guest[i];
    struct vm_config *config = &up->config[i];
    CLEANUP(free) char *spec = guestfile_spec(g);
    struct digest *digest = spec ? digest_new() : NULL;
    int r;

    if (!digest)
        return err_set(err, -ENOMEM, "out of memory");
    config->spec = calloc(1, DIGEST_TEXT);
    config->file = strdup(up->file.path);
    digest_add(digest, spec, strlen(spec));
    if (!config->spec || !config->file) {
        char text[DIGEST_TEXT];

        digest_end(digest, text);
        return err_set(err, -ENOMEM, "out of memory");
    }
    digest_end(digest, config->spec);
    snprintf(config->name, sizeof(config->name), "%s", g->name);
    r = run_options(&g->args, config, err);
    if (!r)
        r = run_check_engine(config, err);
    return r < 0 ? err_wrap(err, r, "%s: guest '%s' (line %u)", up->file.path, g->name, g->line)
                 : 0;
}

static int up_configure(struct up *up, struct err *err)
{
    int r = 0;

    up->config = calloc(up->file.count, sizeof(*up->config));
    if (!up->config)
        return err_set(err, -ENOMEM, "out of memory");
    for (unsigned i = 0; i < up->file.count && !r; i++)
        r = up_configure_one(up, i, err);
    return r;
}

static void up_done(struct up *up)
{
    for (unsigned i = 0; up->config && i < up->file.count; i++)
        vm_config_done(&up->config[i]);
    free(up->config);
    guestfile_done(&up->file);
}

/* --- up --- */

/* Is it ours, and as described? 1: yes, 0: it has to be made anew. */
static int up_compare(const struct up *up, const struct vm_config *wanted, struct guest *guest,
                      struct err *err)
{
    struct vm_config now = {0};
    bool same;
    int r = guest_read_config(guest, &now, err);

    if (!r && (!now.file || strcmp(now.file, wanted->file) != 0))
        r = err_set(err, -EEXIST,
                    "guest '%s' exists already and is not from %s; rename or remove it",
                    guest->name, wanted->file);
    same = !r && now.spec && !strcmp(now.spec, wanted->spec);
    vm_config_done(&now);
    if (r < 0 || same)
        return r < 0 ? r : 1;
    if (!cli_has(up->args, "recreate"))
        return err_set(err, -EEXIST,
                       "guest '%s' exists, but not as %s describes it now; --recreate makes it "
                       "anew",
                       guest->name, wanted->file);
    r = guests_remove(guest, guests_stop, STOP_SECONDS, err);
    return r < 0 ? r : 0;
}

static int up_make(struct vm_config *config, struct err *err)
{
    struct guest locked = GUEST_NONE;
    struct started started = STARTED_NONE;
    int r = run_resolve_image(config, NULL, err);

    if (!r)
        r = store_create(config, &locked, err);
    if (r < 0)
        return r;
    r = start_guest(&locked, &started, err);
    if (r < 0)
        (void)!store_remove_locked(&locked, NULL);
    guest_close(&locked);
    if (!r && (r = start_detach(&started, err)) < 0)
        r = err_wrap(err, r, "guest '%s'", config->name);
    started_done(&started);
    return r;
}

/* Does it run, or is it about to end with a command line that started it and is gone? */
static bool up_stays(const struct guest *guest)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000l};

    for (unsigned ms = 0; ms < SETTLE_MS && guest_is_alive(guest); ms += STEP_MS) {
        json_t *status = NULL;
        bool begun = false;
        int fd = -1;

        if (!client_connect(guest, &fd, NULL) &&
            !client_ask(fd, guests_request("status"), &status, NULL))
            begun = json_is_true(json_object_get(status, "begun"));
        json_decref(status);
        if (fd >= 0)
            close(fd);
        if (begun)
            return true;
        nanosleep(&step, NULL);
    }
    return guest_is_alive(guest);
}

static int up_start(const struct up *up, struct vm_config *config, struct err *err)
{
    struct guest guest = GUEST_NONE;
    int r = guests_open(config->name, &guest, NULL);

    if (r == -ENOENT)
        return up_make(config, err);
    r = up_compare(up, config, &guest, err);
    if (r == 1)
        r = up_stays(&guest) ? 0 : guests_start(&guest, err);
    else if (!r)
        r = up_make(config, err);
    guest_close(&guest);
    return r;
}

/* Until it runs: those that depend on it may need it. */
static int up_wait(const struct up *up, const char *name, struct err *err)
{
    const struct timespec step = {.tv_nsec = STEP_MS * 1000000l};
    struct guest guest = GUEST_NONE;
    struct guest_record record;
    int r = store_open(name, &guest, err);

    for (uint64_t ms = 0; !r; ms += STEP_MS) {
        r = guest_read_record(&guest, &record, err);
        if (r < 0 || record.state != VM_STARTING)
            break;
        if (ms >= up->seconds * 1000)
            r = err_set(err, -ETIMEDOUT,
                        "guest '%s' is still starting after %llu s (%s); those that depend on it "
                        "are not started; posada up again goes on",
                        name, (unsigned long long)up->seconds, record.reason);
        nanosleep(&step, NULL);
    }
    if (!r && vm_state_is_final(record.state) && record.exit_code)
        r = err_set(err, -EIO,
                    "guest '%s' has ended (exit code %u%s%.200s); those that depend on it are not "
                    "started",
                    name, record.exit_code, record.reason[0] ? ", " : "", record.reason);
    guest_close(&guest);
    return r;
}

static bool up_is_needed(const struct up *up, const char *name)
{
    for (unsigned i = 0; i < up->file.count; i++)
        for (unsigned k = 0; up->wanted[i] && k < up->file.guest[i].depends_count; k++)
            if (!strcmp(up->file.guest[i].depends_on[k], name))
                return true;
    return false;
}

static int up_all(const struct up *up, struct err *err)
{
    int r = 0;

    for (unsigned i = 0; i < up->file.count && !r; i++) {
        if (!up->wanted[i])
            continue;
        r = up_start(up, &up->config[i], err);
        if (!r && (cli_has(up->args, "wait") || up_is_needed(up, up->config[i].name)))
            r = up_wait(up, up->config[i].name, err);
        if (!r) {
            printf("%s\n", up->config[i].name);
            fflush(stdout);
        }
    }
    return r;
}

static int up_run(const struct cli_args *args)
{
    const char *wait = cli_value(args, "wait");
    struct up up = {.seconds = WAIT_DEFAULT};
    struct err err;
    int r = wait ? cli_parse_number("--wait", wait, 0, 86400, &up.seconds, &err) : 0;

    if (!r)
        r = up_open(args, true, &up, &err);
    if (!r)
        r = up_configure(&up, &err);
    if (!r && !cli_has(args, "check"))
        r = up_all(&up, &err);
    up_done(&up);
    return r < 0 ? cli_fail(&err) : EXIT_OK;
}

static const struct cli_option up_options[] = {
    {"file", 'f', "FILE", "the guest file (default: posada.yaml)"},
    {"wait", 0, "SECONDS", "wait for all of them to run, so long for each"},
    {"recreate", 0, NULL, "remove guests that are not as described any more, and make them anew"},
    {"check", 0, NULL, "only check the file"},
    CLI_OPTIONS_END,
};

const struct cli_verb cli_up_verb = {
    .name = "up",
    .operands = "[GUEST...]",
    .summary = "Make and start the guests of a file",
    .details = "Starts all guests of the file, or those named with what they depend on. A guest "
               "that others\ndepend on must run before they are started. See posada.yaml(5).",
    .options = up_options,
    .max = CLI_ANY_NUMBER,
    .run = up_run,
};

/* --- down --- */

static int down_one(const struct up *up, const char *name, unsigned seconds, struct err *err)
{
    struct guest guest = GUEST_NONE;
    struct vm_config now = {0};
    int r = guests_open(name, &guest, err);

    if (r == -ENOENT)
        return 0;
    if (!r)
        r = guest_read_config(&guest, &now, err);
    if (!r && (!now.file || strcmp(now.file, up->file.path) != 0))
        r = err_set(err, -EBUSY, "guest '%s' is not from %s, so it is left alone", name,
                    up->file.path);
    vm_config_done(&now);
    if (!r && !cli_has(up->args, "keep"))
        r = guests_remove(&guest, guests_stop, seconds, err);
    else if (!r && guest_is_alive(&guest))
        r = guests_stop(&guest, seconds, err);
    if (!r)
        printf("%s\n", name);
    guest_close(&guest);
    return r;
}

static int down_run(const struct cli_args *args)
{
    const char *time = cli_value(args, "time");
    uint64_t seconds = STOP_SECONDS;
    struct up up = {0};
    int code = EXIT_OK;
    struct err err;
    int r = time ? cli_parse_number("--time", time, 0, 86400, &seconds, &err) : 0;

    if (!r)
        r = up_open(args, false, &up, &err);
    if (r < 0)
        code = cli_fail(&err);
    for (unsigned i = r < 0 ? 0 : up.file.count; i--;)
        if (up.wanted[i] && down_one(&up, up.file.guest[i].name, (unsigned)seconds, &err) < 0)
            code = cli_fail(&err);
    up_done(&up);
    return code;
}

static const struct cli_option down_options[] = {
    {"file", 'f', "FILE", "the guest file (default: posada.yaml)"},
    {"time", 't', "SECONDS", "how long a clean power-down may take (default: 10)"},
    {"keep", 0, NULL, "only stop them"},
    CLI_OPTIONS_END,
};

const struct cli_verb cli_down_verb = {
    .name = "down",
    .operands = "[GUEST...]",
    .summary = "Stop and remove the guests of a file",
    .details = "In the opposite order of posada up. Guests of other files are left alone.",
    .options = down_options,
    .max = CLI_ANY_NUMBER,
    .run = down_run,
};
