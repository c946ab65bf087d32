/* SPDX-License-Identifier: Apache-2.0 */
/* Containers that come to the monitor: built and answered, or refused. Contract: ctr/internal.h. */
#include "ctr/internal.h"

#include "base/cleanup.h"
#include "host/loop.h"
#include "vm/config.h"
#include "vm/own.h"
#include <errno.h>
#include <signal.h>
#include <time.h>

/* With the guest's descriptors and its files; its root is not mounted yet. */
static int ctr_open(struct ctr *c, struct err *err)
{
    struct control_events events = {ctr_request, ctr_gone, c};
    int listen_fd = -1, r = guest_read_config(&c->guest, &c->config, err);

    if (!r)
        r = own_resolve(c->guest.dir_fd, &c->config, err);
    if (!r)
        r = guest_read_own_record(&c->guest, &c->record, err);
    if (!r)
        r = guest_run_dir(&c->guest, &c->run_fd, err);
    if (!r && (asprintf(&c->run_path, "%s/%s", c->all->run_dir, c->guest.uuid) < 0 ||
               asprintf(&c->root_path, "%s/root", c->run_path) < 0 ||
               asprintf(&c->log_path, "%s/log", c->run_path) < 0))
        r = err_set(err, -ENOMEM, "out of memory");
    if (!r)
        r = guest_log_open(c->guest.dir_fd, "output.log", &c->log, err);
    c->timer = loop_timer_new(c->all->loop, ctr_on_timer, c);
    c->sync = loop_timer_new(c->all->loop, ctr_on_sync, c);
    if (!r && (!c->timer || !c->sync))
        r = err_set(err, -ENOMEM, "out of memory");
    if (!r)
        r = control_listen(c->run_fd, &listen_fd, err);
    return r ? r : control_new(c->all->loop, listen_fd, &events, &c->control, err);
}

static struct ctr *ctr_alloc(struct ctrs *all, struct guest *guest)
{
    struct ctr *c = calloc(1, sizeof(*c));

    if (!c) {
        guest_close(guest);
        return NULL;
    }
    c->all = all;
    c->guest = *guest;
    *guest = GUEST_NONE;
    c->run_fd = -1;
    c->job.child.pidfd = c->job.out_fd = -1;
    ctr_net_init(&c->net);
    return c;
}

/* Nothing is left of it before its owner hears why: who removes the guest then need not wait. */
static void ctr_refuse(struct ctr *c, int owner_fd, const struct err *err)
{
    c->record.state = VM_FAILED;
    c->record.exit_code = EXIT_RUN_FAILED;
    c->record.ended = (uint64_t)time(NULL);
    snprintf(c->record.reason, sizeof(c->record.reason), "%.299s", err->text);
    ctr_sync(c);
    event_add(EVENT_FAILED, &c->guest,
              json_pack("{s:i, s:s}", "exit_code", EXIT_RUN_FAILED, "reason", c->record.reason));
    (void)ctr_clear(c);
    ctr_free(c);
    if (owner_fd >= 0) {
        control_refuse_fd(owner_fd, err);
        close(owner_fd);
    }
}

struct ctr *ctr_take(struct ctrs *all, struct guest *guest)
{
    struct ctr *c = ctr_alloc(all, guest);
    struct err err = {0};
    int r;

    if (!c)
        return NULL;
    r = ctr_open(c, &err);
    c->tries = c->record.restarts;
    if (!r && !(c->proc = ctr_first_proc(c)))
        r = err_set(&err, -ENOMEM, "out of memory");
    if (r < 0) {
        ctr_refuse(c, -1, &err);
        return NULL;
    }
    c->next = all->list;
    all->list = c;
    return c;
}

void ctr_end_lost(struct ctr *c, const char *why)
{
    ctr_proc_signal(c->proc, SIGKILL);
    ctr_end(c, VM_FAILED, EXIT_RUN_FAILED, why);
}

static int ctr_set_up(struct ctr *c, struct err *err)
{
    int r = ctr_open(c, err);

    if (r < 0)
        return r;
    c->record = (struct guest_record){.created = c->record.created,
                                      .started = (uint64_t)time(NULL),
                                      .state = VM_STARTING,
                                      .engine = "container"};
    event_add(EVENT_STARTING, &c->guest, NULL);
    r = ctr_build(c, err);
    if (!r && !(c->proc = ctr_first_proc(c)))
        r = err_set(err, -ENOMEM, "out of memory");
    return r;
}

void ctr_new(struct ctrs *all, struct guest *guest, int owner_fd)
{
    struct ctr *c = ctr_alloc(all, guest);
    struct err err = {0};

    if (!c) {
        close(owner_fd);
        return;
    }
    if (ctr_set_up(c, &err) < 0) {
        ctr_refuse(c, owner_fd, &err);
        return;
    }
    c->next = all->list;
    all->list = c;
    c->owner = control_adopt(c->control, owner_fd);
    if (!c->owner) {
        ctr_kill(c);
        return;
    }
    c->owner->owner = true;
    ctr_state(c, VM_STARTING, "waiting for its owner");
    conn_answer(c->owner, NULL);
}
