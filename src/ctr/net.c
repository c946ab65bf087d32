/* SPDX-License-Identifier: Apache-2.0 */
/* The monitor's side of containers' networks. Contract: ctr/net.h. */
#include "ctr/net.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "host/loop.h"
#include "net/gate.h"
#include "vm/network.h"
#include <errno.h>
#include <fcntl.h>
#include <posada/log.h>
#include <string.h>
#include <unistd.h>

void ctr_net_init(struct ctr_net *net)
{
    *net = (struct ctr_net){.pipe = -1, .setter.pidfd = -1};
    for (unsigned i = 0; i < VM_NETS_MAX; i++)
        net->helper[i].pidfd = -1;
}

static void net_helper_ended(void *arg, int status)
{
    const struct ctr_net *net = arg;

    if (!net->down)
        log_warn("guest '%s': a network is gone: its helper process has ended", net->guest);
}

/* A line a helper. */
static int net_watch_helpers(struct ctr_net *net, char *text, struct err *err)
{
    char *line;
    int r = 0;

    for (unsigned i = 0; !r && i < VM_NETS_MAX && (line = strsep(&text, "\n")) && *line; i++)
        r = ctr_child_watch(&net->helper[i], net->setter.loop, (pid_t)strtol(line, NULL, 10),
                            net_helper_ended, net, err);
    return r;
}

static void net_set(void *arg, int status)
{
    struct ctr_net *net = arg;
    struct err err = {0};
    char text[sizeof(err.text)];
    ssize_t n = read(net->pipe, text, sizeof(text) - 1);

    close(take_fd(&net->pipe));
    text[n > 0 ? n : 0] = '\0';
    if (status)
        text[strcspn(text, "\n")] = '\0';
    if (status)
        text_make_printable(text, strlen(text));
    if (status)
        err_set(&err, -EIO, "%s", n > 0 ? text : "its networks cannot be set up");
    else
        (void)!net_watch_helpers(net, text, &err);
    net->done(net->arg, &err);
}

int ctr_net_set_rate(int run_fd, const char *rate, struct err *err)
{
    struct net_rates rates = {0};
    int r = rate ? net_rates_parse("net_rate", rate, &rates, err) : 0;

    return r ? r : net_gate_publish(run_fd, &rates, err);
}

int ctr_net_up(struct ctr_net *net, const struct ctr_net_config *config, struct err *err)
{
    char pid_text[16];
    const char *argv[] = {config->self, "container-net", config->guest, pid_text, NULL};
    CLEANUP(fd) int theirs = -1;
    struct ctr_spawn spawn = {.argv = (char *const *)(uintptr_t)argv, .in = -1};
    int ends[2], r;
    pid_t pid;

    (void)snprintf(pid_text, sizeof(pid_text), "%d", config->pid);
    ctr_net_init(net);
    net->guest = config->guest;
    net->done = config->done;
    net->arg = config->arg;
    r = ctr_net_set_rate(config->run_fd, config->rate, err);
    if (r < 0)
        return r;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, -errno, "pipe: %s", strerror(errno));
    net->pipe = ends[0];
    theirs = ends[1];
    spawn.out = theirs;
    spawn.err_fd = STDERR_FILENO;
    r = ctr_spawn_program(&spawn, &pid, err);
    if (!r)
        r = ctr_child_watch(&net->setter, config->loop, pid, net_set, net, err);
    if (r < 0)
        close(take_fd(&net->pipe));
    return r;
}

void ctr_net_down(struct ctr_net *net)
{
    net->down = true;
    ctr_child_forget(&net->setter);
    if (net->pipe >= 0)
        close(take_fd(&net->pipe));
    for (unsigned i = 0; i < VM_NETS_MAX; i++)
        ctr_child_forget(&net->helper[i]); /* they end by themselves, and that soon */
}

const char *ctr_net_resolver(const struct vm_config *config)
{
    for (unsigned i = 0; i < config->net_count; i++)
        if (!strcmp(config->net[i].network, NETWORK_USER))
            return "nameserver 10.0.2.3\n";
    return NULL;
}
