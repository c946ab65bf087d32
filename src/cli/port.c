/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada port: which ports of the host lead into a guest, and changes of that. A guest that runs
 * makes the change first; only what it could do is written down. A second command at the same time
 * adds to the same list: what is written is worked out anew, under the store's lock.
 */
#include "cli/cli.h"
#include "cli/guests.h"
#include "cli/verbs.h"
#include "net/forward.h"
#include "vm/config.h"
#include "vm/network.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct port_change {
    bool add;
    char text[NET_FORWARD_TEXT]; /* in full */
};

/* As they are to be made. */
struct port_changes {
    struct port_change change[2 * NET_FORWARDS_MAX];
    unsigned count;
};

/* --- the list --- */

static bool port_same_host(const char *a, const char *b)
{
    struct net_forward fa, fb;
    char host_a[NET_FORWARD_TEXT], host_b[NET_FORWARD_TEXT];

    if (net_forward_parse("port", a, &fa, NULL) < 0 || net_forward_parse("port", b, &fb, NULL) < 0)
        return false;
    net_forward_print_host(&fa, host_a);
    net_forward_print_host(&fb, host_b);
    return fa.udp == fb.udp && strcmp(host_a, host_b) == 0;
}

/* Where in the list something leads from the same port of the host; its end: nothing does. */
static unsigned port_find(char *const *ports, const char *text)
{
    unsigned i = 0;

    while (ports[i] && !port_same_host(ports[i], text))
        i++;
    return i;
}

static int port_add(char **ports, const char *text, struct err *err)
{
    unsigned i = port_find(ports, text);

    if (ports[i])
        return err_set(err, -EEXIST, "port %s: that one of the host's is forwarded already", text);
    if (i == NET_FORWARDS_MAX)
        return err_set(err, -EINVAL, "port %s: a guest may have %d forwarded ports", text,
                       NET_FORWARDS_MAX);
    ports[i] = strdup(text);
    return ports[i] ? 0 : err_set(err, -ENOMEM, "out of memory");
}

/* What leads from that port of the host, wherever to. */
static int port_remove(char **ports, const char *text, struct err *err)
{
    unsigned i = port_find(ports, text);

    if (!ports[i])
        return err_set(err, -ENOENT, "port %s: nothing is forwarded from there", text);
    free(ports[i]);
    for (; ports[i]; i++)
        ports[i] = ports[i + 1];
    return 0;
}

static bool port_has_user(const struct vm_config *config)
{
    for (unsigned i = 0; i < config->net_count; i++)
        if (!strcmp(config->net[i].network, NETWORK_USER))
            return true;
    return false;
}

static int port_apply(const void *arg, struct vm_config *config, struct err *err)
{
    const struct port_changes *changes = arg;
    char **ports = calloc(NET_FORWARDS_MAX + 1, sizeof(*ports));
    int r = 0;

    if (!ports)
        return err_set(err, -ENOMEM, "out of memory");
    for (unsigned i = 0; config->ports && config->ports[i] && i < NET_FORWARDS_MAX; i++)
        ports[i] = config->ports[i];
    free(config->ports);
    config->ports = ports; /* all that it holds is the configuration's, whatever happens */
    if (!port_has_user(config))
        r = err_set(err, -EINVAL, "guest '%s' has no user network, and only that forwards ports",
                    config->name);
    for (unsigned i = 0; !r && i < changes->count; i++) {
        const struct port_change *c = &changes->change[i];

        r = c->add ? port_add(ports, c->text, err) : port_remove(ports, c->text, err);
    }
    return r;
}

/* --- what is wanted --- */

static int port_want(struct port_changes *changes, bool add, const struct net_forward *range,
                     struct err *err)
{
    if (range->count > NET_FORWARDS_MAX)
        return err_set(err, -EINVAL, "a guest may have %d forwarded ports", NET_FORWARDS_MAX);
    for (unsigned i = 0; i < range->count; i++) {
        const struct net_forward one = net_forward_nth(range, i);

        if (changes->count == ARRAY_LEN(changes->change))
            return err_set(err, -E2BIG, "too many ports at once");
        changes->change[changes->count].add = add;
        net_forward_print(&one, changes->change[changes->count++].text);
    }
    return 0;
}

/* --rm: as it was forwarded, or the host's side of that alone. */
static int port_parse_host(const char *text, struct net_forward *ret, struct err *err)
{
    const char *slash = strchr(text, '/'), *colon = strrchr(text, ':');
    const char *port = colon ? colon + 1 : text;
    int len = (int)(slash ? slash - text : (long)strlen(text));
    char full[2 * NET_FORWARD_TEXT];

    if (net_forward_parse("--rm", text, ret, NULL) == 0)
        return 0;
    (void)snprintf(full, sizeof(full), "%.*s:%.*s%s", len, text, (int)(text + len - port), port,
                   slash ? slash : "");
    if (strlen(text) < NET_FORWARD_TEXT / 2 && (!slash || colon < slash) &&
        net_forward_parse("--rm", full, ret, NULL) == 0)
        return 0;
    return err_set(err, -EINVAL,
                   "--rm '%.60s': expected [HOSTIP:]HOST[/udp], such as 8080 or 0.0.0.0:5353/udp",
                   text);
}

