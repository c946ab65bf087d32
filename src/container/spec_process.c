/* SPDX-License-Identifier: Apache-2.0 */
/* The process object (runtime-spec config.md "Process", "POSIX process"). */
#include "container/names.h"
#include "container/spec.h"

#include <linux/ioprio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static uint64_t spec_read_capability_set(struct json_reader *r, const struct json *at,
                                         const char *name)
{
    const char **list = json_take_texts(r, at, name);
    uint64_t set = 0;

    for (; list && *list; list++) {
        int n = name_capability(*list);

        if (n < 0) /* config.md: logged, no error */
            json_note(r, json_get(at, name), "unknown capability '%s', ignored", *list);
        else
            set |= UINT64_C(1) << n;
    }
    return set;
}

static void spec_read_capabilities(struct json_reader *r, const struct json *at,
                                   struct spec_capabilities *caps)
{
    caps->given = at;
    caps->bounding = spec_read_capability_set(r, at, "bounding");
    caps->effective = spec_read_capability_set(r, at, "effective");
    caps->inheritable = spec_read_capability_set(r, at, "inheritable");
    caps->permitted = spec_read_capability_set(r, at, "permitted");
    caps->ambient = spec_read_capability_set(r, at, "ambient");
}

static void spec_read_user(struct json_reader *r, const struct json *at, struct spec_process *p)
{
    const struct json *groups = json_take(r, at, "additionalGids", JSON_ARRAY);

    p->uid = (uint32_t)json_take_int(r, at, "uid", 0, UINT32_MAX - 1, 0);
    p->gid = (uint32_t)json_take_int(r, at, "gid", 0, UINT32_MAX - 1, 0);
    p->umask = (uint32_t)json_take_int(r, at, "umask", 0, 07777, -1);
    p->has_umask = json_take(r, at, "umask", JSON_NUMBER);
    (void)json_take_text(r, at, "username"); /* Windows' word; podman writes it nevertheless */
    p->groups = groups ? spec_array(r, groups->count, sizeof(*p->groups)) : NULL;
    if (!p->groups)
        return;
    for (const struct json *c = groups->child; c; c = c->next) {
        char *end = NULL;
        unsigned long long id = c->kind == JSON_NUMBER ? strtoull(c->text, &end, 10) : 0;

        if (!end || *end || *c->text == '-' || id >= UINT32_MAX)
            (void)json_refuse(r, c, "expected a group id");
        p->groups[p->group_count++] = (uint32_t)id;
    }
}

static void spec_read_rlimits(struct json_reader *r, const struct json *list,
                              struct spec_process *p)
{
    p->rlimits = list ? spec_array(r, list->count, sizeof(*p->rlimits)) : NULL;
    if (!p->rlimits)
        return;
    for (const struct json *c = list->child; c; c = c->next) {
        struct spec_rlimit *limit = &p->rlimits[p->rlimit_count++];
        const char *type = json_take_text(r, c, "type");
        uint64_t resource = 0;

        limit->soft = json_take_u64(r, c, "soft", 0);
        limit->hard = json_take_u64(r, c, "hard", 0);
        if (!type || !name_find(name_rlimits, type, &resource))
            (void)json_refuse(r, c, "unknown limit '%s'", type ? type : "");
        else if (limit->soft > limit->hard)
            (void)json_refuse(r, c, "%s: the soft limit is above the hard one", type);
        limit->resource = (int)resource;
        for (unsigned i = 0; i + 1 < p->rlimit_count; i++)
            if (p->rlimits[i].resource == limit->resource)
                (void)json_refuse(r, c, "%s is there twice", type ? type : "");
    }
}

/* sched(7) "SCHED_DEADLINE": 1024 ns <= runtime <= deadline <= period. Each sentence names the call
 * and the field the way crun's does: its public test suite, and so tools, look for that. */
static void spec_check_deadline(struct json_reader *r, const struct json *at,
                                const struct spec_scheduler *s)
{
    unsigned long long runtime = s->runtime, deadline = s->deadline, period = s->period;
    const char *what = "sched_setattr: `SCHED_DEADLINE`";

    if (!json_get(at, "runtime"))
        (void)json_refuse(r, at, "%s requires `runtime`, in ns", what);
    else if (!json_get(at, "deadline"))
        (void)json_refuse(r, at, "%s requires `deadline`, in ns", what);
    else if (!runtime)
        (void)json_refuse(r, at, "%s runtime must be greater than 0", what);
    else if (runtime < 1024 || runtime > INT64_MAX)
        (void)json_refuse(r, at, "%s runtime %llu must be between 1024 and 2^63-1 ns", what,
                          runtime);
    else if (runtime > deadline)
        (void)json_refuse(r, at, "%s runtime %llu must be <= the deadline, %llu ns", what, runtime,
                          deadline);
    else if (period && deadline > period)
        (void)json_refuse(r, at, "%s deadline %llu must be <= the period, %llu ns", what, deadline,
                          period);
}

