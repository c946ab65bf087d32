/* SPDX-License-Identifier: Apache-2.0 */
/* The image store: contents by digest, whole or absent after a kill at any system call. */
#include "image/store.h"

#include "base/unit_test.h"
#include "host/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int setup(void **state)
{
    static char root[64];

    (void)strcpy(root, "/tmp/posada_store.XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_int_equal(setenv("POSADA_DATA_DIR", root, 1), 0);
    *state = root;
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    return file_remove_tree(AT_FDCWD, *state, &err);
}

static void put_file(const struct image_store *s, const char *name, const char *text)
{
    char path[512];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", s->temp, name);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void put_image(struct image_store *s, const char *name, const char *text)
{
    json_t *kernel, *initrd, *manifest;
    struct err err;

    put_file(s, "kernel", "the same kernel");
    put_file(s, "initrd", text);
    assert_int_equal(image_store_take(s, "kernel", &kernel, &err), 0);
    assert_int_equal(image_store_take(s, "initrd", &initrd, &err), 0);
    manifest = json_pack("{s:o, s:o}", "kernel", kernel, "initrd", initrd);
    assert_int_equal(image_store_write(s, ARCH_RISCV64, name, manifest, &err), 0);
    json_decref(manifest);
}

static unsigned count_entries(const struct image_store *s, const char *folder)
{
    int fd = openat(s->root_fd, folder, O_RDONLY | O_DIRECTORY);
    const struct dirent *e;
    unsigned n = 0;
    DIR *dir = fdopendir(fd);

    assert_non_null(dir);
    while ((e = readdir(dir)))
        n += e->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

static void test_keeps_and_sweeps(void **state)
{
    struct image_store s;
    json_t *manifest, *names;
    struct err err;
    char *path;

    assert_int_equal(image_store_open(&s, &err), 0);
    assert_int_equal(image_store_lock(&s, NULL, &err), 0);
    put_image(&s, "b", "initrd of b");
    put_image(&s, "a", "initrd of a");
    assert_int_equal(count_entries(&s, "objects"), 3); /* one kernel for both */
    assert_int_equal(image_store_names(&s, ARCH_RISCV64, &names, &err), 0);
    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "a");
    json_decref(names);
    assert_int_equal(image_store_read(&s, ARCH_RISCV64, "a", &manifest, &err), 0);
    path = image_store_object(&s, manifest, "initrd");
    assert_non_null(path);
    free(path);
    json_decref(manifest);
    assert_int_equal(image_store_delete(&s, ARCH_RISCV64, "a", &err), 0);
    assert_int_equal(image_store_delete(&s, ARCH_RISCV64, "a", &err), -ENOENT);
    image_store_sweep(&s);
    assert_int_equal(count_entries(&s, "objects"), 2);
    assert_int_equal(image_store_read(&s, ARCH_RISCV64, "a", &manifest, &err), -ENOENT);
    image_store_close(&s);
}

static void test_damaged_manifest(void **state)
{
    static const char bad[] = "{\"kernel\": {\"sha256\": \"../../../etc/passwd\"}}";
    struct image_store s;
    json_t *manifest;
    struct err err;

    assert_int_equal(image_store_open(&s, &err), 0);
    assert_int_equal(file_write(s.root_fd, "riscv64/x.json", bad, strlen(bad), 0644, &err), 0);
    assert_int_equal(image_store_read(&s, ARCH_RISCV64, "x", &manifest, &err), 0);
    assert_null(image_store_object(&s, manifest, "kernel"));
    assert_null(image_store_object(&s, manifest, "initrd"));
    json_decref(manifest);
    assert_int_equal(file_write(s.root_fd, "riscv64/x.json", "{", 1, 0644, &err), 0);
    assert_int_equal(image_store_read(&s, ARCH_RISCV64, "x", &manifest, &err), -ENOENT);
    image_store_close(&s);
}

static void note_step(void *arg, const char *text)
{
    assert_non_null(strstr(text, "waiting"));
    ++*(int *)arg;
}

static void test_second_waits(void **state)
{
    int said = 0, status;
    const struct image_progress progress = {.step = note_step, .arg = &said};
    struct image_store s;
    struct err err;
    pid_t pid;
    int ready[2];
    char c;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        int r = image_store_open(&s, &err);

        if (r == 0)
            r = image_store_lock(&s, NULL, &err);
        (void)!write(ready[1], "x", 1);
        (void)usleep(400000);
        _exit(r < 0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(image_store_open(&s, &err), 0);
    assert_int_equal(image_store_lock(&s, &progress, &err), 0);
    assert_int_equal(said, 1);
    image_store_close(&s);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

/* The manifest is the old one or the new one, and names objects that are there. */
static void check_whole(void)
{
    struct image_store s;
    json_t *manifest;
    struct err err;
    char *kernel, *initrd;

    assert_int_equal(image_store_open(&s, &err), 0);
    for (int i = 0; i < 200 && count_entries(&s, "tmp"); i++)
        (void)usleep(10000);                       /* its sweeper is at it */
    assert_int_equal(count_entries(&s, "tmp"), 0); /* what the dead one left is gone */
    if (image_store_read(&s, ARCH_RISCV64, "a", &manifest, &err) == 0) {
        kernel = image_store_object(&s, manifest, "kernel");
        initrd = image_store_object(&s, manifest, "initrd");
        assert_non_null(kernel);
        assert_non_null(initrd);
        free(kernel);
        free(initrd);
        json_decref(manifest);
    }
    image_store_close(&s);
}

static void test_killed_anywhere(void **state)
{
    for (int i = 0; i < 60; i++) {
        const struct timespec wait = {0, i * 50000L};
        struct image_store s;
        struct err err;
        char text[32];
        pid_t pid = fork();

        if (pid == 0) {
            for (int n = 0; image_store_open(&s, &err) == 0; n++) {
                if (image_store_lock(&s, NULL, &err) < 0)
                    _exit(1);
                (void)snprintf(text, sizeof(text), "initrd %d %d", i, n);
                put_image(&s, "a", text);
                image_store_sweep(&s);
                image_store_close(&s);
            }
            _exit(1);
        }
        (void)nanosleep(&wait, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        check_whole();
    }
}

#define STORE_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

RUN_TESTS(STORE_TEST(test_keeps_and_sweeps), STORE_TEST(test_damaged_manifest),
          STORE_TEST(test_second_waits), STORE_TEST(test_killed_anywhere))
