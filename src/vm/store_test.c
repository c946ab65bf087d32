/* SPDX-License-Identifier: Apache-2.0 */
/* Guests on disk: making, finding, honest states of the dead, tidying, removing. */
#include "base/cleanup.h"
#include "base/unit_test.h"
#include "host/file.h"
#include "vm/config.h"
#include "vm/store.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char trial_dir[64];

static int setup(void **state)
{
    char path[96];

    strcpy(trial_dir, "/tmp/posada-test-XXXXXX");
    assert_non_null(mkdtemp(trial_dir));
    snprintf(path, sizeof(path), "%s/data", trial_dir);
    setenv("POSADA_DATA_DIR", path, 1);
    snprintf(path, sizeof(path), "%s/run", trial_dir);
    setenv("POSADA_RUN_DIR", path, 1);
    return 0;
}

static int teardown(void **state)
{
    return file_remove_tree(AT_FDCWD, trial_dir, NULL);
}

static bool exists(const char *below)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", trial_dir, below);
    return access(path, F_OK) == 0;
}

static unsigned count_guests(void)
{
    char **names;
    unsigned n = 0;

    assert_int_equal(store_list(&names, NULL), 0);
    while (names[n])
        n++;
    vm_strings_free(names);
    return n;
}

static void make(const char *name, struct guest *guest, bool auto_remove)
{
    struct vm_config config = {.auto_remove = auto_remove};

    strcpy(config.name, name);
    assert_int_equal(store_create(&config, guest, NULL), 0);
    vm_config_done(&config);
}

static void guests_are_made_and_found(void **state)
{
    struct vm_config config = {.name = "otter"}, read;
    struct guest a, b;
    struct err err;

    assert_int_equal(store_create(&config, &a, NULL), 0);
    assert_int_equal(store_create(&config, &b, &err), -EEXIST);
    assert_int_equal(store_open("otter", &b, NULL), 0);
    assert_true(guest_is_alive(&b));
    assert_int_equal(guest_read_config(&b, &read, NULL), 0);
    assert_string_equal(read.uuid, config.uuid);
    guest_close(&b);
    config.uuid[8] = '\0'; /* the beginning of a UUID will do */
    assert_int_equal(store_open(config.uuid, &b, NULL), 0);
    assert_string_equal(b.name, "otter");
    guest_close(&b);
    assert_int_equal(store_open("nobody", &b, &err), -ENOENT);
    assert_int_equal(store_open("../guests/otter", &b, &err), -ENOENT);
    guest_close(&a);
}

static void generated_names_do_not_collide(void **state)
{
    struct guest guest[100];

    for (unsigned i = 0; i < ARRAY_LEN(guest); i++)
        make("", &guest[i], false);
    assert_int_equal(count_guests(), ARRAY_LEN(guest));
    for (unsigned i = 0; i < ARRAY_LEN(guest); i++)
        guest_close(&guest[i]);
}

static void the_dead_read_as_failed(void **state)
{
    struct guest_record record = {.state = VM_RUNNING};
    struct guest a, b;
    int run_fd;

    make("otter", &a, false);
    assert_int_equal(guest_write_record(&a, &record, NULL), 0);
    assert_int_equal(guest_write_pid(&a, 4242, NULL), 0);
    assert_int_equal(guest_run_dir(&a, &run_fd, NULL), 0);
    close(run_fd);
    assert_int_equal(store_open("otter", &b, NULL), 0);
    assert_int_equal(guest_read_record(&b, &record, NULL), 0);
    assert_int_equal(record.state, VM_RUNNING);
    store_tidy(); /* the living are left alone */
    assert_true(guest_has_run_dir(&b));
    guest_close(&a); /* as the kernel does at kill -9 */
    assert_int_equal(guest_read_record(&b, &record, NULL), 0);
    assert_int_equal(record.state, VM_FAILED);
    assert_non_null(strstr(record.reason, "4242"));
    store_tidy();
    assert_false(guest_has_run_dir(&b));
    assert_int_equal(guest_read_record(&b, &record, NULL), 0);
    assert_int_equal(record.state, VM_FAILED);
    assert_int_equal(record.pid, 0);
    assert_int_equal(store_remove(&b, NULL), 0);
    assert_int_equal(count_guests(), 0);
    guest_close(&b);
}

