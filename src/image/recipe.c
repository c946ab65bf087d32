/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipes: a strict reading of YAML by a table of known keys. Unknown keys, wrong kinds and missing
 * values are errors with their line; nothing is guessed. Not used of YAML: tags, anchors as values.
 */
#include "image/recipe.h"

#include "base/suggest.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { RECIPE_LIST_MAX = 256 };

struct recipe_reader {
    const char *from;
    yaml_document_t doc;
    struct err *err;
};

typedef int (*recipe_fn)(struct recipe_reader *rd, yaml_node_t *node, void *target);

struct recipe_key {
    const char *name;
    recipe_fn read;
    size_t offset; /* of the target in the structure read */
    bool required;
};

static int recipe_error(struct recipe_reader *rd, const yaml_node_t *node, const char *text)
{
    return err_set(rd->err, -EINVAL, "%s: line %zu: %s", rd->from, node->start_mark.line + 1, text);
}

static const char *recipe_scalar(const yaml_node_t *node)
{
    return (const char *)node->data.scalar.value;
}

/* libyaml keeps lengths: a NUL inside would hide the rest from us. */
static bool recipe_is_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE &&
           strlen(recipe_scalar(node)) == node->data.scalar.length;
}

static int recipe_text(struct recipe_reader *rd, yaml_node_t *node, void *target)
{
    char **text = target;

    if (!recipe_is_text(node))
        return recipe_error(rd, node, "a text is expected here");
    *text = strdup(recipe_scalar(node));
    return *text ? 0 : -ENOMEM;
}

static const struct recipe_key *recipe_find(struct recipe_reader *rd, const struct recipe_key *keys,
                                            const yaml_node_t *node)
{
    struct suggest s = {.word = recipe_is_text(node) ? recipe_scalar(node) : ""};

    for (const struct recipe_key *k = keys; k->name; k++) {
        if (strcmp(k->name, s.word) == 0)
            return k;
        suggest_offer(&s, k->name);
    }
    (void)err_set(rd->err, -EINVAL, "%s: line %zu: unknown key '%.60s'%s%s%s", rd->from,
                  node->start_mark.line + 1, s.word, s.best ? "; did you mean '" : "",
                  s.best ? s.best : "", s.best ? "'?" : "");
    return NULL;
}

static int recipe_one(struct recipe_reader *rd, const struct recipe_key *keys,
                      const yaml_node_pair_t *pair, void *target, uint64_t *seen)
{
    const yaml_node_t *name = yaml_document_get_node(&rd->doc, pair->key);
    const struct recipe_key *key = recipe_find(rd, keys, name);
    uint64_t bit;

    if (!key)
        return -EINVAL;
    bit = 1ull << (key - keys);
    if (*seen & bit)
        return recipe_error(rd, name, "this key is given twice");
    *seen |= bit;
    return key->read(rd, yaml_document_get_node(&rd->doc, pair->value),
                     (char *)target + key->offset);
}

/* A mapping into the structure at target. */
static int recipe_mapping(struct recipe_reader *rd, yaml_node_t *node,
                          const struct recipe_key *keys, void *target)
{
    uint64_t seen = 0;
    int r = 0;

    if (node->type != YAML_MAPPING_NODE)
        return recipe_error(rd, node, "keys and values are expected here");
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start;
         r == 0 && p < node->data.mapping.pairs.top; p++)
        r = recipe_one(rd, keys, p, target, &seen);
    for (const struct recipe_key *k = keys; r == 0 && k->name; k++)
        if (k->required && !(seen & 1ull << (k - keys)))
            r = err_set(rd->err, -EINVAL, "%s: line %zu: key '%s' is missing", rd->from,
                        node->start_mark.line + 1, k->name);
    return r;
}

static int recipe_by_arch(struct recipe_reader *rd, yaml_node_t *node, void *target)
{
    const struct recipe_key keys[] = {
        {"riscv64", recipe_text, ARCH_RISCV64 * sizeof(char *), false},
        {"arm64", recipe_text, ARCH_ARM64 * sizeof(char *), false},
        {"amd64", recipe_text, ARCH_X86_64 * sizeof(char *), false},
        {0},
    };

    return recipe_mapping(rd, node, keys, target);
}

/* How many items a list has; -EINVAL when it is none or too long. */
static int recipe_list_size(struct recipe_reader *rd, const yaml_node_t *node)
{
    ptrdiff_t n;

    if (node->type != YAML_SEQUENCE_NODE)
        return recipe_error(rd, node, "a list is expected here");
    n = node->data.sequence.items.top - node->data.sequence.items.start;
    return n <= RECIPE_LIST_MAX ? (int)n : recipe_error(rd, node, "this list is too long");
}

static yaml_node_t *recipe_item(struct recipe_reader *rd, const yaml_node_t *list, int i)
{
    return yaml_document_get_node(&rd->doc, list->data.sequence.items.start[i]);
}

/* A list of texts into *ret_list, *ret_count of them. */
static int recipe_texts(struct recipe_reader *rd, yaml_node_t *node, char ***ret_list,
                        unsigned *ret_count)
{
    int n = recipe_list_size(rd, node), r = 0;

    if (n < 0)
        return n;
    *ret_list = calloc((size_t)n + 1, sizeof(**ret_list));
    if (!*ret_list)
        return -ENOMEM;
    for (int i = 0; i < n && r == 0; i++) {
        r = recipe_text(rd, recipe_item(rd, node, i), &(*ret_list)[i]);
        *ret_count += r == 0;
    }
    return r;
}

static int recipe_modules(struct recipe_reader *rd, yaml_node_t *node, void *target)
{
    struct recipe *recipe = target;

    return recipe_texts(rd, node, &recipe->modules, &recipe->module_count);
}

