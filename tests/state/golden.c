/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden states: one file for each saved type and version, so that no layout changes by accident
 * and what an older posada saved still loads.
 *     golden DIRECTORY            compares and loads; 1 on the first difference
 *     golden --write DIRECTORY    writes files that are missing (a new type or version)
 * Fields are filled with legal values that follow from their names; then every field is known to
 * be saved and loaded, which a state after reset would not show.
 */
#include "base/cleanup.h"
#include "cpu/riscv/riscv.h"
#include "cpu/x86/x86.h"
#include "rig/rig.h"
#include "state/format.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { GOLDEN_SIZE_MAX = 1 << 20 };

struct golden {
    const char *directory;
    bool write;
    unsigned checked, written;
};

static void fill_field(const struct state_field *f, void *object)
{
    uint64_t random = state_hash((const uint8_t *)f->name, strlen(f->name));
    char *at = (char *)object + f->offset;

    for (uint32_t i = 0; i < f->count; i++, at += state_type_size(f->type)) {
        uint64_t val = rig_random(&random) & f->max;

        if (val > f->max)
            val = f->max;
        memcpy(at, &val, state_type_size(f->type)); /* little-endian hosts: a test */
    }
}

static void fill(const struct state_object *o)
{
    for (const struct state_field *f = o->fields; f->type != STATE_TYPE_END; f++)
        fill_field(f, o->object);
}

static int complain(const char *path, const char *what)
{
    fprintf(stderr, "golden: %s: %s\n", path, what);
    return 1;
}

static int write_golden(struct golden *g, const char *path, const uint8_t *data, size_t len)
{
    CLEANUP(file) FILE *f = fopen(path, "wbx");

    if (!f || fwrite(data, len, 1, f) != 1)
        return complain(path, strerror(errno));
    g->written++;
    return 0;
}

static int compare(struct golden *g, const struct state_object *o, const char *path, FILE *f,
                   const uint8_t *data, size_t len)
{
    static uint8_t kept[GOLDEN_SIZE_MAX];
    size_t kept_len = fread(kept, 1, sizeof(kept), f);
    struct err err;

    g->checked++;
    if (state_load(o, 1, kept, kept_len, &err))
        return complain(path, err.text);
    if (kept_len != len || memcmp(kept, data, len))
        return complain(path,
                        "the saved form has changed: bump state_version, then golden --write");
    return 0;
}

/* The object's memory is the test's to fill. */
static int check_object(struct golden *g, struct state_object o)
{
    CLEANUP(free) uint8_t *data = NULL;
    CLEANUP(file) FILE *f = NULL;
    char path[512];
    size_t len;
    struct err err;

    (void)snprintf(path, sizeof(path), "%s/%s.v%u.state", g->directory, o.type, o.version);
    o.name = "golden";
    fill(&o);
    if (state_save(&o, 1, &data, &len, &err))
        return complain(path, err.text);
    f = fopen(path, "rb");
    if (f)
        return compare(g, &o, path, f, data, len);
    if (g->write)
        return write_golden(g, path, data, len);
    return complain(path, "missing; run golden --write tests/state and commit the file");
}

static int check_rig(struct golden *g, const char *type)
{
    struct state_object objects[DEVICE_MAX];
    struct rig *rig;
    struct err err;
    unsigned count;
    int failed = 0;

    if (rig_new(type, 1, &rig, &err))
        return complain(type, err.text);
    count = device_set_objects(&rig->set, false, objects);
    for (unsigned i = 0; i < count; i++)
        failed |= check_object(g, objects[i]);
    device_settle_all(&rig->set); /* whatever it was loaded with */
    rig_free(rig);
    return failed;
}

static int check_cpu(struct golden *g, const struct cpu_ops *ops)
{
    CLEANUP(free) void *cpu = calloc(1, ops->instance_size);
    struct state_object o = {
        .type = ops->isa, .version = ops->state_version, .fields = ops->state, .object = cpu};

    return cpu ? check_object(g, o) : 1;
}

int main(int argc, char **argv)
{
    struct golden g = {.write = argc == 3 && !strcmp(argv[1], "--write")};
    int failed = 0;

    if (argc != (g.write ? 3 : 2)) {
        fprintf(stderr, "usage: golden [--write] DIRECTORY\n");
        return 2;
    }
    g.directory = argv[argc - 1];
    for (const char *const *type = rig_types; *type; type++)
        failed |= check_rig(&g, *type);
    failed |= check_cpu(&g, &riscv_cpu_ops);
    failed |= check_cpu(&g, &x86_cpu_ops);
    printf("golden: %u checked, %u written\n", g.checked, g.written);
    return failed;
}
