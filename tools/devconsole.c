/* SPDX-License-Identifier: Apache-2.0 */
/*
 * devconsole: text lines to one device, without a CPU. Each line is echoed, then what it did, so
 * that a transcript reads by itself; tests/devices keeps such transcripts. See `help`.
 *     devconsole [--trace FILE,CLASS...] <LINES
 * Exits with 2 on a line it cannot read.
 */
#include "base/cleanup.h"
#include "devices/timer/sstc.h"
#include "rig/rig.h"
#include <ctype.h>
#include <inttypes.h>
#include <posada/trace.h>
#include <string.h>

enum { WORDS_MAX = 64, DUMP_MAX = 256, TRACE_RECORDS = 4096 };

struct console {
    struct rig *rig;
    uint8_t *saved;
    size_t saved_len;
    unsigned power_seen;
    const char *word[WORDS_MAX];
    unsigned words;
    const char *line; /* unsplit */
    char type[32];
};

struct command {
    const char *name, *arguments, *help;
    unsigned min_words;
    bool (*run)(struct console *c); /* false: arguments make no sense */
};

static uint64_t number(const char *word)
{
    return strtoull(word, NULL, 0);
}

/* --- Commands --- */
static bool cmd_device(struct console *c)
{
    struct err err;

    rig_free(TAKE(c->rig));
    snprintf(c->type, sizeof(c->type), "%s", c->word[1]);
    if (!rig_new(c->type, 1, &c->rig, &err))
        return true;
    printf("%s\n", err.text);
    return false;
}

static bool cmd_types(struct console *c)
{
    for (const char *const *type = rig_types; *type; type++)
        printf("%s\n", *type);
    return true;
}

static bool cmd_read(struct console *c)
{
    unsigned size = (unsigned)(c->word[0][1] - '0');
    uint64_t val;

    if (rig_read(c->rig, number(c->word[1]), size, &val))
        printf("0x%" PRIx64 "\n", val);
    else
        printf("refused\n");
    return true;
}

static bool cmd_write(struct console *c)
{
    unsigned size = (unsigned)(c->word[0][1] - '0');

    if (!rig_write(c->rig, number(c->word[1]), size, number(c->word[2])))
        printf("refused\n");
    return true;
}

static bool cmd_step(struct console *c)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};
    char *end;
    uint64_t n = strtoull(c->word[1], &end, 0);

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!strcmp(end, units[i].name)) {
            clock_advance(c->rig->clock, n * units[i].ns);
            return true;
        }
    }
    return false;
}

/* The outputs that are high. */
static bool cmd_irq(struct console *c)
{
    bool any = false;

    printf("irq:");
    for (unsigned i = 0; i < rig_irq_count(c->rig); i++) {
        if (rig_irq(c->rig, i)) {
            printf(" %u", i);
            any = true;
        }
    }
    printf("%s\n", any ? "" : " none");
    return true;
}

static bool cmd_edges(struct console *c)
{
    printf("edges:");
    for (unsigned i = 0; i < rig_irq_count(c->rig); i++)
        printf(" %u", c->rig->edges[i]);
    printf("\n");
    return true;
}

static bool cmd_disk(struct console *c)
{
    if (!rig_disk_complete(c->rig, -(int)number(c->word[1])))
        printf("nothing waits\n");
    return true;
}

static bool cmd_prepare(struct console *c)
{
    if (!c->rig->prepare)
        return false;
    c->rig->prepare(c->rig);
    return true;
}

static bool cmd_pin(struct console *c)
{
    const struct device_ops *ops = c->rig->dev->ops;

    if (!ops->input)
        return false;
    ops->input(c->rig->dev, (unsigned)number(c->word[1]), number(c->word[2]) != 0);
    return true;
}

static bool cmd_reset(struct console *c)
{
    rig_reset(c->rig);
    return true;
}

