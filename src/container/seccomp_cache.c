/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled filters kept on disk. Contract: container/seccomp.h. */
#include "container/seccomp.h"

#include "base/cleanup.h"
#include "container/out.h"
#include "host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECCOMP_CAP = 4 << 20, SECCOMP_FORMAT = 2 };

struct seccomp_head {
    uint32_t format, library; /* ours, and libseccomp's version: it may compile differently */
    uint32_t flags, notify, count, profile_len;
};

static void seccomp_print(struct out *o, const struct json *at)
{
    switch (at->kind) {
    case JSON_NULL: out_text(o, at->name, NULL); return;
    case JSON_BOOL: out_bool(o, at->name, at->truth); return;
    case JSON_TEXT:
    case JSON_NUMBER: out_text(o, at->name, at->text); return; /* only compared, never read back */
    case JSON_ARRAY:
    case JSON_OBJECT: break;
    }
    out_begin(o, at->name, at->kind == JSON_OBJECT ? '{' : '[');
    for (const struct json *c = at->child; c; c = c->next)
        seccomp_print(o, c);
    out_end(o, at->kind == JSON_OBJECT ? '}' : ']');
}

static uint32_t seccomp_library(void)
{
    const struct scmp_version *v = seccomp_version();

    return v ? v->major << 16 | v->minor << 8 | v->micro : 0;
}

static void seccomp_file_name(const struct out *text, char *buf, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    const uint8_t *data = buf_data(&text->buf);

    for (size_t i = 0; i < text->buf.len; i++)
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    snprintf(buf, size, ".seccomp-%016llx", (unsigned long long)hash);
}

/* Head, profile, program. */
static int seccomp_read(struct arena *arena, int dir, const char *name, const struct out *profile,
                        struct seccomp_filter *ret)
{
    CLEANUP(free) char *data = NULL;
    struct seccomp_head head;
    size_t len;
    int r = file_read(dir, name, SECCOMP_CAP, &data, &len, NULL);

    if (r < 0)
        return r;
    if (len < sizeof(head))
        return -EINVAL;
    memcpy(&head, data, sizeof(head));
    if (head.format != SECCOMP_FORMAT || head.library != seccomp_library() || !head.count ||
        head.count > 65535 || head.profile_len > len ||
        len != sizeof(head) + head.profile_len + head.count * sizeof(struct sock_filter))
        return -EINVAL;
    if (head.profile_len != profile->buf.len ||
        memcmp(data + sizeof(head), buf_data(&profile->buf), head.profile_len))
        return -EINVAL;
    ret->code = arena_copy(arena, data + sizeof(head) + head.profile_len,
                           head.count * sizeof(struct sock_filter));
    ret->count = head.count;
    ret->flags = head.flags;
    ret->notify = head.notify;
    return ret->code ? 0 : -ENOMEM;
}

static int seccomp_write(int dir, const char *name, const struct out *profile,
                         const struct seccomp_filter *f)
{
    struct seccomp_head head = {SECCOMP_FORMAT, seccomp_library(), f->flags,
                                f->notify,      f->count,          (uint32_t)profile->buf.len};
    char temp[64];
    CLEANUP(fd) int fd = -1;
    int r;

    snprintf(temp, sizeof(temp), "%.40s.%d", name, getpid());
    fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    r = fd < 0 ? -errno : file_write_all(fd, &head, sizeof(head));
    if (!r)
        r = file_write_all(fd, buf_data(&profile->buf), profile->buf.len);
    if (!r)
        r = file_write_all(fd, f->code, f->count * sizeof(struct sock_filter));
    if (!r && renameat(dir, temp, dir, name) < 0)
        r = -errno;
    if (r < 0 && fd >= 0)
        (void)unlinkat(dir, temp, 0);
    return r;
}

int seccomp_compile(struct arena *arena, const struct json *profile, int cache_dir,
                    bool refuse_unknown, struct seccomp_filter *ret, struct err *err)
{
    struct json_reader r = {.arena = arena, .what = "config.json", .err = err};
    struct seccomp_filter filter = {0};
    struct out text = {0};
    char name[40];
    int code;

    seccomp_print(&text, profile);
    out_bool(&text, "refuseUnknown", refuse_unknown);
    seccomp_file_name(&text, name, sizeof(name));
    code = text.failed || cache_dir < 0 ? -ENOENT
                                        : seccomp_read(arena, cache_dir, name, &text, &filter);
    if (code < 0) {
        code = seccomp_from_profile(arena, profile, refuse_unknown, &filter, err);
        if (code >= 0 && cache_dir >= 0 && !text.failed)
            (void)!seccomp_write(cache_dir, name, &text, &filter); /* next time, then */
    }
    out_done(&text);
    if (code < 0)
        return code;
    filter.listener_path = json_take_text(&r, profile, "listenerPath");
    filter.listener_metadata = json_take_text(&r, profile, "listenerMetadata");
    if (r.code)
        return r.code;
    filter.notify |=
        filter.listener_path != NULL; /* whoever listens gets a descriptor in any case */
    *ret = filter;
    return 0;
}
