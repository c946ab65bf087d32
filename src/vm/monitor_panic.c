/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest's kernel that gives up, known by what it says on its console: Linux' panic() prints
 * "Kernel panic - not syncing: WHY" and, unless it restarts the machine at once (panic=-1) or after
 * a while ("Rebooting in N seconds.."), ends with "---[ end Kernel panic ..." and is silent for
 * ever. Before its agent answers, the first line is enough. Afterwards anything in the guest may
 * print such lines, so only one that the machine falls silent or restarts behind counts. At worst a
 * guest ends itself so, which it may do anyway.
 */
#include "host/loop.h"
#include "vm/monitor_state.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PANIC_SILENCE_NS = 2000000000 };

static uint64_t panic_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void panic_end(struct monitor *m, const char *when)
{
    char reason[sizeof(m->record.reason)];

    snprintf(reason, sizeof(reason), "the guest's kernel panicked%s: %.200s", when, m->panic.why);
    monitor_end(m, VM_FAILED, EXIT_RUN_FAILED, reason);
}

/* Nothing came behind its last words, not even the beginning of a line. */
static void panic_on_silence(void *arg)
{
    struct monitor *m = arg;

    if (m->panic.last_words && !console_is_in_line(m->console))
        panic_end(m, "");
}

int monitor_panic_init(struct monitor *m)
{
    m->panic.timer = loop_timer_new(m->loop, panic_on_silence, m);
    return m->panic.timer ? 0 : -ENOMEM;
}

void monitor_on_line(void *arg, const char *line)
{
    static const char first[] = "Kernel panic - not syncing: ";
    static const char last[] = "---[ end Kernel panic - not syncing";
    struct monitor *m = arg;
    const char *found = strstr(line, last) ? NULL : strstr(line, first);

    m->panic.last_words = strstr(line, last) || strstr(line, "Rebooting in ");
    loop_timer_set(m->panic.timer, strstr(line, last) ? PANIC_SILENCE_NS : UINT64_MAX);
    if (!found)
        return;
    snprintf(m->panic.why, sizeof(m->panic.why), "%.200s", found + strlen(first));
    m->panic.at_ns = panic_now_ns();
    if (m->record.state == VM_STARTING)
        panic_end(m, " before its agent answered");
}

bool monitor_reset_is_panic(struct monitor *m)
{
    bool seen;

    console_flush(m->console); /* what it said just before is still being gathered */
    if (m->ending)
        return true;
    seen = m->panic.why[0] &&
           (m->panic.last_words || panic_now_ns() - m->panic.at_ns < PANIC_SILENCE_NS);
    if (seen)
        panic_end(m, "");
    m->panic.why[0] = '\0';
    return seen;
}
