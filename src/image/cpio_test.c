/* SPDX-License-Identifier: Apache-2.0 */
/* The archive writer against cpio(1), where there is one, and against itself: same bytes. */
#include "image/cpio.h"

#include "base/unit_test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t write_sample(char **ret_data)
{
    size_t len = 0;
    FILE *f = open_memstream(ret_data, &len);
    struct cpio c;

    assert_non_null(f);
    cpio_begin(&c, f);
    cpio_dir(&c, "bin", 0755);
    cpio_file(&c, "bin/odd", 0755, "12345", 5);
    cpio_file(&c, "empty", 0600, NULL, 0);
    cpio_symlink(&c, "bin/link", "odd");
    cpio_char_device(&c, "null", 0666, 1, 3);
    assert_int_equal(cpio_end(&c), 0);
    (void)fclose(f);
    return len;
}

static void test_same_bytes(void **state)
{
    char *a, *b;
    size_t len = write_sample(&a);

    assert_int_equal(write_sample(&b), len);
    assert_memory_equal(a, b, len);
    assert_int_equal(len % 512, 0);
    assert_memory_equal(a, "070701", 6);
    free(a);
    free(b);
}

static void test_cpio_reads_it(void **state)
{
    static const char expected[] = "drwxr-xr-x bin\n-rwxr-xr-x bin/odd\n-rw------- empty\n"
                                   "lrwxrwxrwx bin/link\ncrw-rw-rw- null\n";
    char path[] = "/tmp/posada_cpio.XXXXXX", command[256], text[1024];
    char *data;
    size_t len = write_sample(&data);
    int fd = mkstemp(path);
    FILE *p;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    (void)close(fd);
    free(data);
    if (system("command -v cpio >/dev/null") != 0) {
        (void)unlink(path);
        skip();
    }
    (void)snprintf(command, sizeof(command),
                   "cpio -tv <%s 2>/dev/null | sed 's/ -> .*//' | awk '{print $1, $NF}'", path);
    p = popen(command, "r");
    assert_non_null(p);
    len = fread(text, 1, sizeof(text) - 1, p);
    text[len] = '\0';
    assert_int_equal(pclose(p), 0);
    assert_string_equal(text, expected);
    (void)snprintf(command, sizeof(command), "cpio -i --quiet --to-stdout bin/odd <%s", path);
    p = popen(command, "r");
    len = fread(text, 1, sizeof(text) - 1, p);
    text[len] = '\0';
    (void)pclose(p);
    assert_string_equal(text, "12345");
    (void)unlink(path);
}

static void test_full_disk(void **state)
{
    static const char data[100000];
    FILE *f = fopen("/dev/full", "w");
    struct cpio c;

    if (!f)
        skip();
    cpio_begin(&c, f);
    cpio_file(&c, "big", 0644, data, sizeof(data));
    assert_int_equal(cpio_end(&c), -ENOSPC);
    (void)fclose(f);
}

RUN_TESTS(cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_cpio_reads_it),
          cmocka_unit_test(test_full_disk))
