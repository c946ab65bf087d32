/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML by libyaml's events, so that nothing is ever expanded. Contract: cli/yamltree.h. Spec: YAML
 * 1.1 as libyaml reads it; what is not accepted is listed in the contract.
 */
#include "cli/yamltree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct yaml_reader {
    const char *name;
    yaml_parser_t parser;
    unsigned nodes, depth;
    struct err *err;
};

void yaml_tree_free(struct yaml_tree *tree)
{
    while (tree) {
        struct yaml_tree *next = tree->next;

        yaml_tree_free(tree->child);
        free(tree->key);
        free(tree->text);
        free(tree);
        tree = next;
    }
}

static int yaml_refuse(struct yaml_reader *rd, size_t line, const char *text)
{
    return err_set(rd->err, -EINVAL, "%s: line %zu: %s", rd->name, line + 1, text);
}

static int yaml_next(struct yaml_reader *rd, yaml_event_t *event)
{
    const char *problem;

    if (yaml_parser_parse(&rd->parser, event))
        return 0;
    if (rd->parser.error == YAML_MEMORY_ERROR)
        return err_set(rd->err, -ENOMEM, "%s: out of memory", rd->name);
    problem = rd->parser.problem ? rd->parser.problem : "no valid YAML";
    return yaml_refuse(rd, rd->parser.problem_mark.line, problem);
}

static int yaml_check(struct yaml_reader *rd, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor || event->type == YAML_ALIAS_EVENT)
        return yaml_refuse(rd, event->start_mark.line,
                           "anchors and aliases (& and *) are not used here; write it out");
    if (tag)
        return yaml_refuse(rd, event->start_mark.line, "tags (!) are not used here; leave it out");
    if (++rd->nodes > YAML_NODES_MAX || rd->depth > YAML_DEPTH_MAX)
        return yaml_refuse(rd, event->start_mark.line, "too much, or too deep, for a guest file");
    return 0;
}

static int yaml_text(struct yaml_reader *rd, const yaml_event_t *event, char **ret)
{
    const char *text = (const char *)event->data.scalar.value;

    for (size_t i = 0; i < event->data.scalar.length; i++)
        if ((unsigned char)text[i] < ' ' && text[i] != '\n' && text[i] != '\t')
            return yaml_refuse(rd, event->start_mark.line, "control characters are not used here");
    *ret = strdup(text);
    return *ret ? 0 : err_set(rd->err, -ENOMEM, "%s: out of memory", rd->name);
}

static int yaml_value(struct yaml_reader *rd, const yaml_event_t *event, struct yaml_tree **ret);

/* The children of a list or mapping, to its end. */
static int yaml_children(struct yaml_reader *rd, struct yaml_tree *parent)
{
    struct yaml_tree **link = &parent->child;
    bool map = parent->kind == YAML_TREE_MAP;
    yaml_event_t event;
    unsigned key_line = 0;
    char *key = NULL;
    int r;

    while (!(r = yaml_next(rd, &event))) {
        bool end = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;

        if (!end)
            r = yaml_check(rd, &event);
        if (!key)
            key_line = (unsigned)event.start_mark.line + 1;
        if (!end && !r && map && !key)
            r = event.type == YAML_SCALAR_EVENT
                    ? yaml_text(rd, &event, &key)
                    : yaml_refuse(rd, event.start_mark.line, "a key must be a word");
        else if (!end && !r)
            r = yaml_value(rd, &event, link);
        if (*link) {
            (*link)->line = key ? key_line : (*link)->line;
            (*link)->key = key;
            key = NULL;
            link = &(*link)->next;
        }
        yaml_event_delete(&event);
        if (end || r)
            break;
    }
    free(key);
    return r;
}

static int yaml_check_keys(struct yaml_reader *rd, const struct yaml_tree *map)
{
    for (const struct yaml_tree *a = map->child; a; a = a->next)
        for (const struct yaml_tree *b = map->child; b != a; b = b->next)
            if (!strcmp(a->key, b->key))
                return err_set(rd->err, -EINVAL,
                               "%s: line %u: '%.60s' is there already, in line %u", rd->name,
                               a->line, a->key, b->line);
    return 0;
}

static int yaml_value(struct yaml_reader *rd, const yaml_event_t *event, struct yaml_tree **ret)
{
    struct yaml_tree *node = calloc(1, sizeof(*node));
    int r = 0;

    if (!node)
        return err_set(rd->err, -ENOMEM, "%s: out of memory", rd->name);
    *ret = node; /* the caller's tree frees it */
    node->line = (unsigned)event->start_mark.line + 1;
    if (event->type == YAML_SCALAR_EVENT)
        return yaml_text(rd, event, &node->text);
    node->kind = event->type == YAML_MAPPING_START_EVENT ? YAML_TREE_MAP : YAML_TREE_LIST;
    rd->depth++;
    r = yaml_children(rd, node);
    rd->depth--;
    return r || node->kind != YAML_TREE_MAP ? r : yaml_check_keys(rd, node);
}

/* One document, with something in it, and nothing behind it. */
static int yaml_stream(struct yaml_reader *rd, struct yaml_tree **ret)
{
    bool ended = false;
    int r = 0;

    while (!r && !ended) {
        yaml_event_t event;

        r = yaml_next(rd, &event);
        if (r)
            return r;
        ended = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && *ret)
            r = yaml_refuse(rd, event.start_mark.line, "one document is enough");
        else if (event.type == YAML_SCALAR_EVENT || event.type == YAML_SEQUENCE_START_EVENT ||
                 event.type == YAML_MAPPING_START_EVENT || event.type == YAML_ALIAS_EVENT) {
            r = yaml_check(rd, &event);
            if (!r)
                r = yaml_value(rd, &event, ret);
        }
        yaml_event_delete(&event);
    }
    return r || *ret ? r : yaml_refuse(rd, 0, "nothing is in it");
}

int yaml_tree_parse(const char *name, const char *text, size_t len, struct yaml_tree **ret_tree,
                    struct err *err)
{
    struct yaml_reader rd = {.name = name, .err = err};
    struct yaml_tree *tree = NULL;
    int r;

    if (len > YAML_BYTES_MAX)
        return err_set(err, -EFBIG, "%s: longer than %d KiB", name, YAML_BYTES_MAX >> 10);
    if (!yaml_parser_initialize(&rd.parser))
        return err_set(err, -ENOMEM, "%s: out of memory", name);
    yaml_parser_set_input_string(&rd.parser, (const unsigned char *)text, len);
    r = yaml_stream(&rd, &tree);
    yaml_parser_delete(&rd.parser);
    if (r < 0)
        yaml_tree_free(tree);
    else
        *ret_tree = tree;
    return r;
}