static bool cmd_save(struct console *c)
{
    struct err err;

    free(TAKE(c->saved));
    if (device_set_save(&c->rig->set, c->rig->clock, &c->saved, &c->saved_len, &err))
        printf("%s\n", err.text);
    return true;
}

static bool cmd_load(struct console *c)
{
    struct err err;

    if (!c->saved)
        return false;
    if (device_set_load(&c->rig->set, c->rig->clock, c->saved, c->saved_len, &err))
        printf("%s\n", err.text);
    return true;
}

static bool cmd_dump(struct console *c)
{
    CLEANUP(free) uint8_t *data = NULL;
    size_t len;
    struct err err;

    if (device_set_save(&c->rig->set, c->rig->clock, &data, &len, &err) ||
        state_dump(data, len, stdout, &err))
        printf("%s\n", err.text);
    return true;
}

static bool cmd_dma(struct console *c)
{
    uint8_t bytes[WORDS_MAX];
    size_t len = c->words - 2;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)strtoul(c->word[2 + i], NULL, 16);
    if (mem_write(c->rig->mem, GPA(number(c->word[1])), bytes, len))
        printf("not RAM\n");
    return true;
}

static bool cmd_mem(struct console *c)
{
    uint8_t bytes[DUMP_MAX];
    size_t len = number(c->word[2]);

    if (len > DUMP_MAX)
        return false;
    if (mem_read(c->rig->mem, GPA(number(c->word[1])), bytes, len)) {
        printf("not RAM\n");
        return true;
    }
    for (size_t i = 0; i < len; i++)
        printf("%02x%c", bytes[i], i + 1 < len ? ' ' : '\n');
    return true;
}

static bool cmd_type(struct console *c)
{
    const char *text = c->line + strlen("type ");

    rig_type(c->rig, 0, text, strlen(text));
    return true;
}

static bool cmd_room(struct console *c)
{
    rig_line_room(c->rig, 0, strcmp(c->word[1], "all") ? number(c->word[1]) : SIZE_MAX);
    return true;
}

static bool cmd_wall(struct console *c)
{
    clock_set_wall_ns(c->rig->clock, number(c->word[1]));
    return true;
}

static bool cmd_stimecmp(struct console *c)
{
    if (c->rig->dev->ops != &sstc_ops)
        return false;
    sstc_set(c->rig->dev, (unsigned)number(c->word[1]), number(c->word[2]));
    return true;
}

static bool cmd_errors(struct console *c)
{
    printf("guest errors: %" PRIu64 "\n", c->rig->dev->guest_errors);
    return true;
}

static bool cmd_help(struct console *c);

static const struct command commands[] = {
    {"device", "TYPE", "starts with a new device of this type", 2, cmd_device},
    {"types", "", "lists the types", 1, cmd_types},
    {"r1", "OFFSET", "reads a register; r2, r4, r8 likewise", 2, cmd_read},
    {"r2", NULL, NULL, 2, cmd_read},
    {"r4", NULL, NULL, 2, cmd_read},
    {"r8", NULL, NULL, 2, cmd_read},
    {"w1", "OFFSET VALUE", "writes a register; w2, w4, w8 likewise", 3, cmd_write},
    {"w2", NULL, NULL, 3, cmd_write},
    {"w4", NULL, NULL, 3, cmd_write},
    {"w8", NULL, NULL, 3, cmd_write},
    {"step", "TIME", "advances the guest clock by 5ns, 5us, 5ms or 5s", 2, cmd_step},
    {"irq?", "", "prints the interrupt outputs that are high", 1, cmd_irq},
    {"edges?", "", "prints how often each output rose", 1, cmd_edges},
    {"pin", "PIN 0|1", "sets an input of an interrupt controller", 3, cmd_pin},
    {"reset", "", "resets the device", 1, cmd_reset},
    {"save", "", "keeps the state", 1, cmd_save},
    {"load", "", "goes back to the kept state", 1, cmd_load},
    {"dump", "", "prints the state", 1, cmd_dump},
    {"dma", "ADDRESS HEX...", "writes bytes to RAM (1 MiB at 0x80000000)", 3, cmd_dma},
    {"mem", "ADDRESS LENGTH", "prints bytes of RAM", 3, cmd_mem},
    {"type", "TEXT", "sends text to a UART from the far end", 2, cmd_type},
    {"room", "N|all", "lets the far end take N more bytes", 2, cmd_room},
    {"disk", "ERRNO", "ends the oldest disk request; 0: carries it out", 2, cmd_disk},
    {"prepare", "", "does what a driver does first (virtio)", 1, cmd_prepare},
    {"wall", "NS", "sets the time of day", 2, cmd_wall},
    {"stimecmp", "HART TICKS", "sets a comparator of riscv,sstc", 3, cmd_stimecmp},
    {"errors?", "", "prints how many guest errors were counted", 1, cmd_errors},
    {"help", "", "this list", 1, cmd_help},
};