static int port_changes_read(const struct cli_args *args, struct port_changes *changes,
                             struct err *err)
{
    struct net_forward range;
    const char *text;
    int r = 0;

    for (unsigned i = 0; !r && (text = cli_nth(args, "rm", i)); i++) {
        r = port_parse_host(text, &range, err);
        if (!r)
            r = port_want(changes, false, &range, err);
    }
    for (unsigned i = 0; !r && (text = cli_nth(args, "add", i)); i++) {
        r = net_forward_parse("--add", text, &range, err);
        if (!r)
            r = port_want(changes, true, &range, err);
    }
    return r;
}

/* --- a guest that runs --- */

static int port_tell(const struct guest *guest, bool add, const char *text, struct err *err)
{
    json_t *request = guests_request("forward");

    json_object_set_new(request, add ? "add" : "remove", json_string(text));
    return guests_ask_request(guest, request, err);
}

/* Ports so low, its network can let go of but not take again. */
static int port_check_low(const struct port_changes *changes, struct err *err)
{
    struct net_forward f;

    for (unsigned i = 0; changes->count > 1 && i < changes->count; i++)
        if (!changes->change[i].add &&
            net_forward_parse("--rm", changes->change[i].text, &f, NULL) == 0 &&
            f.host_port < IPPORT_RESERVED)
            return err_set(err, -EACCES,
                           "port %u: a guest that runs could not have it back, should one of the "
                           "other changes fail; remove it by a command of its own",
                           f.host_port);
    return 0;
}

/* As it was before the first `count` of them. */
static void port_undo(const struct guest *guest, const struct vm_config *before,
                      const struct port_changes *changes, unsigned count)
{
    while (count-- > 0) {
        const struct port_change *c = &changes->change[count];
        const char *was = c->add ? c->text : before->ports[port_find(before->ports, c->text)];
        struct err err;

        if (was && port_tell(guest, !c->add, was, &err) < 0)
            fprintf(stderr, "posada: port %s is not as it was: %s\n", was, err.text);
    }
}

static int port_change_running(struct guest *guest, const struct port_changes *changes,
                               struct err *err)
{
    struct vm_config before = {0}, after = {0};
    unsigned done = 0;
    int r = guest_read_config(guest, &before, err);

    if (!r)
        r = guest_read_config(guest, &after, err);
    if (!r)
        r = port_apply(changes, &after, err); /* before anything is done */
    if (!r)
        r = port_check_low(changes, err);
    for (; !r && done < changes->count; done += !r)
        r = port_tell(guest, changes->change[done].add, changes->change[done].text, err);
    if (!r)
        r = store_change(guest, port_apply, changes, err);
    if (r < 0 && done)
        port_undo(guest, &before, changes, done);
    vm_config_done(&before);
    vm_config_done(&after);
    return r;
}

static int port_change(struct guest *guest, const struct port_changes *changes, struct err *err)
{
    if (guest_is_alive(guest) && !guests_is_container(guest))
        return port_change_running(guest, changes, err);
    if (guest_is_alive(guest))
        fprintf(stderr, "container '%s' runs; its ports change at its next start\n", guest->name);
    return store_change(guest, port_apply, changes, err);
}

/* --- the verb --- */

static void port_print(const char *text)
{
    char host[NET_FORWARD_TEXT];
    struct net_forward forward;

    if (net_forward_parse("port", text, &forward, NULL) < 0)
        return;
    net_forward_print_host(&forward, host);
    printf("%u/%s -> %s\n", forward.guest_port, forward.udp ? "udp" : "tcp", host);
}

static int port_run(const struct cli_args *args)
{
    struct port_changes changes = {.count = 0};
    struct guest guest = GUEST_NONE;
    struct vm_config config = {0};
    struct err err;
    int r = port_changes_read(args, &changes, &err);

    if (!r)
        r = guests_open(args->operands[0], &guest, &err);
    if (!r && changes.count)
        r = port_change(&guest, &changes, &err);
    if (!r)
        r = guest_read_config(&guest, &config, &err);
    for (char **p = r ? NULL : config.ports; p && *p; p++)
        port_print(*p);
    guest_close(&guest);
    vm_config_done(&config);
    return r ? cli_fail(&err) : EXIT_OK;
}

static const struct cli_option port_options[] = {
    {"add", 'a', "[HOSTIP:]HOST:GUEST[/udp]", "forward this port as well, as -p of run",
     CLI_REPEAT},
    {"rm", 'r', "[HOSTIP:]HOST[/udp]", "no longer forward this port of the host", CLI_REPEAT},
    CLI_OPTIONS_END,
};

const struct cli_verb cli_port_verb = {
    .name = "port",
    .operands = "GUEST",
    .summary = "Show or change which ports of this host lead into a guest",
    .details = "Changes count at once, also of a virtual machine that runs, and stay with the "
               "guest. Those of\na container count from its next start on. Connections that came "
               "by a port outlive it.",
    .options = port_options,
    .min = 1,
    .max = 1,
    .run = port_run,
};
