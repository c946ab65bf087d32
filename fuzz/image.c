/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile OCI layouts and docker archives: index, manifest and configuration of the fuzzer's making
 * - right digests, so that what lies behind them is reached; members left out, given twice, of
 * other kinds; bytes changed. What is taken must be within the promises of image/oci.h: bounded,
 * digests that are digests, no way out of the directory. As a program of its own: fuzz_image_random
 * [SEED [INPUTS]].
 */
#include "image/oci.h"

#include "host/file.h"
#include "image/digest.h"
#include "input.h"
#include "place.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MAX = 1 << 14 };

struct text {
    char s[TEXT_MAX];
    size_t len;
};

static __attribute__((format(printf, 2, 3))) void say(struct text *t, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
    va_end(ap);
    t->len += n > 0 && (size_t)n < sizeof(t->s) - t->len ? (size_t)n : 0;
}

/* Mostly the right value, sometimes another. */
static const char *or_odd(struct fuzz_input *in, const char *right)
{
    static const char *const odd[] = {"null",
                                      "-1",
                                      "18446744073709551616",
                                      "1e400",
                                      "true",
                                      "\"\"",
                                      "{}",
                                      "[]",
                                      "[[[[1]]]]",
                                      "\"\\u001b[2J\"",
                                      "\"a\\u0000b\"",
                                      "{\"a\":1,\"a\":2}",
                                      "[\"A=1\",2]",
                                      "[\"=x\"]",
                                      "\"../../secret\"",
                                      "\"/etc/passwd\""};

    return fuzz_byte(in) % 24 ? right : odd[fuzz_byte(in) % ARRAY_LEN(odd)];
}

/* "key": value, or not, or twice. */
static void member(struct fuzz_input *in, struct text *t, const char *key, const char *right)
{
    for (unsigned n = fuzz_byte(in) % 40 == 39 ? fuzz_byte(in) % 3 : 1; n; n--)
        say(t, "%s\"%s\":%s", t->s[t->len - 1] == '{' ? "" : ",", key, or_odd(in, right));
}

static void put_file(const char *name, const void *data, size_t len)
{
    char path[128];
    int fd;

    (void)snprintf(path, sizeof(path), "image/%s", name);
    fd = open(fuzz_place_path(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, data, len) != (ssize_t)len)
        fuzz_die("no place");
    (void)close(fd);
}

/* A text as a blob, changed before or after its digest is taken; the digest in quotes. */
static const char *put_blob(struct fuzz_input *in, struct text *t)
{
    static char quoted[2][80];
    static unsigned which;
    char *q = quoted[which++ % 2], hex[DIGEST_TEXT], name[96];
    unsigned how = fuzz_byte(in);
    struct digest *d = digest_new();

    if (how % 16 == 15 && t->len)
        t->s[fuzz_take(in, 2) % t->len] = (char)fuzz_byte(in);
    if (how % 32 == 30)
        t->len = fuzz_take(in, 2) % (t->len + 1);
    if (!d)
        fuzz_die("no memory");
    digest_add(d, t->s, t->len);
    digest_end(d, hex);
    if (how % 64 == 61 && t->len)
        t->s[fuzz_take(in, 2) % t->len] ^= 1;
    (void)snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
    if (how % 64 != 60)
        put_file(name, t->s, t->len);
    (void)snprintf(q, sizeof(quoted[0]), "\"sha256:%s\"", hex);
    return q;
}

static const char *hex_digest(struct fuzz_input *in)
{
    static char text[80];
    unsigned byte = fuzz_byte(in);

    (void)snprintf(text, sizeof(text), "\"sha256:%064x\"", byte % 8 ? byte : 0);
    if (byte % 32 == 31)
        text[fuzz_byte(in) % 73] = (char)(' ' + fuzz_byte(in) % 90);
    return text;
}