static bool cmd_help(struct console *c)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (commands[i].help)
            printf("%-8s %-15s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    }
    return true;
}

/* --- What happened besides --- */
static void print_output(const struct rig_chardev *line)
{
    printf("out: \"");
    for (size_t i = 0; i < line->out_len; i++)
        printf(isprint(line->out[i]) ? "%c" : "\\x%02x", line->out[i]);
    printf("\"\n");
}

static void print_events(struct console *c)
{
    static const char *const actions[] = {"off", "reset", "panic"};
    struct rig *rig = c->rig;

    for (unsigned i = 0; i < RIG_LINES; i++) {
        if (rig->line[i].out_len)
            print_output(&rig->line[i]);
        rig->line[i].out_len = 0;
    }
    if (rig->power_requests)
        printf("power: %s, code %u\n", actions[rig->power_action], rig->power_code);
    rig->power_requests = 0;
}

static void split(struct console *c, char *line)
{
    c->words = 0;
    for (char *w = strtok(line, " \t"); w && c->words < WORDS_MAX; w = strtok(NULL, " \t"))
        c->word[c->words++] = w;
}

static bool run(struct console *c)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct command *cmd = &commands[i];

        if (strcmp(cmd->name, c->word[0]))
            continue;
        if (c->words < cmd->min_words)
            return false;
        if (!c->rig && cmd->run != cmd_device && cmd->run != cmd_types && cmd->run != cmd_help)
            return false;
        return cmd->run(c);
    }
    return false;
}

/* A line is a command, a comment (#) or empty. */
static bool serve(struct console *c, char *line)
{
    CLEANUP(free) char *words = NULL;

    line[strcspn(line, "\r\n")] = 0;
    printf("> %s\n", line);
    words = strdup(line);
    if (!words)
        return false;
    c->line = line;
    split(c, words);
    if (!c->words || c->word[0][0] == '#')
        return true;
    if (!run(c))
        return false;
    if (c->rig)
        print_events(c);
    return true;
}

static int start_trace(int argc, char **argv)
{
    char *classes = argc == 3 && !strcmp(argv[1], "--trace") ? strchr(argv[2], ',') : NULL;
    struct err err;

    if (argc == 1)
        return 0;
    if (!classes) {
        fprintf(stderr, "usage: devconsole [--trace FILE,CLASS...] <LINES\n");
        return 2;
    }
    *classes++ = 0;
    if (!trace_open(argv[2], classes, TRACE_RECORDS, &err))
        return 0;
    fprintf(stderr, "devconsole: %s\n", err.text);
    return 1;
}

int main(int argc, char **argv)
{
    struct console c = {0};
    char line[1024];
    int status = start_trace(argc, argv);

    while (!status && fgets(line, sizeof(line), stdin)) {
        if (!serve(&c, line)) {
            printf("cannot do this line; try: help\n");
            status = 2;
        }
        (void)fflush(stdout);
    }
    rig_free(c.rig);
    free(c.saved);
    trace_close();
    return status;
}
