/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML text as a small tree, read strictly: one document, no anchors, aliases or tags, no key
 * twice in a mapping, keys are plain words; bounded in size, depth and number of nodes.
 */
#pragma once

#include <posada/err.h>

enum yaml_kind { YAML_TREE_TEXT, YAML_TREE_LIST, YAML_TREE_MAP };

struct yaml_tree {
    enum yaml_kind kind;
    unsigned line;           /* from 1 */
    char *key;               /* in a mapping, else NULL */
    char *text;              /* of a text; printable, no NUL inside */
    struct yaml_tree *child; /* of a list or mapping: the first; in order */
    struct yaml_tree *next;
};

enum { YAML_BYTES_MAX = 256 << 10, YAML_DEPTH_MAX = 8, YAML_NODES_MAX = 10000 };

/* name: of the file, for sentences ("NAME: line 3: ..."). *ret_tree: yaml_tree_free(). */
int must_use yaml_tree_parse(const char *name, const char *text, size_t len,
                             struct yaml_tree **ret_tree, struct err *err);
void yaml_tree_free(struct yaml_tree *tree);
