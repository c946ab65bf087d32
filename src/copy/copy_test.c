/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies arrive as they were, and a hostile stream (a guest's) writes nothing but what was asked
 * for, where it was asked for.
 */
#include "copy/copy.h"

#include "base/unit_test.h"
#include "copy/tar.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REFUSALS_LEAST = 40 };

struct fixture {
    char base[64]; /* base/in is copied to, base/outside is not */
    int stream;    /* a memfd that the stream is written to */
    struct err err;
};

static unsigned refusals;

static const char *at(struct fixture *f, const char *path)
{
    static char ring[8][256];
    static unsigned next;
    char *text = ring[next++ % 8];

    (void)snprintf(text, sizeof(ring[0]), "%s/%s", f->base, path);
    return text;
}

static void put(struct fixture *f, const char *path, const char *text)
{
    int fd = open(at(f, path), O_WRONLY | O_CREAT | O_TRUNC, 0644);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static bool is(struct fixture *f, const char *path, const char *text)
{
    char got[256];
    int fd = open(at(f, path), O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));

    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(text) && !memcmp(got, text, (size_t)n);
}

static void shell(struct fixture *f, const char *command)
{
    char line[2048];

    (void)snprintf(line, sizeof(line), "cd %s && %s", f->base, command);
    if (system(line) != 0)
        fail_msg("%s", line);
}

static struct fixture *up(void)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->base, sizeof(f->base), "/tmp/posada-copy-XXXXXX");
    assert_non_null(mkdtemp(f->base));
    shell(f, "mkdir in outside outside/dir && printf secret > outside/secret");
    f->stream = memfd_create("stream", 0);
    return f;
}

static void down(struct fixture *f)
{
    assert_true(is(f, "outside/secret", "secret"));
    shell(f, "test \"$(find outside | wc -l)\" = 3");
    shell(f, "! find . | grep -q posada-cp-"); /* nothing half-written is left */
    close(f->stream);
    shell(f, "chmod -R u+rwx . && rm -r \"$PWD\"");
    free(f);
}

/* --- Streams --- */
static void add(struct fixture *f, char type, const char *name, const char *link, const char *data)
{
    struct copy_entry *e = calloc(1, sizeof(*e));
    uint8_t headers[COPY_TAR_HEADERS_MAX], padding[COPY_TAR_BLOCK] = {0};
    size_t n, len = strlen(data);

    e->type = type;
    e->mode = 06755;
    e->mtime = 1000000000;
    e->size = type == COPY_FILE ? len : 0;
    (void)snprintf(e->name, sizeof(e->name), "%s", name);
    (void)snprintf(e->link, sizeof(e->link), "%s", link);
    n = copy_tar_encode(e, headers);
    assert_int_equal(write(f->stream, headers, n), n);
    if (e->size) {
        assert_int_equal(write(f->stream, data, len), len);
        n = -len & (COPY_TAR_BLOCK - 1);
        assert_int_equal(write(f->stream, padding, n), n);
    }
    free(e);
}

static void end(struct fixture *f)
{
    const uint8_t zero[2 * COPY_TAR_BLOCK] = {0};

    assert_int_equal(write(f->stream, zero, sizeof(zero)), sizeof(zero));
}

static void rewind_stream(struct fixture *f)
{
    assert_int_equal(lseek(f->stream, 0, SEEK_SET), 0);
}

/* Reads the stream into `to`; the next one starts anew. */
static int unpack(struct fixture *f, const char *to, const char *name)
{
    const struct copy_unpack config = {.path = at(f, to), .name = name, .mask = 0777};
    int r;

    rewind_stream(f);
    f->err = (struct err){0};
    r = copy_unpack(&config, f->stream, &f->err);
    assert_true((r < 0) == (f->err.text[0] != '\0'));
    rewind_stream(f);
    assert_int_equal(ftruncate(f->stream, 0), 0);
    return r;
}

/* A stream of one entry behind the copy's own folder must be refused, with a name and without. */
static void refused(struct fixture *f, char type, const char *name, const char *link)
{
    for (int raw = 0; raw < 2; raw++) {
        add(f, COPY_DIR, "top", "", "");
        add(f, type, name, link, type == COPY_FILE ? "evil" : "");
        end(f);
        if (unpack(f, "in", raw ? NULL : "top") >= 0)
            fail_msg("'%s' -> '%s' was taken%s", name, link, raw ? " (as it stands)" : "");
        refusals++;
    }
}

