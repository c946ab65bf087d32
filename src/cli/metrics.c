/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posada stats --metrics: all guests as Prometheus text, exposition format 0.0.4: a family's HELP
 * and TYPE, then all its samples. Names: posada_ before, base units, _total behind counters. The
 * numbers of an engine become families by rule, and its process says which are present values, so a
 * new one needs nothing here.
 */
#include "cli/stats.h"

#include "cli/cli.h"
#include "cli/guests.h"
#include "vm/config.h"
#include <stdio.h>
#include <string.h>

struct family {
    const char *name, *type, *help;
};

static const struct family guest_families[] = {
    {"posada_build_info", "gauge", "The version that wrote this"},
    {"posada_guest_info", "gauge", "What a guest is; always 1"},
    {"posada_guest_up", "gauge", "1 when the guest's process lives"},
    {"posada_guest_running", "gauge", "1 when the guest is in state running"},
    {"posada_guest_start_time_seconds", "gauge", "When its last run began, since 1970"},
    {"posada_guest_exit_code", "gauge", "The exit code of the last run that has ended"},
    {"posada_guest_restarts", "gauge", "Restarts in a row by its restart policy"},
};

/* families: {NAME: {"type", "help", "samples": [TEXT]}}, in order. */
static json_t *metric_family(json_t *families, const char *name, const char *type, const char *help)
{
    json_t *family = json_object_get(families, name);

    if (!family) {
        family = json_pack("{s:s, s:s, s:[]}", "type", type, "help", help, "samples");
        json_object_set_new(families, name, family);
    }
    return json_object_get(family, "samples");
}

/* Label values: backslash, quote and line feed are escaped. */
static void metric_escape(const char *text, char *buf, size_t size)
{
    size_t n = 0;

    for (; *text && n + 3 < size; text++) {
        if (*text == '\\' || *text == '"' || *text == '\n')
            buf[n++] = '\\';
        buf[n++] = (char)(*text == '\n' ? 'n' : *text);
    }
    buf[n] = '\0';
}

static void metric_add(json_t *families, const struct family *family, const char *labels,
                       double value)
{
    json_array_append_new(metric_family(families, family->name, family->type, family->help),
                          json_sprintf("{%s} %.15g", labels, value));
}

/* Present values; all other numbers count. */
static bool metric_is_gauge(const json_t *gauges, const char *name)
{
    const json_t *gauge;
    size_t i;

    json_array_foreach(gauges, i, gauge) if (!strcmp(json_string_value(gauge), name)) return true;
    return false;
}

/* vcpu_cpu_ns: 5 -> posada_guest_vcpu_cpu_seconds_total{guest="a"} 5e-09 */
static void metric_engine_number(json_t *families, const char *name, json_int_t value, bool gauge,
                                 const char *labels)
{
    size_t len = strlen(name);
    bool ns = len > 3 && !strcmp(name + len - 3, "_ns");
    struct family family = {.type = gauge ? "gauge" : "counter"};
    char full[128], help[160];

    snprintf(full, sizeof(full), "posada_guest_%.*s%s%s", (int)(ns ? len - 3 : len), name,
             ns ? "_seconds" : "", gauge ? "" : "_total");
    snprintf(help, sizeof(help), "Number %.80s of the guest's process, see docs/stats.md", name);
    family.name = full;
    family.help = help;
    metric_add(families, &family, labels, ns ? (double)value / 1e9 : (double)value);
}

static void metric_engine(json_t *families, const struct guest *guest, const char *labels)
{
    json_t *answer = NULL, *value, *gauges;
    const char *name;

    if (stats_ask(guest, &answer, NULL) < 0)
        return; /* it has just ended */
    gauges = json_object_get(answer, "gauges");
    json_object_foreach(json_object_get(answer, "stats"), name, value) metric_engine_number(
        families, name, json_integer_value(value), metric_is_gauge(gauges, name), labels);
    json_decref(answer);
}

static void metric_guest(json_t *families, const struct guest *guest)
{
    const struct family *f = guest_families;
    struct guest_record record;
    struct vm_config config;
    char labels[VM_NAME_MAX + 16], info[512], image[200];
    bool up = guest_is_alive(guest);

    if (guest_read_record(guest, &record, NULL) < 0 || guest_read_config(guest, &config, NULL) < 0)
        return;
    snprintf(labels, sizeof(labels), "guest=\"%s\"", guest->name);
    metric_escape(config.image ? config.image : "", image, sizeof(image));
    snprintf(info, sizeof(info), "%s,uuid=\"%s\",arch=\"%s\",image=\"%s\"", labels, config.uuid,
             vm_arch_name(config.arch), image);
    metric_add(families, &f[1], info, 1);
    metric_add(families, &f[2], labels, up);
    metric_add(families, &f[3], labels, record.state == VM_RUNNING);
    if (record.started)
        metric_add(families, &f[4], labels, (double)record.started);
    if (record.ended)
        metric_add(families, &f[5], labels, record.exit_code);
    metric_add(families, &f[6], labels, record.restarts);
    if (up)
        metric_engine(families, guest, labels);
    vm_config_done(&config);
}

static void metric_print(const json_t *families)
{
    const char *name;
    json_t *family, *sample;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)families, name, family)
    {
        printf("# HELP %s %s\n# TYPE %s %s\n", name,
               json_string_value(json_object_get(family, "help")), name,
               json_string_value(json_object_get(family, "type")));
        json_array_foreach(json_object_get(family, "samples"), i, sample)
            printf("%s%s\n", name, json_string_value(sample));
    }
}

int stats_metrics(void)
{
    json_t *families = json_object();
    char **names = NULL;
    struct err err;

    guests_tidy();
    if (store_list(&names, &err) < 0) {
        json_decref(families);
        return cli_fail(&err);
    }
    metric_add(families, &guest_families[0], "version=\"" POSADA_VERSION "\"", 1);
    for (char **name = names; *name; name++) {
        struct guest guest = GUEST_NONE;

        if (!store_open(*name, &guest, NULL))
            metric_guest(families, &guest);
        guest_close(&guest);
    }
    metric_print(families);
    json_decref(families);
    vm_strings_free(names);
    return EXIT_OK;
}
