/* SPDX-License-Identifier: Apache-2.0 */
/* Guest files into command lines. Contract: cli/guestfile.h. */
#include "cli/guestfile.h"

#include "base/cleanup.h"
#include "base/suggest.h"
#include "cli/run.h"
#include "cli/verbs.h"
#include "cli/yamltree.h"
#include "host/file.h"
#include "vm/config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

const struct cli_about guestfile_keys[] = {
    {"image", "the image it is made from, as posada create's first argument"},
    {"command", "the command it runs: a list of words"},
    {"depends_on", "guests of this file, one or a list, that must run before this one starts"},
    {NULL, NULL},
};

struct guestfile_reader {
    struct guestfile *file;
    struct err *err;
};

static int guestfile_refuse(struct guestfile_reader *rd, const struct yaml_tree *node,
                            const char *key, const char *text)
{
    return err_set(rd->err, -EINVAL, "%s: line %u: %s: %s", rd->file->path, node->line, key, text);
}

static int guestfile_unknown(struct guestfile_reader *rd, const struct yaml_tree *node,
                             const struct suggest *s, const char *what)
{
    return err_set(rd->err, -EINVAL, "%s: line %u: unknown %s '%.60s'%s%s%s", rd->file->path,
                   node->line, what, s->word, s->best ? "; did you mean '" : "",
                   s->best ? s->best : "", s->best ? "'?" : "");
}

/* --- the keys of one guest --- */

static int guest_set(struct guestfile_reader *rd, struct guestfile_guest *g,
                     const struct cli_option *option, const struct yaml_tree *node,
                     const char *value)
{
    if (g->args.setting_count == GUESTFILE_VALUES_MAX)
        return guestfile_refuse(rd, node, option->name, "too many values for one guest");
    g->args.settings[g->args.setting_count++] = (struct cli_setting){option, value};
    return 0;
}

static int guest_switch(struct guestfile_reader *rd, struct guestfile_guest *g,
                        const struct cli_option *option, const struct yaml_tree *node)
{
    bool on = node->text && !strcmp(node->text, "true");

    if (!on && (!node->text || strcmp(node->text, "false") != 0))
        return guestfile_refuse(rd, node, option->name, "expected true or false");
    return on ? guest_set(rd, g, option, node, NULL) : 0;
}

/* env: {KEY: value} as KEY=value. */
static int guest_pair(struct guestfile_reader *rd, struct guestfile_guest *g,
                      const struct cli_option *option, const struct yaml_tree *node)
{
    char *text;

    if (node->kind != YAML_TREE_TEXT)
        return guestfile_refuse(rd, node, option->name, "expected KEY: value");
    if (g->made_count == GUESTFILE_VALUES_MAX)
        return guestfile_refuse(rd, node, option->name, "too many values for one guest");
    if (asprintf(&text, "%s=%s", node->key, node->text) < 0)
        return err_set(rd->err, -ENOMEM, "out of memory");
    g->made[g->made_count++] = text;
    return guest_set(rd, g, option, node, text);
}

static int guest_values(struct guestfile_reader *rd, struct guestfile_guest *g,
                        const struct cli_option *option, const struct yaml_tree *node)
{
    bool pairs = node->kind == YAML_TREE_MAP && option->value && strchr(option->value, '=');
    int r = 0;

    if (node->kind == YAML_TREE_MAP && !pairs)
        return guestfile_refuse(rd, node, option->name, "expected a text or a list of texts");
    for (const struct yaml_tree *item = node->child; item && !r; item = item->next) {
        if (pairs)
            r = guest_pair(rd, g, option, item);
        else if (item->kind != YAML_TREE_TEXT)
            r = guestfile_refuse(rd, item, option->name, "expected a list of texts");
        else
            r = guest_set(rd, g, option, item, item->text);
    }
    return r;
}

static int guest_option(struct guestfile_reader *rd, struct guestfile_guest *g,
                        const struct cli_option *option, const struct yaml_tree *node)
{
    if (!option->value)
        return guest_switch(rd, g, option, node);
    if (node->kind == YAML_TREE_TEXT)
        return guest_set(rd, g, option, node, node->text);
    if (!(option->flags & CLI_REPEAT))
        return guestfile_refuse(rd, node, option->name, "expected one text");
    return guest_values(rd, g, option, node);
}

static int guest_image(struct guestfile_reader *rd, struct guestfile_guest *g,
                       const struct yaml_tree *node)
{
    if (node->kind != YAML_TREE_TEXT || !*node->text)
        return guestfile_refuse(rd, node, "image", "expected an image's name");
    g->args.operands[0] = node->text;
    return 0;
}

