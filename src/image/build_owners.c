/* SPDX-License-Identifier: Apache-2.0 */
/* Owners of a tree as a script. Contract: image/build_root.h. */
#include "image/build_root.h"

#include "base/buf.h"
#include "image/tree.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One name for the shell, whatever is in it. */
static int owners_quote(struct buf *out, const char *name, size_t len)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < len; i++)
        r = name[i] == '\'' ? buf_append(out, "'\\''", 4) : buf_append(out, name + i, 1);
    return r;
}

static int owners_path(struct buf *out, const struct tree_node *n)
{
    int r = n->dir->node ? owners_path(out, n->dir->node) : 0;

    if (r == 0)
        r = buf_append(out, "/", 1);
    return r < 0 ? r : owners_quote(out, n->name, n->name_len);
}

/* A change of owner takes set-user-ID away: the mode comes after it. */
static int owners_say(struct buf *out, const struct tree_node *n)
{
    const struct tree_inode *i = n->inode;
    char text[64];
    int len = snprintf(text, sizeof(text), "chown -h %u:%u '", i->uid, i->gid);
    int r = buf_append(out, text, (size_t)len);

    if (r == 0)
        r = owners_path(out, n);
    if (r == 0 && !S_ISLNK(i->mode)) {
        len = snprintf(text, sizeof(text), "'\nchmod %o '", i->mode & 07777);
        r = buf_append(out, text, (size_t)len);
        if (r == 0)
            r = owners_path(out, n);
    }
    return r < 0 ? r : buf_append(out, "'\n", 2);
}

static int owners_walk(struct buf *out, const struct tree_inode *dir)
{
    int r = 0;

    for (const struct tree_node *n = dir->first; r == 0 && n; n = n->next) {
        if (n->inode->uid || n->inode->gid)
            r = owners_say(out, n);
        if (r == 0 && S_ISDIR(n->inode->mode))
            r = owners_walk(out, n->inode);
    }
    return r;
}

char *build_owners(const struct tree *t)
{
    struct buf out = {0};

    if (buf_append(&out, "set -e\n", 7) < 0 || owners_walk(&out, t->root) < 0 ||
        buf_append(&out, "", 1) < 0) {
        buf_done(&out);
        return NULL;
    }
    return (char *)out.base; /* nothing was consumed */
}
