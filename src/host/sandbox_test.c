/* SPDX-License-Identifier: Apache-2.0 */
/* What a process in the sandbox can still do, and what it cannot: each try in a child of its own.
 */
#include "base/cleanup.h"
#include "base/unit_test.h"
#include "host/file.h"
#include "host/process.h"
#include "host/sandbox.h"
#include "host/sandbox_layers.h"
#include "host/sandbox_refusal.h"
#include "host/sandbox_thread.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { BROKEN = 99 }; /* the sandbox itself could not be entered */

static char trial_dir[64];
static int trial_fd;
static int trial_pipe[2]; /* made before, as all descriptors are */

static int setup(void **state)
{
    strcpy(trial_dir, "/tmp/posada-test-XXXXXX");
    if (!mkdtemp(trial_dir))
        return -1;
    trial_fd = open(trial_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return trial_fd < 0 || pipe2(trial_pipe, O_CLOEXEC) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    close(trial_fd);
    close(trial_pipe[0]);
    close(trial_pipe[1]);
    return file_remove_tree(AT_FDCWD, trial_dir, NULL);
}

static const uint32_t *trial_ioctls;

/* Runs fn in the sandbox; its wait status. */
static int in_sandbox(int (*fn)(void))
{
    struct sandbox_config config = {.dir_fd = trial_fd,
                                    .name = "trial",
                                    .uuid = "00abcdef-0000-4000-8000-000000000000",
                                    .ioctls = trial_ioctls};
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct err err = {0};

        struct sandbox_missing missing;

        if (sandbox_enter(&config, &missing, &err) < 0) {
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
    pthread_t thread;
    void *seen = NULL;

    if (file_write(trial_fd, "state.json", "{}", 2, 0600, NULL) < 0 ||
        file_read(trial_fd, "state.json", 10, &text, NULL, NULL) < 0)
        return 1;
    if (renameat(trial_fd, "state.json", trial_fd, "other") < 0 ||
        unlinkat(trial_fd, "other", 0) < 0)
        return 2;
    if (pthread_create(&thread, NULL, thread_main, trial_pipe) || pthread_join(thread, &seen) ||
        seen != trial_pipe)
        return 3;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
        return 4; /* even asking is not on the list */
    if (write(trial_pipe[1], "x", 1) != 1 || pipe2(trial_pipe, O_CLOEXEC) == 0)
        return 5;
    return 0;
}

/* Small blocks, by the heap that the main thread has grown with brk(2): libc believes the kernel's
 * refusal of that only when it looks like the kernel's. */
static bool memory_grows(void)
{
    enum { BLOCKS = 4000, SIZE = 1000 };
    static void *blocks[BLOCKS];
    bool fine = true;

    for (unsigned i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        fine = fine && blocks[i];
        if (blocks[i])
            memset(blocks[i], 0x55, SIZE);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    return fine;
}

static uint8_t trial_page[4096] __attribute__((aligned(4096)));

/* What a vCPU's and a worker's thread may and may not do; the first thing that is wrong. */
static void *thread_locked_in(void *arg)
{
    enum sandbox_thread kind = *(enum sandbox_thread *)arg;
    const char *wrong = NULL;
    char byte;
    int fd;
    pthread_t other;
    void *memory;

    if (sandbox_enter_thread(kind))
        return (void *)(uintptr_t) "cannot be locked in";
    if (write(trial_pipe[1], "x", 1) != 1)
        wrong = "cannot write";
    memory = malloc(1 << 20);
    if (!memory || !memory_grows())
        wrong = "cannot get memory";
    free(memory);
    if ((fd = openat(trial_fd, "file", O_WRONLY | O_CREAT, 0600)) >= 0 || errno != EPERM)
        wrong = "opens a file";
    if (pipe2((int[2]){0}, O_CLOEXEC) == 0)
        wrong = "makes a pipe";
    if (!pthread_create(&other, NULL, thread_main, NULL))
        wrong = "makes a thread";
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        wrong = "makes code";
    if (mprotect(trial_page, 4096, PROT_READ) == 0)
        wrong = "changes what memory allows";
    if ((kind == SANDBOX_WORKER) != (pread(trial_fd, &byte, 1, 0) < 0 && errno == EISDIR))
        wrong = "reads files, or cannot";
    if (ioctl(trial_pipe[0], FIONREAD, &fd) == 0 || ioctl(trial_pipe[0], FIONBIO, &(int){1}))
        wrong = "another request than its own";
    return (void *)(uintptr_t)wrong;
}

static int locks_threads_in(void)
{
    enum sandbox_thread kind;
    int fd = openat(trial_fd, "mine", O_WRONLY | O_CREAT, 0600); /* the others still may */

    for (kind = SANDBOX_VCPU; kind < SANDBOX_THREADS; kind++) {
        void *wrong = NULL;
        pthread_t thread;

        if (fd < 0 || pthread_create(&thread, NULL, thread_locked_in, &kind) ||
            pthread_join(thread, &wrong))
            return 1;
        if (wrong) {
            fprintf(stderr, "thread %d: %s\n", (int)kind, (const char *)wrong);
            return 2 + (int)kind;
        }
    }
    return unlinkat(trial_fd, "mine", 0) ? 10 : 0;
}

static void threads_have_shorter_lists(void **state)
{
    static const uint32_t ioctls[] = {FIONBIO, 0};
    struct err err;
    int status;

    assert_int_equal(sandbox_prepare_threads(ioctls, &err), 0);
    trial_ioctls = ioctls;
    status = in_sandbox(locks_threads_in);
    trial_ioctls = NULL;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
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

static int asks_twice(void)
{
    int pair[2];

    for (int i = 0; i < 2; i++)
        if (pipe2(pair, O_CLOEXEC) >= 0 || errno != EPERM)
            return 1;
    return 0;
}

static int asks_by_another_name(void)
{
    sandbox_refusal_name("another");
    return asks_twice();
}

/* fn asks for a pipe; that is told once, of a guest of that name. */
static void is_told_once(int (*fn)(void), const char *name)
{
    int old = dup(STDERR_FILENO), status;
    char text[400], want[80];
    ssize_t n;

    assert_true(old >= 0 && dup2(trial_pipe[1], STDERR_FILENO) >= 0);
    status = in_sandbox(fn);
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    close(old);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    n = read(trial_pipe[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    snprintf(want, sizeof(want), "guest '%s': system call %d of its main thread", name, SYS_pipe2);
    assert_non_null(strstr(text, want));
    assert_ptr_equal(strchr(text, '\n'), text + n - 1); /* one line */
}

static void refusals_are_told_once(void **state)
{
    is_told_once(asks_twice, "trial");
    is_told_once(asks_by_another_name, "another");
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

static long attack_call;

static int makes_call(void)
{
    (void)syscall(attack_call, 0, 0, 0, 0, 0, 0);
    return 0;
}

static void what_no_monitor_does_ends_it(void **state)
{
    static const long calls[] = {
        SYS_execve,
        SYS_execveat,
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_mount,
        SYS_umount2,
        SYS_pivot_root,
        SYS_chroot,
        SYS_unshare,
        SYS_setns,
        SYS_bpf,
        SYS_perf_event_open,
        SYS_init_module,
        SYS_kexec_load,
        SYS_reboot,
        SYS_keyctl,
        SYS_socket,
        SYS_connect,
        SYS_bind,
        SYS_kill,
        SYS_pidfd_open,
        SYS_setuid,
        SYS_capset,
        SYS_io_uring_setup,
        SYS_userfaultfd,
        SYS_open_by_handle_at,
        SYS_process_vm_writev,
    };

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        int status;

        attack_call = calls[i];
        status = in_sandbox(makes_call);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

static int makes_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        return 2;
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

enum poverty {
    NAMESPACES = 1,
    LANDLOCK = 2,
    SECCOMP = 4,
};

/* A host that refuses namespaces, as some containers do, or has not what came later. */
static void make_host_poor(unsigned poverty)
{
    static const struct {
        int number, error;
    } lack[] = {{SCMP_SYS(unshare), EPERM},
                {SCMP_SYS(landlock_create_ruleset), ENOSYS},
                {SCMP_SYS(seccomp), ENOSYS}};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    int r = ctx ? prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) : -1;

    for (unsigned i = 0; i < ARRAY_LEN(lack) && !r; i++)
        if (poverty & 1u << i)
            r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)lack[i].error), lack[i].number, 0);
    if (r || seccomp_load(ctx) < 0)
        _exit(BROKEN);
    seccomp_release(ctx);
}

/* 0: entered, and its main thread locked in; else the negated error. *missing and *err as they
 * were. */
static int enter_on_poor_host(unsigned poverty, enum sandbox_level level,
                              struct sandbox_missing *missing, struct err *err)
{
    struct sandbox_config config = {.level = level,
                                    .dir_fd = trial_fd,
                                    .name = "trial",
                                    .uuid = "00abcdef-0000-4000-8000-000000000000"};
    struct answer {
        int code;
        struct sandbox_missing missing;
        struct err err;
    } answer = {.code = -1};
    int fds[2], status;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    if (pid == 0) {
        make_host_poor(poverty);
        answer.code = -sandbox_prepare_threads(NULL, &answer.err);
        if (!answer.code)
            answer.code = -sandbox_enter(&config, &answer.missing, &answer.err);
        if (!answer.code)
            answer.code = -sandbox_enter_thread(SANDBOX_MAIN);
        (void)!write(fds[1], &answer, sizeof(answer));
        _exit(0);
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &answer, sizeof(answer)), sizeof(answer));
    close(fds[0]);
    assert_int_equal(process_wait(pid, &status), 0);
    *missing = answer.missing;
    *err = answer.err;
    return answer.code;
}

static void a_poor_host_is_told_of(void **state)
{
    struct sandbox_missing missing;
    struct err err;

    if (sandbox_landlock_version()) {
        assert_int_equal(enter_on_poor_host(NAMESPACES, SANDBOX_AUTO, &missing, &err), 0);
        assert_non_null(strstr(missing.text, "namespace"));
        assert_non_null(strstr(missing.text, "not permitted"));
        assert_null(strstr(missing.text, "landlock"));
        assert_int_equal(enter_on_poor_host(NAMESPACES, SANDBOX_STRICT, &missing, &err),
                         EOPNOTSUPP);
        assert_non_null(strstr(err.text, "--sandbox strict"));
    }
    assert_int_equal(enter_on_poor_host(NAMESPACES | LANDLOCK, SANDBOX_THIN, &missing, &err), 0);
    assert_non_null(strstr(missing.text, "landlock"));
    assert_int_equal(enter_on_poor_host(NAMESPACES | LANDLOCK, SANDBOX_AUTO, &missing, &err),
                     EOPNOTSUPP);
    assert_non_null(strstr(err.text, "--sandbox thin"));
}

static void a_host_without_seccomp_is_told_of(void **state)
{
    struct sandbox_missing missing;
    struct err err;

    assert_int_equal(enter_on_poor_host(SECCOMP, SANDBOX_THIN, &missing, &err), 0);
    assert_non_null(strstr(missing.text, "seccomp: not in this kernel"));
    assert_int_equal(enter_on_poor_host(SECCOMP, SANDBOX_AUTO, &missing, &err), EOPNOTSUPP);
    assert_non_null(strstr(err.text, "--sandbox thin"));
}

static void levels_have_names(void **state)
{
    enum sandbox_level level;

    assert_int_equal(sandbox_level_parse(NULL, &level), 0);
    assert_int_equal(level, SANDBOX_AUTO);
    assert_int_equal(sandbox_level_parse("strict", &level), 0);
    assert_int_equal(level, SANDBOX_STRICT);
    assert_int_equal(sandbox_level_parse("thin", &level), 0);
    assert_int_equal(level, SANDBOX_THIN);
    assert_int_equal(sandbox_level_parse("", &level), -EINVAL);
}

static void parts_are_told(void **state)
{
    struct sandbox_part parts[8];
    unsigned n = sandbox_parts(parts, ARRAY_LEN(parts));

    assert_int_equal(n, 6);
    for (unsigned i = 0; i < n; i++)
        assert_true(parts[i].available || parts[i].detail[0]);
}

/* SECURITY.md has these numbers. */
static void the_lists_of_calls_do_not_grow(void **state)
{
    assert_int_equal(sandbox_thread_call_count(SANDBOX_MAIN), 47);
    assert_int_equal(sandbox_thread_call_count(SANDBOX_VCPU), 25);
    assert_int_equal(sandbox_thread_call_count(SANDBOX_WORKER), 32);
    assert_int_equal(sandbox_call_count(), 56); /* all of them, and making threads */
}

#define TRIAL(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
RUN_TESTS(TRIAL(honest_work_goes_on), TRIAL(other_files_are_out_of_reach),
          TRIAL(attacks_end_the_process), TRIAL(what_no_monitor_does_ends_it),
          TRIAL(refusals_are_told_once), TRIAL(no_processes_and_no_code_from_data),
          TRIAL(parts_are_told), TRIAL(a_poor_host_is_told_of),
          TRIAL(a_host_without_seccomp_is_told_of), cmocka_unit_test(levels_have_names),
          cmocka_unit_test(the_lists_of_calls_do_not_grow), TRIAL(threads_have_shorter_lists))