/* Behind the image, which may be given after it, or not at all: place 0 is the image's. */
static int guest_command(struct guestfile_reader *rd, struct guestfile_guest *g,
                         const struct yaml_tree *node)
{
    unsigned count = 1;

    if (node->kind != YAML_TREE_LIST || !node->child)
        return guestfile_refuse(rd, node, "command", "expected a list of words, as [sleep, 60]");
    for (const struct yaml_tree *item = node->child; item; item = item->next) {
        if (item->kind != YAML_TREE_TEXT || count == GUESTFILE_VALUES_MAX)
            return guestfile_refuse(rd, item, "command", "expected a list of words, not too many");
        g->args.operands[count++] = item->text;
    }
    g->args.operand_count = count;
    return 0;
}

static int guest_depends(struct guestfile_reader *rd, struct guestfile_guest *g,
                         const struct yaml_tree *node)
{
    const struct yaml_tree *item = node->kind == YAML_TREE_TEXT ? node : node->child;

    if (node->kind == YAML_TREE_MAP)
        return guestfile_refuse(rd, node, "depends_on", "expected a guest's name or a list");
    for (; item; item = node->kind == YAML_TREE_TEXT ? NULL : item->next) {
        if (item->kind != YAML_TREE_TEXT || g->depends_count == GUESTFILE_GUESTS_MAX)
            return guestfile_refuse(rd, item, "depends_on", "expected names of guests");
        g->depends_on[g->depends_count++] = item->text;
    }
    return 0;
}

static int guest_key(struct guestfile_reader *rd, struct guestfile_guest *g,
                     const struct yaml_tree *node)
{
    struct suggest s = {.word = node->key};

    if (!strcmp(node->key, "image"))
        return guest_image(rd, g, node);
    if (!strcmp(node->key, "command"))
        return guest_command(rd, g, node);
    if (!strcmp(node->key, "depends_on"))
        return guest_depends(rd, g, node);
    for (const struct cli_option *o = run_guest_options; o->name; o++) {
        if (o->flags & CLI_NO_FILE)
            continue;
        if (!strcmp(o->name, node->key))
            return guest_option(rd, g, o, node);
        suggest_offer(&s, o->name);
    }
    for (const struct cli_about *k = guestfile_keys; k->name; k++)
        suggest_offer(&s, k->name);
    return guestfile_unknown(rd, node, &s, "key");
}

static int guest_read(struct guestfile_reader *rd, struct guestfile_guest *g,
                      const struct yaml_tree *node)
{
    int r = vm_name_check(node->key, rd->err);

    if (r < 0)
        return err_wrap(rd->err, r, "%s: line %u", rd->file->path, node->line);
    if (node->kind != YAML_TREE_MAP)
        return guestfile_refuse(rd, node, node->key, "expected the guest's keys, as image: tiny");
    *g = (struct guestfile_guest){.name = node->key, .line = node->line};
    g->args.verb = &cli_create_verb;
    g->args.settings = calloc(GUESTFILE_VALUES_MAX, sizeof(*g->args.settings));
    g->args.operands = calloc(GUESTFILE_VALUES_MAX + 1, sizeof(*g->args.operands));
    g->made = calloc(GUESTFILE_VALUES_MAX + 1, sizeof(*g->made));
    if (!g->args.settings || !g->args.operands || !g->made)
        return err_set(rd->err, -ENOMEM, "out of memory");
    for (const struct yaml_tree *key = node->child; key && !r; key = key->next)
        r = guest_key(rd, g, key);
    if (!g->args.operands[0] && g->args.operand_count) { /* no image: the command comes first */
        memmove(g->args.operands, g->args.operands + 1,
                g->args.operand_count * sizeof(*g->args.operands));
        g->args.operand_count--;
    } else if (g->args.operands[0] && !g->args.operand_count) {
        g->args.operand_count = 1;
    }
    return r;
}

/* --- the file --- */

struct guestfile_guest *guestfile_find(struct guestfile *file, const char *name)
{
    for (unsigned i = 0; i < file->count; i++)
        if (!strcmp(file->guest[i].name, name))
            return &file->guest[i];
    return NULL;
}

static int guestfile_check_depends(struct guestfile_reader *rd, const struct guestfile_guest *g)
{
    for (unsigned i = 0; i < g->depends_count; i++) {
        struct suggest s = {.word = g->depends_on[i]};
        struct yaml_tree at = {.line = g->line};

        if (guestfile_find(rd->file, s.word))
            continue;
        for (unsigned k = 0; k < rd->file->count; k++)
            suggest_offer(&s, rd->file->guest[k].name);
        return guestfile_unknown(rd, &at, &s, "guest in depends_on:");
    }
    return 0;
}

static bool guestfile_is_ready(struct guestfile *file, const struct guestfile_guest *g,
                               unsigned placed)
{
    for (unsigned i = 0; i < g->depends_count; i++)
        if (guestfile_find(file, g->depends_on[i]) >= file->guest + placed)
            return false;
    return true;
}

