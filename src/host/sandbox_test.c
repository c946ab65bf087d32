/* SPDX-License-Identifier: Apache-2.0 */
/* What a process in the sandbox can still do, and what it cannot: each try in a child of its own.
 */
#include "base/cleanup.h"
#include "base/unit_test.h"
#include "host/file.h"
#include "host/process.h"
#include "host/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { BROKEN = 99 }; /* the sandbox itself could not be entered */

static char trial_dir[64];
static int trial_fd;

static int setup(void **state)
{
    strcpy(trial_dir, "/tmp/posada-test-XXXXXX");
    if (!mkdtemp(trial_dir))
        return -1;
    trial_fd = open(trial_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return trial_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    close(trial_fd);
    return file_remove_tree(AT_FDCWD, trial_dir, NULL);
}

/* Runs fn in the sandbox; its wait status. */
static int in_sandbox(int (*fn)(void))
{
    struct sandbox_config config = {
        .dir_fd = trial_fd, .name = "trial", .uuid = "00abcdef-0000-4000-8000-000000000000"};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct err err = {0};

        if (sandbox_enter(&config, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            _exit(BROKEN);
        }
        _exit(fn());
    }
    assert_int_equal(process_wait(pid, &status), 0);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == BROKEN);
    return status;
}

static void *thread_main(void *arg)
{
    return arg;
}

/* All a monitor does after its start: write its files, start threads, talk to clients. */
static int honest_work(void)
{
    CLEANUP(free) char *text = NULL;
    int pair[2] = {-1, -1}; /* made before, really */
    pthread_t thread;
    void *seen = NULL;

    if (file_write(trial_fd, "state.json", "{}", 2, 0600, NULL) < 0 ||
        file_read(trial_fd, "state.json", 10, &text, NULL, NULL) < 0)
        return 1;
    if (renameat(trial_fd, "state.json", trial_fd, "other") < 0 ||
        unlinkat(trial_fd, "other", 0) < 0)
        return 2;
    if (pthread_create(&thread, NULL, thread_main, pair) || pthread_join(thread, &seen) ||
        seen != pair)
        return 3;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return 4; /* even asking is not on the list */
    if (pipe2(pair, O_CLOEXEC) < 0 || write(pair[1], "x", 1) != 1)
        return 5;
    return 0;
}

static void honest_work_goes_on(void **state)
{
    int status = in_sandbox(honest_work);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int reaches_files(void)
{
    static const char *const paths[] = {"/etc/passwd", "/proc/self/maps", "..", "../..",
                                        "/tmp",        "/root/.profile"};

    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        int fd = openat(trial_fd, paths[i], O_RDONLY);
        int below = fd < 0 ? -1 : openat(fd, "etc/passwd", O_RDONLY);

        /* Under a root of its own ".." leads nowhere; else Landlock refuses. */
        if (below >= 0 || (fd >= 0 && paths[i][0] == '/'))
            return 1 + (int)i;
    }
    if (openat(trial_fd, "/tmp/posada-escaped", O_WRONLY | O_CREAT, 0600) >= 0)
        return 50;
    return 0;
}

static void other_files_are_out_of_reach(void **state)
{
    int status = in_sandbox(reaches_files);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(access("/tmp/posada-escaped", F_OK), -1);
}

static int runs_program(void)
{
    execl("/bin/true", "true", NULL);
    return 0;
}

static int makes_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0;
}

static int makes_process(void)
{
    return fork() >= 0;
}

static int signals_parent(void)
{
    return kill(getppid(), 0);
}

static void attacks_end_the_process(void **state)
{
    int (*const attacks[])(void) = {runs_program, makes_socket, signals_parent};

    for (unsigned i = 0; i < ARRAY_LEN(attacks); i++) {
        int status = in_sandbox(attacks[i]);

        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

static int makes_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0;
}

static void no_processes_and_no_code_from_data(void **state)
{
    int (*const tries[])(void) = {makes_process, makes_code};

    for (unsigned i = 0; i < ARRAY_LEN(tries); i++) {
        int status = in_sandbox(tries[i]);

        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void parts_are_told(void **state)
{
    struct sandbox_part parts[8];
    unsigned n = sandbox_parts(parts, ARRAY_LEN(parts));

    assert_int_equal(n, 6);
    for (unsigned i = 0; i < n; i++)
        assert_true(parts[i].available || parts[i].detail[0]);
}

#define TRIAL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
RUN_TESTS(TRIAL(honest_work_goes_on), TRIAL(other_files_are_out_of_reach),
          TRIAL(attacks_end_the_process), TRIAL(no_processes_and_no_code_from_data),
          TRIAL(parts_are_told))