static void make_config(struct fuzz_input *in, struct text *t, unsigned layers)
{
    struct text ids = {.len = 0}, run = {.s = "{", .len = 1}, rootfs = {.s = "{", .len = 1};

    for (unsigned i = 0; i < layers; i++)
        say(&ids, "%s%s", i ? "," : "[", or_odd(in, hex_digest(in)));
    say(&ids, "%s]", layers ? "" : "[");
    member(in, &run, "Env", "[\"PATH=/bin\",\"A=\"]");
    member(in, &run, "Entrypoint", "[\"/bin/sh\",\"-c\"]");
    member(in, &run, "Cmd", "[\"x\"]");
    member(in, &run, "User", "\"1:2\"");
    member(in, &run, "WorkingDir", "\"/srv\"");
    member(in, &run, "StopSignal", "\"SIGTERM\"");
    say(&run, "}");
    member(in, &rootfs, "diff_ids", ids.s);
    say(&rootfs, "}");
    *t = (struct text){.s = "{", .len = 1};
    member(in, t, "architecture", "\"riscv64\"");
    member(in, t, "os", "\"linux\"");
    member(in, t, "config", run.s);
    member(in, t, "rootfs", rootfs.s);
    say(t, "}");
}

static void make_descriptor(struct fuzz_input *in, struct text *t, const char *media,
                            const char *digest)
{
    static char size[24];

    (void)snprintf(size, sizeof(size), "%u", fuzz_byte(in) * 100);
    *t = (struct text){.s = "{", .len = 1};
    member(in, t, "mediaType", media);
    member(in, t, "digest", digest);
    member(in, t, "size", size);
    if (fuzz_byte(in) % 8 == 7)
        member(in, t, "platform", "{\"architecture\":\"riscv64\",\"os\":\"linux\"}");
    if (fuzz_byte(in) % 8 == 7)
        member(in, t, "annotations", "{\"org.opencontainers.image.ref.name\":\"v1\"}");
    say(t, "}");
}

static const char *layer_media(struct fuzz_input *in)
{
    static const char *const media[] = {"\"application/vnd.oci.image.layer.v1.tar\"",
                                        "\"application/vnd.oci.image.layer.v1.tar+gzip\"",
                                        "\"application/vnd.oci.image.layer.v1.tar+zstd\"",
                                        "\"application/vnd.docker.image.rootfs.diff.tar.gzip\""};

    return media[fuzz_byte(in) % ARRAY_LEN(media)];
}