/* Puts each guest behind those it depends on, otherwise as they are written. */
static int guestfile_order(struct guestfile_reader *rd)
{
    struct guestfile *file = rd->file;

    for (unsigned placed = 0; placed < file->count; placed++) {
        unsigned i = placed;
        struct guestfile_guest next;

        while (i < file->count && !guestfile_is_ready(file, &file->guest[i], placed))
            i++;
        if (i == file->count)
            return err_set(rd->err, -EINVAL,
                           "%s: line %u: guest '%s' depends on itself, by way of others perhaps",
                           file->path, file->guest[placed].line, file->guest[placed].name);
        next = file->guest[i];
        memmove(file->guest + placed + 1, file->guest + placed, (i - placed) * sizeof(next));
        file->guest[placed] = next;
    }
    return 0;
}

static int guestfile_guests(struct guestfile_reader *rd, const struct yaml_tree *node)
{
    struct guestfile *file = rd->file;
    int r = 0;

    if (node->kind != YAML_TREE_MAP || !node->child)
        return guestfile_refuse(rd, node, "guests", "expected guests by name");
    file->guest = calloc(GUESTFILE_GUESTS_MAX, sizeof(*file->guest));
    if (!file->guest)
        return err_set(rd->err, -ENOMEM, "out of memory");
    for (const struct yaml_tree *g = node->child; g && !r; g = g->next) {
        if (file->count == GUESTFILE_GUESTS_MAX)
            return guestfile_refuse(rd, g, "guests", "too many for one file");
        r = guest_read(rd, &file->guest[file->count++], g);
    }
    for (unsigned i = 0; i < file->count && !r; i++)
        r = guestfile_check_depends(rd, &file->guest[i]);
    return r ? r : guestfile_order(rd);
}

static int guestfile_version(struct guestfile_reader *rd, const struct yaml_tree *node)
{
    if (node->kind != YAML_TREE_TEXT || strcmp(node->text, "1") != 0)
        return guestfile_refuse(rd, node, "version", "this Posada reads version 1 of guest files");
    return 0;
}

static int guestfile_top(struct guestfile_reader *rd, const struct yaml_tree *tree)
{
    const struct yaml_tree *version = NULL, *guests = NULL;
    int r;

    if (tree->kind != YAML_TREE_MAP)
        return guestfile_refuse(rd, tree, "guest file", "expected the keys version and guests");
    for (const struct yaml_tree *key = tree->child; key; key = key->next) {
        struct suggest s = {.word = key->key};

        if (!strcmp(key->key, "version")) {
            version = key;
        } else if (!strcmp(key->key, "guests")) {
            guests = key;
        } else {
            suggest_offer(&s, "version");
            suggest_offer(&s, "guests");
            return guestfile_unknown(rd, key, &s, "key");
        }
    }
    if (!version || !guests)
        return guestfile_refuse(rd, tree, version ? "guests" : "version", "this key is missing");
    r = guestfile_version(rd, version);
    return r ? r : guestfile_guests(rd, guests);
}

int guestfile_parse(const char *name, const char *text, size_t len, struct guestfile *ret,
                    struct err *err)
{
    struct guestfile file = {.path = strdup(name)};
    struct guestfile_reader rd = {&file, err};
    int r = file.path ? yaml_tree_parse(name, text, len, &file.tree, err)
                      : err_set(err, -ENOMEM, "out of memory");

    if (!r)
        r = guestfile_top(&rd, file.tree);
    if (r < 0)
        guestfile_done(&file);
    else
        *ret = file;
    return r;
}

int guestfile_read(const char *path, struct guestfile *ret, struct err *err)
{
    CLEANUP(free) char *full = realpath(path, NULL);
    CLEANUP(free) char *text = NULL;
    size_t len = 0;
    int r;

    if (!full)
        return err_set(err, -errno, "guest file %s: %s%s", path, strerror(errno),
                       errno == ENOENT ? "; name one with -f FILE" : "");
    r = file_read(AT_FDCWD, full, YAML_BYTES_MAX, &text, &len, err);
    return r < 0 ? r : guestfile_parse(full, text, len, ret, err);
}

void guestfile_done(struct guestfile *file)
{
    for (unsigned i = 0; i < file->count; i++) {
        for (unsigned k = 0; k < file->guest[i].made_count; k++)
            free(file->guest[i].made[k]);
        free(file->guest[i].made);
        cli_args_done(&file->guest[i].args);
    }
    free(file->guest);
    yaml_tree_free(file->tree);
    free(file->path);
    *file = (struct guestfile){0};
}

char *guestfile_spec(const struct guestfile_guest *guest)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        return NULL;
    for (unsigned i = 0; i < guest->args.setting_count; i++)
        fprintf(out, "--%s=%s\n", guest->args.settings[i].option->name,
                guest->args.settings[i].value ? guest->args.settings[i].value : "");
    for (unsigned i = 0; i < guest->args.operand_count; i++)
        fprintf(out, "%s\n", guest->args.operands[i]);
    if (fclose(out)) {
        free(text);
        return NULL;
    }
    return text;
}