static void spec_read_scheduler(struct json_reader *r, const struct json *at,
                                struct spec_scheduler *s)
{
    const char *policy = json_take_text(r, at, "policy");
    const char **flags = json_take_texts(r, at, "flags");
    uint64_t flag;

    if (!at)
        return;
    s->given = true;
    if (!policy || !name_find(name_schedulers, policy, &s->policy))
        (void)json_refuse(r, at, "unknown policy '%s'", policy ? policy : "");
    for (; flags && *flags; flags++) {
        if (name_find(name_sched_flags, *flags, &flag))
            s->flags |= flag;
        else
            (void)json_refuse(r, at, "unknown flag '%s'", *flags);
    }
    s->nice = json_take_int(r, at, "nice", -20, 19, 0);
    s->priority = json_take_int(r, at, "priority", 0, 99, 0);
    s->runtime = json_take_u64(r, at, "runtime", 0);
    s->deadline = json_take_u64(r, at, "deadline", 0);
    s->period = json_take_u64(r, at, "period", 0);
    if (s->policy == 6 && !r->code)
        spec_check_deadline(r, at, s);
}

static void spec_read_ioprio(struct json_reader *r, const struct json *at, struct spec_process *p)
{
    static const struct name_value classes[] = {
        {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
        {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
        {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
        {0},
    };
    const char *name = json_take_text(r, at, "class");
    uint64_t class = 0;
    int level = (int)json_take_int(r, at, "priority", 0, 7, 0);

    if (!at)
        return;
    if (!name || !name_find(classes, name, &class))
        (void)json_refuse(r, at, "unknown class '%s'", name ? name : "");
    p->has_ioprio = true;
    p->ioprio = (int)(class << IOPRIO_CLASS_SHIFT) | level;
}

static const char **spec_no_texts(struct json_reader *r)
{
    return spec_array(r, 1, sizeof(const char *));
}

static void spec_check_process(struct json_reader *r, const struct json *at,
                               const struct spec_process *p)
{
    if (!p->args || !p->args[0])
        (void)json_refuse(r, at, "args is empty: there is nothing to run");
    else if (!*p->args[0])
        (void)json_refuse(r, at, "args[0] is an empty text");
    if (!p->cwd || *p->cwd != '/')
        (void)json_refuse(r, at, "cwd '%s' must be an absolute path", p->cwd ? p->cwd : "");
}

void spec_read_process(struct json_reader *r, const struct json *at, struct spec_process *p)
{
    const struct json *size = json_take(r, at, "consoleSize", JSON_OBJECT);
    const struct json *affinity = json_take(r, at, "execCPUAffinity", JSON_OBJECT);

    if (!at) {
        p->env = spec_no_texts(r);
        p->cwd = "/";
        return;
    }
    p->given = true;
    p->terminal = json_take_bool(r, at, "terminal", false);
    p->no_new_privs = json_take_bool(r, at, "noNewPrivileges", false);
    p->columns = (unsigned)json_take_int(r, size, "width", 0, 65535, 0);
    p->rows = (unsigned)json_take_int(r, size, "height", 0, 65535, 0);
    spec_read_user(r, json_take(r, at, "user", JSON_OBJECT), p);
    p->args = json_take_texts(r, at, "args");
    (void)json_take_text(r, at, "commandLine"); /* Windows */
    p->env = json_take_texts(r, at, "env");
    if (!p->env)
        p->env = spec_no_texts(r);
    p->cwd = json_take_text(r, at, "cwd");
    spec_read_capabilities(r, json_take(r, at, "capabilities", JSON_OBJECT), &p->capabilities);
    spec_read_rlimits(r, json_take(r, at, "rlimits", JSON_ARRAY), p);
    p->has_oom_score = json_take(r, at, "oomScoreAdj", JSON_NUMBER);
    p->oom_score = (int)json_take_int(r, at, "oomScoreAdj", -1000, 1000, 0);
    spec_read_scheduler(r, json_take(r, at, "scheduler", JSON_OBJECT), &p->scheduler);
    spec_read_ioprio(r, json_take(r, at, "ioPriority", JSON_OBJECT), p);
    p->initial_affinity = json_take_text(r, affinity, "initial");
    p->final_affinity = json_take_text(r, affinity, "final");
    p->apparmor = json_take_text(r, at, "apparmorProfile");
    p->selinux = json_take_text(r, at, "selinuxLabel");
    if (!r->code)
        spec_check_process(r, at, p);
}