static void tidying_removes_leftovers(void **state)
{
    struct guest keep, gone, alive;
    char path[160];

    make("keep", &keep, false);
    make("gone", &gone, true);
    make("alive", &alive, true);
    guest_close(&keep);
    guest_close(&gone);
    snprintf(path, sizeof(path), "%s/data/guests/.new-123", trial_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/data/guests/.dead-123", trial_dir);
    assert_int_equal(mkdir(path, 0700), 0);
    store_tidy();
    assert_false(exists("data/guests/.new-123") || exists("data/guests/.dead-123"));
    assert_false(exists("data/guests/gone"));
    assert_true(exists("data/guests/keep") && exists("data/guests/alive"));
    guest_close(&alive);
}

/* A handle stays the guest's, whatever happens to its name. */
static void names_change_under_open_handles(void **state)
{
    struct guest a, b, other;
    struct err err;

    make("otter", &a, false);
    make("hare", &other, false);
    assert_int_equal(store_open("otter", &b, NULL), 0);
    assert_int_equal(store_rename(&b, "hare", &err), -EEXIST);
    assert_int_equal(store_rename(&b, "B!", &err), -EINVAL);
    assert_int_equal(store_rename(&b, "beaver", &err), 0); /* it runs: a holds its lock */
    assert_string_equal(b.name, "beaver");
    assert_int_equal(store_rename(&b, "beaver", &err), -EEXIST);
    assert_non_null(strstr(err.text, "already"));
    assert_string_equal(a.name, "otter");
    guest_close(&other);
    make("otter", &other, false); /* another one takes the old name */
    assert_int_equal(store_rename(&a, "vole", &err), 0);
    assert_true(exists("data/guests/vole") && exists("data/guests/otter"));
    assert_int_equal(guest_refresh(&b), 0);
    assert_string_equal(b.name, "vole");
    assert_int_equal(store_remove_locked(&a, NULL), 0);
    assert_true(exists("data/guests/otter") && !exists("data/guests/vole"));
    assert_int_equal(guest_refresh(&b), -ENOENT);
    assert_int_equal(store_rename(&b, "mole", &err), -ENOENT);
    guest_close(&a);
    assert_int_equal(store_lock_guest(&b, &err), -ENOENT);
    guest_close(&b);
    guest_close(&other);
}

static void the_living_are_not_removed(void **state)
{
    struct guest a, b;
    struct err err;

    make("otter", &a, false);
    assert_int_equal(store_open("otter", &b, NULL), 0);
    assert_int_equal(store_remove(&b, &err), -EBUSY);
    assert_int_equal(guest_wait_gone(&b, 20), -ETIMEDOUT);
    guest_close(&a);
    assert_int_equal(guest_wait_gone(&b, 20), 0);
    assert_int_equal(store_remove(&b, NULL), 0);
    assert_false(exists("data/guests/otter"));
    guest_close(&b);
}

/* Between a monitor's death and the next one's adoption. */
static void containers_that_go_on_are_nobodys(void **state)
{
    struct vm_config config = {.name = "otter", .technique = TECHNIQUE_CONTAINER};
    struct guest a, b;
    struct err err;
    int run_fd;

    assert_int_equal(store_create(&config, &a, NULL), 0);
    vm_config_done(&config);
    assert_int_equal(store_open("otter", &b, NULL), 0);
    assert_int_equal(guest_run_dir(&a, &run_fd, NULL), 0);
    close(run_fd);
    assert_int_equal(store_lock_guest(&b, &err), -EBUSY);
    assert_int_equal(store_remove(&b, &err), -EBUSY);
    guest_close(&a); /* as the kernel does at kill -9 */
    store_tidy();
    assert_int_equal(store_lock_guest(&b, &err), -EAGAIN);
    assert_int_equal(store_remove(&b, &err), -EAGAIN);
    assert_true(guest_has_run_dir(&b));
    assert_false(guest_is_alive(&b)); /* nor have we locked it */
    guest_remove_run_dir(&b);
    assert_int_equal(store_lock_guest(&b, &err), 0);
    assert_int_equal(store_remove_locked(&b, NULL), 0);
    guest_close(&b);
}

#define TRIAL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
RUN_TESTS(TRIAL(guests_are_made_and_found), TRIAL(generated_names_do_not_collide),
          TRIAL(the_dead_read_as_failed), TRIAL(tidying_removes_leftovers),
          TRIAL(names_change_under_open_handles), TRIAL(the_living_are_not_removed),
          TRIAL(containers_that_go_on_are_nobodys))