/* --- Hostile streams --- */
static void test_names_stay_below(void **state)
{
    static const char *const names[] = {
        "../outside/evil",
        "top/../../outside/evil",
        "/etc/evil",
        "//evil",
        "top/..",
        "..",
        "top/./evil",
        "top/x/../y",
        "top/../other",
        "top/../../../../../evil",
        "./../outside/evil",
        "top//../../evil",
        "./..",
    };
    struct fixture *f = up();

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        refused(f, COPY_FILE, names[i], "");
        refused(f, COPY_DIR, names[i], "");
    }
    down(f);
}

/* A name other than the one asked for would overwrite its neighbours. */
static void test_only_what_was_asked_for(void **state)
{
    struct fixture *f = up();

    put(f, "in/mine", "mine");
    add(f, COPY_FILE, "top", "", "1");
    add(f, COPY_FILE, "mine", "", "evil");
    end(f);
    assert_int_equal(unpack(f, "in", "top"), -EINVAL);
    refusals++;
    add(f, COPY_FILE, "mine", "", "whatever it is called there");
    end(f);
    assert_int_equal(unpack(f, "in", "/somewhere/wanted"), 0);
    assert_true(is(f, "in/mine", "mine"));
    assert_true(is(f, "in/wanted", "whatever it is called there"));
    down(f);
}

static void test_links_are_not_followed(void **state)
{
    static const char *const to[] = {"../../outside", "/", "..", "../../outside/dir", ".", "../top",
                                     "/proc/self/cwd"};
    struct fixture *f = up();

    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        add(f, COPY_DIR, "top", "", "");
        add(f, COPY_SYMLINK, "top/link", to[i], "");
        add(f, COPY_FILE, "top/link/evil", "", "evil");
        end(f);
        assert_true(unpack(f, "in", "top") < 0);
        add(f, COPY_DIR, "top", "", "");
        add(f, COPY_DIR, "top/link", "", ""); /* it is there, and no folder */
        end(f);
        assert_true(unpack(f, "in", "top") < 0);
        /* The copy itself is a link. */
        shell(f, "rm -rf in/top");
        add(f, COPY_SYMLINK, "top", to[i], "");
        add(f, COPY_FILE, "top/evil", "", "evil");
        end(f);
        assert_true(unpack(f, "in", "top") < 0);
        shell(f, "rm -rf in/top");
        refusals += 3;
    }
    down(f);
}

/* A file in the place of a link replaces it; so does a link in the place of a file. */
static void test_links_are_replaced(void **state)
{
    struct fixture *f = up();

    add(f, COPY_DIR, "top", "", "");
    add(f, COPY_SYMLINK, "top/x", "../../outside/secret", "");
    add(f, COPY_FILE, "top/x", "", "evil");
    add(f, COPY_SYMLINK, "top/y", "../../outside/new", "");
    add(f, COPY_FILE, "top/y", "", "evil");
    add(f, COPY_FILE, "top/z", "", "file");
    add(f, COPY_SYMLINK, "top/z", "text", "");
    end(f);
    assert_int_equal(unpack(f, "in", "top"), 0);
    assert_true(is(f, "in/top/x", "evil"));
    shell(f, "test ! -L in/top/x && test -L in/top/z");
    down(f);
}

static void test_hard_links_stay_below(void **state)
{
    static const char *const to[] = {
        "../outside/secret", "/etc/passwd",     "top/../../outside/secret",
        "top/link",          "top/away/secret", "top",
        "top/none"};
    struct fixture *f = up();

    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        add(f, COPY_DIR, "top", "", "");
        add(f, COPY_SYMLINK, "top/link", "../../outside/secret", "");
        add(f, COPY_SYMLINK, "top/away", "../../outside", "");
        add(f, COPY_HARD_LINK, "top/hard", to[i], "");
        end(f);
        assert_true(unpack(f, "in", "top") < 0);
        refusals++;
    }
    shell(f, "rm -rf in/top");
    add(f, COPY_DIR, "top", "", "");
    add(f, COPY_FILE, "top/a", "", "a");
    add(f, COPY_HARD_LINK, "top/b", "top/a", "");
    end(f);
    assert_int_equal(unpack(f, "in", "other"), 0); /* under the name it gets here */
    shell(f, "test in/top/a -ef in/top/b || test in/other/a -ef in/other/b");
    down(f);
}

