/* SPDX-License-Identifier: Apache-2.0 */
/* Text to tree, in place: strings are decoded where they stand. Contract: container/json.h. */
#include "container/json.h"

#include <errno.h>
#include <string.h>

enum { JSON_DEPTH = 64, JSON_NODES = 1 << 20, JSON_LEN = 64 << 20 };

struct json_parse {
    struct arena *arena;
    const char *what;
    char *start, *at, *end;
    unsigned nodes;
    int code;
    struct err *err;
};

static int json_fail(struct json_parse *p, const char *why)
{
    unsigned line = 1, column = 1;

    if (p->code)
        return p->code;
    for (const char *c = p->start; c < p->at; c++) {
        column = *c == '\n' ? 1 : column + 1;
        line += *c == '\n';
    }
    return p->code =
               err_set(p->err, -EINVAL, "%s: line %u, column %u: %s", p->what, line, column, why);
}

static void json_space(struct json_parse *p)
{
    while (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r')
        p->at++;
}

static int json_hex4(const char *c)
{
    int value = 0;

    for (int i = 0; i < 4; i++) {
        int digit = c[i] >= '0' && c[i] <= '9'                     ? c[i] - '0'
                    : (c[i] | 0x20) >= 'a' && (c[i] | 0x20) <= 'f' ? (c[i] | 0x20) - 'a' + 10
                                                                   : -1;

        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static char *json_put_utf8(char *to, unsigned rune)
{
    if (rune < 0x80) {
        *to++ = (char)rune;
        return to;
    }
    if (rune < 0x800) {
        *to++ = (char)(0xc0 | rune >> 6);
    } else {
        if (rune < 0x10000) {
            *to++ = (char)(0xe0 | rune >> 12);
        } else {
            *to++ = (char)(0xf0 | rune >> 18);
            *to++ = (char)(0x80 | (rune >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (rune >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (rune & 0x3f));
    return to;
}

/* \uXXXX, surrogate pairs joined; p->at stands behind the u. */
static char *json_unicode(struct json_parse *p, char *to)
{
    int high = json_hex4(p->at), low;

    if (high < 0)
        return json_fail(p, "\\u wants four hexadecimal digits"), NULL;
    if (!high)
        return json_fail(p, "a NUL character has no place in a text"), NULL;
    p->at += 4;
    if (high < 0xd800 || high > 0xdfff)
        return json_put_utf8(to, (unsigned)high);
    low = p->at[0] == '\\' && p->at[1] == 'u' ? json_hex4(p->at + 2) : -1;
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return json_fail(p, "half of a surrogate pair"), NULL;
    p->at += 6;
    return json_put_utf8(to,
                         0x10000u + ((unsigned)(high - 0xd800) << 10) + (unsigned)(low - 0xdc00));
}

static char *json_escape(struct json_parse *p, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    char c = *p->at++;
    const char *found = c ? strchr(from, c) : NULL;

    if (c == 'u')
        return json_unicode(p, to);
    if (!found)
        return json_fail(p, "unknown escape in a text"), NULL;
    *to++ = into[found - from];
    return to;
}

/* Bytes of a well-formed multi-byte sequence (Unicode table 3-7), 0 when it is not one. */
static size_t json_utf8_len(const unsigned char *c)
{
    size_t len = c[0] >= 0xc2 && c[0] <= 0xdf   ? 2
                 : (c[0] & 0xf0) == 0xe0        ? 3
                 : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                : 0;

    for (size_t i = 1; i < len; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
        (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return len;
}

/* p->at stands on the opening quote. */
static char *json_text(struct json_parse *p)
{
    char *text = ++p->at, *to = text;

    for (;;) {
        unsigned char c = (unsigned char)*p->at;
        size_t more;

        if (c == '"')
            break;
        if (c < 0x20)
            return json_fail(p,
                             p->at < p->end ? "a control character in a text" : "text without end"),
                   NULL;
        if (c == '\\') {
            p->at++;
            to = json_escape(p, to);
            if (!to)
                return NULL;
        } else if (c < 0x80) {
            *to++ = *p->at++;
        } else {
            more = json_utf8_len((const unsigned char *)p->at);
            if (!more)
                return json_fail(p, "a text that is not UTF-8"), NULL;
            memmove(to, p->at, more);
            to += more;
            p->at += more;
        }
    }
    p->at++;
    *to = '\0';
    return text;
}

static struct json *json_node(struct json_parse *p, enum json_kind kind)
{
    struct json *node = NULL;

    if (p->nodes++ < JSON_NODES)
        node = arena_get(p->arena, 1, sizeof(*node));
    if (!node && !p->code)
        p->code = err_set(p->err, -ENOMEM, "%s: too large", p->what);
    if (node)
        node->kind = kind;
    return node;
}

/* The grammar of RFC 8259 section 6, kept as text: who asks knows which integer he wants. The byte
 * behind it is looked at by the caller and then cut. */
static struct json *json_number(struct json_parse *p)
{
    char *start = p->at;
    struct json *node = json_node(p, JSON_NUMBER);
    size_t digits;

    if (!node)
        return NULL;
    p->at += *p->at == '-';
    digits = strspn(p->at, "0123456789");
    if (!digits || (digits > 1 && *p->at == '0'))
        return json_fail(p, "expected a value"), NULL;
    p->at += digits;
    if (*p->at == '.') {
        digits = strspn(++p->at, "0123456789");
        if (!digits)
            return json_fail(p, "a number ends in its point"), NULL;
        p->at += digits;
    }
    if (*p->at == 'e' || *p->at == 'E') {
        p->at++;
        p->at += *p->at == '+' || *p->at == '-';
        digits = strspn(p->at, "0123456789");
        if (!digits)
            return json_fail(p, "a number without exponent"), NULL;
        p->at += digits;
    }
    node->text = arena_copy(p->arena, start, (size_t)(p->at - start));
    if (!node->text)
        p->code = err_set(p->err, -ENOMEM, "%s: no memory", p->what);
    return node;
}

static struct json *json_word(struct json_parse *p)
{
    static const struct {
        const char *word;
        enum json_kind kind;
        bool truth;
    } words[] = {
        {"true", JSON_BOOL, true}, {"false", JSON_BOOL, false}, {"null", JSON_NULL, false}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t len = strlen(words[i].word);

        if (!strncmp(p->at, words[i].word, len)) {
            struct json *node = json_node(p, words[i].kind);

            if (node)
                node->truth = words[i].truth;
            p->at += len;
            return node;
        }
    }
    return json_fail(p, "expected a value"), NULL;
}

static struct json *json_value(struct json_parse *p, unsigned depth);

static uint32_t json_hash(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a: only saves comparisons */

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static int json_member_name(struct json_parse *p, const struct json *parent, const char **ret_name,
                            uint32_t *ret_hash)
{
    const char *name;
    uint32_t hash;

    if (*p->at != '"')
        return json_fail(p, "expected a name in quotes");
    name = json_text(p);
    if (!name)
        return p->code;
    hash = json_hash(name);
    for (const struct json *c = parent->child; c; c = c->next)
        if (c->name_hash == hash && !strcmp(c->name, name))
            return json_fail(p, "the same name twice in one object");
    json_space(p);
    if (*p->at != ':')
        return json_fail(p, "expected ':'");
    p->at++;
    json_space(p);
    *ret_name = name;
    *ret_hash = hash;
    return 0;
}

static void json_append(struct json *parent, struct json *child)
{
    child->parent = parent;
    if (parent->last)
        parent->last->next = child;
    else
        parent->child = child;
    parent->last = child;
    parent->count++;
}

/* p->at stands on the opening bracket. */
static struct json *json_children(struct json_parse *p, struct json *node, unsigned depth)
{
    char close = node->kind == JSON_OBJECT ? '}' : ']';

    if (depth >= JSON_DEPTH)
        return json_fail(p, "nested too deeply"), NULL;
    p->at++;
    json_space(p);
    if (*p->at == close)
        return p->at++, node;
    for (;;) {
        const char *name = NULL;
        uint32_t hash = 0;
        struct json *child;

        if (close == '}' && json_member_name(p, node, &name, &hash) < 0)
            return NULL;
        child = json_value(p, depth + 1);
        if (!child)
            return NULL;
        child->name = name;
        child->name_hash = hash;
        json_append(node, child);
        json_space(p);
        if (*p->at == close)
            return p->at++, node;
        if (*p->at != ',')
            return json_fail(p, close == '}' ? "expected ',' or '}'" : "expected ',' or ']'"), NULL;
        p->at++;
        json_space(p);
    }
}

static struct json *json_value(struct json_parse *p, unsigned depth)
{
    struct json *node;

    switch (*p->at) {
    case '{':
    case '[':
        node = json_node(p, *p->at == '{' ? JSON_OBJECT : JSON_ARRAY);
        return node ? json_children(p, node, depth) : NULL;
    case '"':
        node = json_node(p, JSON_TEXT);
        if (node)
            node->text = json_text(p);
        return node && node->text ? node : NULL;
    case 't':
    case 'f':
    case 'n': return json_word(p);
    default: return json_number(p);
    }
}

int json_parse(struct arena *arena, const char *what, char *text, size_t len,
               struct json **ret_root, struct err *err)
{
    struct json_parse p = {
        .arena = arena, .what = what, .start = text, .at = text, .end = text + len, .err = err};
    struct json *root;

    if (len > JSON_LEN)
        return err_set(err, -EFBIG, "%s: %zu bytes are too much for a text of this kind", what,
                       len);
    json_space(&p);
    root = json_value(&p, 0);
    if (root && !p.code) {
        json_space(&p);
        if (p.at != p.end)
            (void)json_fail(&p, "something follows the value");
    }
    if (!p.code && !root)
        (void)json_fail(&p, "expected a value");
    if (p.code)
        return p.code;
    *ret_root = root;
    return 0;
}

struct json *json_get(const struct json *object, const char *name)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (struct json *c = object->child; c; c = c->next)
        if (!strcmp(c->name, name)) {
            c->seen = true;
            return c;
        }
    return NULL;
}