static int recipe_packages(struct recipe_reader *rd, yaml_node_t *node, void *target)
{
    struct recipe *recipe = target;

    return recipe_texts(rd, node, &recipe->packages, &recipe->package_count);
}

static int recipe_mode(struct recipe_reader *rd, yaml_node_t *node, void *target)
{
    unsigned *mode = target;
    char *end = NULL;
    unsigned long v = 0;

    if (recipe_is_text(node))
        v = strtoul(recipe_scalar(node), &end, 8);
    if (!end || end == recipe_scalar(node) || *end || v > 07777)
        return recipe_error(rd, node, "an octal file mode is expected here, such as 0644");
    *mode = (unsigned)v;
    return 0;
}

static const struct recipe_key recipe_file_keys[] = {
    {"path", recipe_text, offsetof(struct recipe_file, path), true},
    {"content", recipe_text, offsetof(struct recipe_file, content), true},
    {"mode", recipe_mode, offsetof(struct recipe_file, mode), false},
    {0},
};

static int recipe_file(struct recipe_reader *rd, yaml_node_t *node, struct recipe_file *f)
{
    int r;

    f->mode = 0644;
    r = recipe_mapping(rd, node, recipe_file_keys, f);
    if (r == 0 && (f->path[0] != '/' || strstr(f->path, "/../") || strlen(f->path) > 255))
        r = recipe_error(rd, node, "a file's path starts with '/' and has no '..'");
    return r;
}

static int recipe_list_files(struct recipe_reader *rd, yaml_node_t *node,
                             struct recipe_file **ret_files, unsigned *ret_count)
{
    int n = recipe_list_size(rd, node), r = 0;

    if (n < 0)
        return n;
    *ret_files = calloc((size_t)n + 1, sizeof(**ret_files));
    if (!*ret_files)
        return -ENOMEM;
    *ret_count = (unsigned)n;
    for (int i = 0; i < n && r == 0; i++)
        r = recipe_file(rd, recipe_item(rd, node, i), &(*ret_files)[i]);
    return r;
}

static int recipe_files(struct recipe_reader *rd, yaml_node_t *node, void *target)
{
    struct recipe *recipe = target;

    return recipe_list_files(rd, node, &recipe->files, &recipe->file_count);
}

static int recipe_root_files(struct recipe_reader *rd, yaml_node_t *node, void *target)
{
    struct recipe *recipe = target;

    return recipe_list_files(rd, node, &recipe->root_files, &recipe->root_file_count);
}

static const struct recipe_key recipe_keys[] = {
    {"name", recipe_text, offsetof(struct recipe, name), true},
    {"summary", recipe_text, offsetof(struct recipe, summary), true},
    {"suite", recipe_text, offsetof(struct recipe, suite), true},
    {"kernel", recipe_by_arch, offsetof(struct recipe, kernel), true},
    {"append", recipe_by_arch, offsetof(struct recipe, append), true},
    {"busybox", recipe_text, offsetof(struct recipe, busybox), true},
    {"modules", recipe_modules, 0, false},
    {"files", recipe_files, 0, false},
    {"packages", recipe_packages, 0, false},
    {"root-files", recipe_root_files, 0, false},
    {"setup", recipe_text, offsetof(struct recipe, setup), false},
    {0},
};

static int recipe_read(struct recipe_reader *rd, struct recipe *recipe)
{
    yaml_node_t *root = yaml_document_get_root_node(&rd->doc);

    if (!root)
        return err_set(rd->err, -EINVAL, "%s: line 1: the recipe is empty", rd->from);
    return recipe_mapping(rd, root, recipe_keys, recipe);
}

static int recipe_syntax_error(const char *from, const yaml_parser_t *parser, struct err *err)
{
    return err_set(err, -EINVAL, "%s: line %zu: not YAML: %s", from, parser->problem_mark.line + 1,
                   parser->problem ? parser->problem : "cannot be read");
}

int recipe_parse(const char *from, const char *text, size_t len, struct recipe *ret_recipe,
                 struct err *err)
{
    struct recipe_reader rd = {.from = from, .err = err};
    struct recipe recipe = {0};
    yaml_parser_t parser;
    int r;

    if (!yaml_parser_initialize(&parser))
        return err_set(err, -ENOMEM, "%s: out of memory", from);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    if (!yaml_parser_load(&parser, &rd.doc)) {
        r = recipe_syntax_error(from, &parser, err);
    } else {
        r = recipe_read(&rd, &recipe);
        yaml_document_delete(&rd.doc);
    }
    yaml_parser_delete(&parser);
    if (r == -ENOMEM)
        (void)err_set(err, r, "%s: out of memory", from);
    if (r < 0)
        recipe_done(&recipe);
    else
        *ret_recipe = recipe;
    return r;
}

static void recipe_free_texts(char **texts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void recipe_free_files(struct recipe_file *files, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(files[i].path);
        free(files[i].content);
    }
    free(files);
}

void recipe_done(struct recipe *recipe)
{
    free(recipe->name);
    free(recipe->summary);
    free(recipe->suite);
    free(recipe->busybox);
    for (unsigned i = 0; i < ARCH_COUNT; i++) {
        free(recipe->kernel[i]);
        free(recipe->append[i]);
    }
    recipe_free_texts(recipe->modules, recipe->module_count);
    recipe_free_texts(recipe->packages, recipe->package_count);
    recipe_free_files(recipe->files, recipe->file_count);
    recipe_free_files(recipe->root_files, recipe->root_file_count);
    free(recipe->setup);
    *recipe = (struct recipe){0};
}