static void test_devices_are_refused(void **state)
{
    static const char types[] = {COPY_CHAR, COPY_BLOCK, COPY_FIFO, 'S', 'D', 'V', 'A', '\x7f'};
    struct fixture *f = up();

    for (size_t i = 0; i < sizeof(types); i++)
        refused(f, types[i], "top/dev", "");
    down(f);
}

static void test_modes_are_masked(void **state)
{
    struct fixture *f = up();
    struct stat st;

    add(f, COPY_DIR, "top", "", "");
    add(f, COPY_FILE, "top/suid", "", "x");
    end(f);
    assert_int_equal(unpack(f, "in", "top"), 0);
    assert_int_equal(stat(at(f, "in/top/suid"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtim.tv_sec, 1000000000);
    assert_int_equal(stat(at(f, "in/top"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtim.tv_sec, 1000000000);
    down(f);
}

/* Cut anywhere, a stream leaves the old file or the new one. */
static void test_cut_streams(void **state)
{
    struct fixture *f = up();
    char data[3000];
    off_t size;

    memset(data, 'n', sizeof(data) - 1);
    data[sizeof(data) - 1] = '\0';
    for (off_t cut = 0;; cut += 300) {
        put(f, "in/f", "old");
        add(f, COPY_FILE, "f", "", data);
        size = lseek(f->stream, 0, SEEK_CUR);
        end(f);
        if (cut > size)
            break;
        assert_int_equal(ftruncate(f->stream, cut), 0);
        assert_int_equal(unpack(f, "in", "f"), -EPIPE);
        shell(f, "test \"$(cat in/f)\" = old || test \"$(wc -c < in/f)\" = 2999");
    }
    assert_int_equal(unpack(f, "in", "f"), 0);
    down(f);
}

static void test_damaged_headers(void **state)
{
    struct fixture *f = up();
    uint8_t byte;

    for (off_t i = 0; i < COPY_TAR_BLOCK; i += 7) {
        add(f, COPY_FILE, "f", "", "data");
        end(f);
        assert_int_equal(pread(f->stream, &byte, 1, i), 1);
        byte ^= 0x55;
        assert_int_equal(pwrite(f->stream, &byte, 1, i), 1);
        assert_int_equal(unpack(f, "in", "f"), -EINVAL);
    }
    assert_int_equal(write(f->stream, "no tar at all", 13), 13);
    assert_int_equal(unpack(f, "in", "f"), -EPIPE);
    down(f);
}

/* --- Where a copy goes --- */
static void test_destinations(void **state)
{
    struct fixture *f = up();

    add(f, COPY_FILE, "f", "", "1");
    end(f);
    assert_int_equal(unpack(f, "in", "f"), 0); /* into a folder */
    assert_true(is(f, "in/f", "1"));
    add(f, COPY_FILE, "f", "", "2");
    end(f);
    assert_int_equal(unpack(f, "in/g", "f"), 0); /* a new name */
    assert_true(is(f, "in/g", "2"));
    add(f, COPY_FILE, "f", "", "3");
    end(f);
    assert_int_equal(unpack(f, "in/g", "f"), 0); /* over a file */
    assert_true(is(f, "in/g", "3"));
    add(f, COPY_FILE, "f", "", "4");
    end(f);
    assert_int_equal(unpack(f, "in/none/", "f"), -ENOENT);
    add(f, COPY_FILE, "f", "", "5");
    end(f);
    assert_int_equal(unpack(f, "in/none/g", "f"), -ENOENT);
    add(f, COPY_DIR, "d", "", "");
    end(f);
    assert_int_equal(unpack(f, "in/g", "d"), -EEXIST); /* a folder over a file */
    add(f, COPY_FILE, "./a/b/c", "", "6");
    end(f);
    assert_int_equal(unpack(f, "in", NULL), 0); /* as it stands, folders it does not mention too */
    assert_true(is(f, "in/a/b/c", "6"));
    down(f);
}

/* --- There and back --- */
static void pack(struct fixture *f, const char *path, uint64_t *ret_total)
{
    const struct copy_watch watch = {0};

    assert_int_equal(copy_pack(at(f, path), f->stream, ret_total != NULL, &watch, &f->err), 0);
}

static void test_there_and_back(void **state)
{
    struct fixture *f = up();
    char command[1200], name[200];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    shell(f, "mkdir -p from/empty from/deep/er && cd from && printf 1 > one && chmod 640 one && "
             "ln -s one link && ln -s /nowhere/at/all dangling && chmod 750 deep && "
             "head -c 300000 /dev/zero > deep/er/zeroes && touch -d @7 deep/er && "
             "touch -h -d @5 link");
    (void)snprintf(command, sizeof(command), "mkdir -p from/%s/%s && printf l > from/%s/%s/%s",
                   name, name, name, name, name);
    shell(f, command);
    shell(f, "mkfifo from/pipe"); /* left out */
    pack(f, "from", &(uint64_t){0});
    assert_int_equal(unpack(f, "in", "from"), 0);
    shell(f, "rm from/pipe && diff -r --no-dereference from in/from");
    /* Not the folder itself: taking the pipe away changed its time. */
    shell(f, "test \"$(cd from && find . -mindepth 1 -printf '%p %m %Ts %l\\n' | sort)\" = "
             "\"$(cd in/from && find . -mindepth 1 -printf '%p %m %Ts %l\\n' | sort)\"");
    pack(f, "from", NULL);
    shell(f, "mkdir tar");
    (void)snprintf(command, sizeof(command),
                   "tar x -C tar < /proc/%d/fd/%d && diff -r --no-dereference from tar/from",
                   getpid(), f->stream);
    rewind_stream(f);
    shell(f, command); /* what tar thinks of it */
    assert_int_equal(ftruncate(f->stream, 0), 0);
    for (unsigned i = 0; i < 3; i++) { /* and what we think of tar's */
        static const char *const formats[] = {"gnu", "pax", "ustar --exclude=nnn*"};

        (void)snprintf(command, sizeof(command),
                       "rm -rf got && mkdir got && tar c --format=%s from > /proc/%d/fd/%d",
                       formats[i], getpid(), f->stream);
        rewind_stream(f);
        shell(f, command);
        assert_int_equal(unpack(f, "got", NULL), 0);
        shell(f, i < 2 ? "diff -r --no-dereference from got/from"
                       : "diff -r --no-dereference -x 'nnn*' from got/from");
    }
    down(f);
}

/* /proc says 0, /sys a page; what is copied is what they have. */
static void test_files_that_do_not_say_their_size(void **state)
{
    struct fixture *f = up();
    struct copy_watch watch = {0};

    assert_int_equal(copy_pack("/proc/version", f->stream, false, &watch, &f->err), 0);
    assert_int_equal(unpack(f, "in/version", "version"), 0);
    shell(f, "cmp in/version /proc/version");
    assert_int_equal(ftruncate(f->stream, 0), 0);
    rewind_stream(f);
    assert_int_equal(
        copy_pack("/sys/kernel/mm/transparent_hugepage", f->stream, false, &watch, &f->err), 0);
    assert_int_equal(unpack(f, "in", "huge"), 0);
    shell(f, "test \"$(cat in/huge/enabled | wc -c)\" = "
             "\"$(cat /sys/kernel/mm/transparent_hugepage/enabled | wc -c)\"");
    down(f);
}

static void test_what_cannot_be_copied_is_seen_first(void **state)
{
    struct copy_pack *pack = NULL;
    const struct copy_watch watch = {0};
    struct fixture *f = up();

    assert_int_equal(copy_pack_look("/dev/null", &watch, &pack, &f->err), -EINVAL);
    assert_int_equal(copy_pack_look(at(f, "none"), &watch, &pack, &f->err), -ENOENT);
    assert_null(pack);
    copy_pack_free(pack);
    down(f);
}

static void test_enough_was_refused(void **state)
{
    printf("%u hostile streams refused\n", refusals);
    assert_true(refusals >= REFUSALS_LEAST);
}

RUN_TESTS(cmocka_unit_test(test_names_stay_below), cmocka_unit_test(test_only_what_was_asked_for),
          cmocka_unit_test(test_links_are_not_followed), cmocka_unit_test(test_links_are_replaced),
          cmocka_unit_test(test_hard_links_stay_below), cmocka_unit_test(test_devices_are_refused),
          cmocka_unit_test(test_modes_are_masked), cmocka_unit_test(test_cut_streams),
          cmocka_unit_test(test_damaged_headers), cmocka_unit_test(test_destinations),
          cmocka_unit_test(test_there_and_back),
          cmocka_unit_test(test_files_that_do_not_say_their_size),
          cmocka_unit_test(test_what_cannot_be_copied_is_seen_first),
          cmocka_unit_test(test_enough_was_refused))