static void make_layout(struct fuzz_input *in, unsigned layers)
{
    struct text config, manifest = {.s = "{", .len = 1}, list = {.len = 0}, one, index;
    const char *digest;

    make_config(in, &config, fuzz_byte(in) % 16 ? layers : fuzz_byte(in) % 5);
    digest = put_blob(in, &config);
    make_descriptor(in, &one, "\"application/vnd.oci.image.config.v1+json\"", digest);
    member(in, &manifest, "config", one.s);
    for (unsigned i = 0; i < layers; i++) {
        make_descriptor(in, &one, layer_media(in), hex_digest(in));
        say(&list, "%s%s", i ? "," : "[", or_odd(in, one.s));
    }
    say(&list, "%s]", layers ? "" : "[");
    member(in, &manifest, "layers", list.s);
    say(&manifest, "}");
    digest = put_blob(in, &manifest);
    make_descriptor(in, &one, "\"application/vnd.oci.image.manifest.v1+json\"", digest);
    for (unsigned depth = fuzz_byte(in) % 16 ? 0 : fuzz_byte(in) % 6; depth; depth--) {
        index = (struct text){.len = 0};
        say(&index, "{\"manifests\":[%s]}", one.s);
        digest = put_blob(in, &index);
        make_descriptor(in, &one, "\"application/vnd.oci.image.index.v1+json\"", digest);
    }
    index = (struct text){.len = 0};
    say(&index, "{\"manifests\":%s%s%s}", fuzz_byte(in) % 32 ? "[" : "", or_odd(in, one.s),
        fuzz_byte(in) % 32 ? "]" : "");
    put_file("index.json", index.s, index.len);
    put_file("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
}

static void make_docker(struct fuzz_input *in, unsigned layers)
{
    struct text config, list = {.len = 0}, item = {.s = "{", .len = 1}, all = {.len = 0};

    make_config(in, &config, fuzz_byte(in) % 16 ? layers : fuzz_byte(in) % 5);
    put_file("config.json", config.s, config.len);
    for (unsigned i = 0; i < layers; i++)
        say(&list, "%s%s", i ? "," : "[", or_odd(in, "\"a/layer.tar\""));
    say(&list, "%s]", layers ? "" : "[");
    member(in, &item, "Config", "\"config.json\"");
    member(in, &item, "RepoTags", "[\"a:v1\"]");
    member(in, &item, "Layers", list.s);
    say(&item, "}");
    say(&all, "[%s]", or_odd(in, item.s));
    if (fuzz_byte(in) % 16 == 15)
        all.s[fuzz_take(in, 2) % all.len] = (char)fuzz_byte(in);
    put_file("manifest.json", all.s, all.len);
}

static bool is_hex(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static void check_process(const json_t *process)
{
    static const char *const lists[] = {"entrypoint", "cmd", "env"};
    static const char *const texts[] = {"user", "workdir", "stop_signal"};
    const json_t *item;
    size_t n;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const json_t *list = json_object_get(process, lists[i]);

        if (list && !json_is_array(list))
            fuzz_die("a list that is none");
        json_array_foreach(list, n, item)
        {
            if (!json_is_string(item) || (i == 2 && !strchr(json_string_value(item), '=')))
                fuzz_die("a word that is none");
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const json_t *text = json_object_get(process, texts[i]);

        if (text && !json_is_string(text))
            fuzz_die("a text that is none");
    }
}

static void check_taken(const struct oci *oci, bool docker)
{
    enum unpack_kind kind;

    if (oci->count > IMAGE_LAYERS_MAX || (!docker && !is_hex(oci->digest)))
        fuzz_die("more layers than there may be");
    for (unsigned i = 0; i < oci->count; i++) {
        const struct oci_layer *l = &oci->layers[i];
        int fd = l->path ? oci_open_blob(oci->dir_fd, l->path) : -1;

        if (!l->path || !is_hex(l->diff_id) || oci_packing(l->media, &kind) < 0)
            fuzz_die("a layer without what it has to have");
        if (!docker && (!is_hex(l->sha256) || strcmp(l->path + 13, l->sha256) != 0))
            fuzz_die("a layer's path is not its digest's");
        if (fd >= 0 && (strstr(l->path, "..") || l->path[0] == '/'))
            fuzz_die("a way out of the directory");
        if (fd >= 0)
            (void)close(fd);
    }
    check_process(oci->process);
}

static void check_refused(const struct err *err, int r)
{
    if (!err->text[0] || err->code != r)
        fuzz_die("refused without a word");
    for (const char *c = err->text; *c; c++)
        if ((unsigned char)*c < ' ')
            fuzz_die("a sentence with control characters");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fuzz_input in = {data, len};
    bool docker = fuzz_byte(&in) % 4 == 3;
    unsigned many = fuzz_byte(&in), layers = many % 64 == 63 ? many : many % 5;
    const char *tag = fuzz_byte(&in) % 8 == 7 ? "v1" : NULL;
    struct oci oci = {.dir_fd = -1};
    struct err err = {0};
    int dir, r;

    fuzz_place_begin();
    (void)!file_remove_tree(AT_FDCWD, fuzz_place_path("image"), NULL);
    if (mkdir(fuzz_place_path("image"), 0755) < 0 ||
        mkdir(fuzz_place_path("image/blobs"), 0755) < 0 ||
        mkdir(fuzz_place_path("image/blobs/sha256"), 0755) < 0)
        fuzz_die("no place");
    if (docker)
        make_docker(&in, layers);
    else
        make_layout(&in, layers);
    dir = open(fuzz_place_path("image"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r = docker ? oci_open_docker(dir, tag, ARCH_RISCV64, &oci, &err)
               : oci_open_layout(dir, tag, ARCH_RISCV64, &oci, &err);
    if (r == 0)
        check_taken(&oci, docker);
    else
        check_refused(&err, r);
    if (r == 0)
        oci_done(&oci);
    fuzz_place_check();
    return close(dir);
}
