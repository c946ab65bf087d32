/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GDB stub: the commands. Spec: GDB manual, appendix E.2 "Packets" and E.4 "General Query
 * Packets". Every number is parsed with bounds; what makes no sense is answered with an error.
 * A thread of the protocol is a vCPU: thread n is vCPU n - 1.
 */
#include "base/checked.h"
#include "mmu/mmu.h"
#include "vm/gdb_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GDB_REGISTER_MAX = 16, GDB_REGISTERS_MAX = 128, GDB_ALL_THREADS = -1 };
/* Payload that fits an answer as hexadecimal, with its frame. */
enum { GDB_MEMORY_MAX = GDB_PACKET_MAX / 2 - 8 };

static const char gdb_error[] = "E01";

static struct cpu *gdb_cpu(const struct gdb *gdb, unsigned index)
{
    struct engine *engine = machine_engine(gdb->machine);

    return engine->ops->vcpu(engine, index);
}

/* --- Numbers and bytes --- */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A hexadecimal number followed by `end` (0: the packet's end); *at moves behind it. */
static bool hex_number(const char **at, char end, uint64_t *ret_val)
{
    const char *p = *at;
    uint64_t val = 0;
    unsigned digits = 0;

    for (; hex_digit(*p) >= 0; p++, digits++)
        val = val << 4 | (unsigned)hex_digit(*p);
    if (!digits || digits > 16 || *p != end)
        return false;
    *at = end ? p + 1 : p;
    *ret_val = val;
    return true;
}

static void hex_write(char *to, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
    to[2 * len] = 0;
}

/* Exactly len bytes from hexadecimal text. */
static bool hex_read(const char *text, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

        if (low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* "1f", "-1" or "0" (any): vCPU index, GDB_ALL_THREADS, or -2 for one that is not there. */
static int gdb_parse_thread(const struct gdb *gdb, const char *text)
{
    uint64_t id;

    if (!strncmp(text, "-1", 2))
        return GDB_ALL_THREADS;
    if (!hex_number(&text, 0, &id) || id > gdb->vcpus)
        return -2;
    return id ? (int)id - 1 : (int)gdb->thread;
}

/* --- Registers --- */
static void gdb_read_registers(struct gdb *gdb)
{
    struct cpu *cpu = gdb_cpu(gdb, gdb->thread);
    char text[GDB_REGISTERS_MAX * GDB_REGISTER_MAX * 2 + 1] = "";
    uint8_t buf[GDB_REGISTER_MAX];
    size_t len = 0;

    for (unsigned n = 0; n < GDB_REGISTERS_MAX; n++) {
        unsigned size = cpu->ops->gdb_read(cpu, n, buf);

        if (!size)
            break;
        hex_write(text + len, buf, size);
        len += 2 * size;
    }
    gdb_send(gdb, text);
}

static void gdb_write_registers(struct gdb *gdb, const char *text, size_t len)
{
    struct cpu *cpu = gdb_cpu(gdb, gdb->thread);
    uint8_t buf[GDB_REGISTER_MAX];

    for (unsigned n = 0; n < GDB_REGISTERS_MAX && len; n++) {
        unsigned size = cpu->ops->gdb_read(cpu, n, buf);

        if (!size || len < 2 * size || !hex_read(text, buf, size)) {
            gdb_send(gdb, gdb_error);
            return;
        }
        (void)cpu->ops->gdb_write(cpu, n, buf); /* a read-only register keeps its value */
        text += 2 * size;
        len -= 2 * size;
    }
    gdb_send(gdb, "OK");
}

static void gdb_read_register(struct gdb *gdb, const char *args)
{
    struct cpu *cpu = gdb_cpu(gdb, gdb->thread);
    char text[2 * GDB_REGISTER_MAX + 1];
    uint8_t buf[GDB_REGISTER_MAX];
    uint64_t n;
    unsigned size = 0;

    if (hex_number(&args, 0, &n) && n <= UINT16_MAX)
        size = cpu->ops->gdb_read(cpu, (unsigned)n, buf);
    hex_write(text, buf, size);
    gdb_send(gdb, size ? text : gdb_error);
}

static void gdb_write_register(struct gdb *gdb, const char *args)
{
    struct cpu *cpu = gdb_cpu(gdb, gdb->thread);
    uint8_t buf[GDB_REGISTER_MAX];
    bool done = false;
    uint64_t n;

    if (hex_number(&args, '=', &n) && n <= UINT16_MAX) {
        unsigned size = cpu->ops->gdb_read(cpu, (unsigned)n, buf);

        done = size && hex_read(args, buf, size) && cpu->ops->gdb_write(cpu, (unsigned)n, buf);
    }
    gdb_send(gdb, done ? "OK" : gdb_error);
}

/* --- Memory --- */
static void gdb_read_memory(struct gdb *gdb, const char *args)
{
    struct cpu *cpu = gdb_cpu(gdb, gdb->thread);
    char text[2 * GDB_MEMORY_MAX + 1];
    uint8_t buf[GDB_MEMORY_MAX];
    uint64_t at, len;

    if (!hex_number(&args, ',', &at) || !hex_number(&args, 0, &len)) {
        gdb_send(gdb, gdb_error);
        return;
    }
    if (len > sizeof(buf))
        len = sizeof(buf); /* a short answer is legal */
    if (mmu_peek(cpu, at, buf, len)) {
        gdb_send(gdb, gdb_error);
        return;
    }
    hex_write(text, buf, len);
    gdb_send(gdb, text);
}

static void gdb_poke(struct gdb *gdb, uint64_t at, const uint8_t *buf, size_t len)
{
    gdb_send(gdb, mmu_poke(gdb_cpu(gdb, gdb->thread), at, buf, len) ? gdb_error : "OK");
}

static void gdb_write_memory_hex(struct gdb *gdb, const char *args)
{
    uint8_t buf[GDB_MEMORY_MAX];
    uint64_t at, len;

    if (!hex_number(&args, ',', &at) || !hex_number(&args, ':', &len) || len > sizeof(buf) ||
        !hex_read(args, buf, len))
        gdb_send(gdb, gdb_error);
    else
        gdb_poke(gdb, at, buf, len);
}

/* Binary data: '}' escapes the next byte, which is sent with bit 5 flipped. */
static void gdb_write_memory_binary(struct gdb *gdb, const char *args, const char *end)
{
    uint8_t buf[GDB_PACKET_MAX];
    uint64_t at, len;
    size_t n = 0;

    if (!hex_number(&args, ',', &at) || !hex_number(&args, ':', &len)) {
        gdb_send(gdb, gdb_error);
        return;
    }
    for (; args < end; args++) {
        if (*args == '}' && args + 1 < end)
            buf[n++] = (uint8_t)(*++args ^ 0x20);
        else
            buf[n++] = (uint8_t)*args;
    }
    if (n != len)
        gdb_send(gdb, gdb_error);
    else
        gdb_poke(gdb, at, buf, n);
}

/* --- Breakpoints --- */
static unsigned gdb_find_breakpoint(const struct gdb *gdb, uint64_t at)
{
    unsigned i = 0;

    while (i < gdb->breakpoint_count && gdb->breakpoint[i] < at)
        i++;
    return i;
}

static bool gdb_insert_breakpoint(struct gdb *gdb, uint64_t at)
{
    unsigned i = gdb_find_breakpoint(gdb, at);

    if (i < gdb->breakpoint_count && gdb->breakpoint[i] == at)
        return true;
    if (gdb->breakpoint_count == GDB_BREAKPOINTS_MAX)
        return false;
    memmove(gdb->breakpoint + i + 1, gdb->breakpoint + i,
            (gdb->breakpoint_count++ - i) * sizeof(gdb->breakpoint[0]));
    gdb->breakpoint[i] = at;
    return true;
}

static void gdb_remove_breakpoint(struct gdb *gdb, uint64_t at)
{
    unsigned i = gdb_find_breakpoint(gdb, at);

    if (i < gdb->breakpoint_count && gdb->breakpoint[i] == at)
        memmove(gdb->breakpoint + i, gdb->breakpoint + i + 1,
                (--gdb->breakpoint_count - i) * sizeof(gdb->breakpoint[0]));
}

/* "0,ADDRESS,KIND": software (0) and hardware (1) breakpoints are the same to us. */
static void gdb_breakpoint(struct gdb *gdb, const char *args, bool insert)
{
    uint64_t type, at;

    if (!hex_number(&args, ',', &type) || !hex_number(&args, ',', &at)) {
        gdb_send(gdb, gdb_error);
        return;
    }
    if (type > 1) {
        gdb_send(gdb, "");
        return;
    }
    if (!insert)
        gdb_remove_breakpoint(gdb, at);
    gdb_send(gdb, !insert || gdb_insert_breakpoint(gdb, at) ? "OK" : gdb_error);
}

/* --- Going on --- */
static void gdb_resume_all(struct gdb *gdb, enum gdb_action first)
{
    enum gdb_action action[VM_CPUS_MAX];

    for (unsigned i = 0; i < gdb->vcpus; i++)
        action[i] = i == gdb->thread || first == GDB_CONTINUE ? first : GDB_STAY;
    gdb_resume(gdb, action);
}

/* "c", "s", "C05", "S05": the rest of the old commands' arguments are not used by any GDB. */
static enum gdb_action gdb_parse_action(const char *text)
{
    switch (text[0]) {
    case 'c':
    case 'C': return GDB_CONTINUE;
    case 's':
    case 'S': return GDB_STEP;
    default: return GDB_STAY;
    }
}

/* "vCont;ACTION[:THREAD];...": the leftmost that names a vCPU decides for it. */
static void gdb_vcont(struct gdb *gdb, char *args)
{
    enum gdb_action action[VM_CPUS_MAX] = {GDB_STAY};
    uint64_t decided = 0;
    char *save = NULL;

    for (char *item = strtok_r(args, ";", &save); item; item = strtok_r(NULL, ";", &save)) {
        const char *colon = strchr(item, ':');
        int thread = colon ? gdb_parse_thread(gdb, colon + 1) : GDB_ALL_THREADS;

        for (unsigned i = 0; i < gdb->vcpus; i++) {
            if ((decided >> i & 1) || (thread != GDB_ALL_THREADS && thread != (int)i))
                continue;
            action[i] = gdb_parse_action(item);
            decided |= UINT64_C(1) << i;
        }
    }
    if (!decided)
        gdb_send(gdb, gdb_error);
    else
        gdb_resume(gdb, action);
}

static void gdb_v(struct gdb *gdb, char *packet)
{
    if (!strcmp(packet, "vCont?"))
        gdb_send(gdb, "vCont;c;C;s;S");
    else if (!strncmp(packet, "vCont;", 6))
        gdb_vcont(gdb, packet + 6);
    else if (!strncmp(packet, "vKill", 5)) {
        gdb_send(gdb, "OK");
        machine_request_power(gdb->machine, POWER_OFF, 0);
    } else
        gdb_send(gdb, "");
}

/* --- Queries --- */
static void gdb_send_threads(struct gdb *gdb)
{
    char text[VM_CPUS_MAX * 4 + 2] = "m";
    size_t len = 1;

    for (unsigned i = 0; i < gdb->vcpus; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, i ? ",%x" : "%x", i + 1);
    gdb_send(gdb, text);
}

static void gdb_send_thread_name(struct gdb *gdb, const char *args)
{
    int thread = gdb_parse_thread(gdb, args);
    char name[24], text[2 * sizeof(name) + 1];

    if (thread < 0) {
        gdb_send(gdb, gdb_error);
        return;
    }
    snprintf(name, sizeof(name), "vCPU %d", thread);
    hex_write(text, (const uint8_t *)name, strlen(name));
    gdb_send(gdb, text);
}

/* "OFFSET,LENGTH" of the target description. */
static void gdb_send_features(struct gdb *gdb, const char *args)
{
    const char *xml = gdb_cpu(gdb, 0)->ops->gdb_xml();
    uint64_t off, len, total = strlen(xml);
    char text[GDB_PACKET_MAX];

    if (!hex_number(&args, ',', &off) || !hex_number(&args, 0, &len)) {
        gdb_send(gdb, gdb_error);
        return;
    }
    if (off > total)
        off = total;
    if (len > total - off)
        len = total - off;
    if (len > sizeof(text) - 2)
        len = sizeof(text) - 2;
    snprintf(text, sizeof(text), "%c%.*s", off + len < total ? 'm' : 'l', (int)len, xml + off);
    gdb_send(gdb, text);
}

static void gdb_query(struct gdb *gdb, const char *packet)
{
    static const char features[] = "qXfer:features:read:target.xml:";
    static const char extra[] = "qThreadExtraInfo,";
    char text[96];

    if (!strncmp(packet, "qSupported", 10)) {
        snprintf(text, sizeof(text),
                 "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;vContSupported+",
                 GDB_PACKET_MAX);
        gdb_send(gdb, text);
    } else if (!strncmp(packet, features, strlen(features)))
        gdb_send_features(gdb, packet + strlen(features));
    else if (!strncmp(packet, extra, strlen(extra)))
        gdb_send_thread_name(gdb, packet + strlen(extra));
    else if (!strcmp(packet, "qfThreadInfo"))
        gdb_send_threads(gdb);
    else if (!strcmp(packet, "qsThreadInfo"))
        gdb_send(gdb, "l");
    else if (!strcmp(packet, "qC")) {
        snprintf(text, sizeof(text), "QC%x", gdb->thread + 1);
        gdb_send(gdb, text);
    } else
        gdb_send(gdb, !strncmp(packet, "qAttached", 9) ? "1" : "");
}

static void gdb_set_thread(struct gdb *gdb, const char *args)
{
    int thread = args[0] ? gdb_parse_thread(gdb, args + 1) : -2;

    if (thread >= 0)
        gdb->thread = (unsigned)thread;
    gdb_send(gdb, thread >= GDB_ALL_THREADS ? "OK" : gdb_error);
}

static void gdb_no_ack(struct gdb *gdb, const char *packet)
{
    bool known = !strcmp(packet, "QStartNoAckMode");

    gdb_send(gdb, known ? "OK" : "");
    gdb->no_ack |= known;
}

static void gdb_leave(struct gdb *gdb)
{
    gdb_send(gdb, "OK");
    gdb->closing = true; /* closing lets the guest go */
}

void gdb_command(struct gdb *gdb, char *packet, size_t len)
{
    const char *args = packet + 1;

    if (!len || gdb->running) {
        gdb_send(gdb, ""); /* only an interrupt makes sense while the vCPUs run */
        return;
    }
    switch (packet[0]) {
    case '?': gdb_send_stop(gdb, GDB_SIGNAL_TRAP); break;
    case 'g': gdb_read_registers(gdb); break;
    case 'G': gdb_write_registers(gdb, args, len - 1); break;
    case 'p': gdb_read_register(gdb, args); break;
    case 'P': gdb_write_register(gdb, args); break;
    case 'm': gdb_read_memory(gdb, args); break;
    case 'M': gdb_write_memory_hex(gdb, args); break;
    case 'X': gdb_write_memory_binary(gdb, args, packet + len); break;
    case 'Z': gdb_breakpoint(gdb, args, true); break;
    case 'z': gdb_breakpoint(gdb, args, false); break;
    case 'c':
    case 'C': gdb_resume_all(gdb, GDB_CONTINUE); break;
    case 's':
    case 'S': gdb_resume_all(gdb, GDB_STEP); break;
    case 'v': gdb_v(gdb, packet); break;
    case 'q': gdb_query(gdb, packet); break;
    case 'Q': gdb_no_ack(gdb, packet); break;
    case 'H': gdb_set_thread(gdb, args); break;
    case 'T': gdb_send(gdb, gdb_parse_thread(gdb, args) >= 0 ? "OK" : gdb_error); break;
    case 'D': gdb_leave(gdb); break;
    case 'k': machine_request_power(gdb->machine, POWER_OFF, 0); break;
    default: gdb_send(gdb, ""); break;
    }
}
