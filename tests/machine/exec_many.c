/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest program for memory.long, /init of an initramfs: writes and runs COUNT programs, no two
 * alike, one after the other. Each is this very file with other constants in `pieces`, some hundred
 * basic blocks of code. Lines "EXECS n" on the console say how far it is; then it powers off.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 10000, STEP = 1000, PIECE_INSNS = 4, PIECE_BYTES = 4 * PIECE_INSNS, PIECES = 400 };

/* Every piece adds a constant, which is what differs, and branches around an instruction. */
__asm__(".option push\n"
        ".option norvc\n"
        ".globl pieces\n"
        "pieces:\n"
        ".rept 400\n"
        "    addi a0, a0, 1\n"
        "    andi t0, a0, 1\n"
        "    beqz t0, 1f\n"
        "    addi a1, a1, 1\n"
        "1:\n"
        ".endr\n"
        "    ret\n"
        ".option pop\n");
extern char pieces[];

static long run_pieces(void)
{
    return ((long (*)(long, long))(uintptr_t)pieces)(0, 0);
}

/* The sum of all constants, as 12-bit numbers, is what the program says by its exit code. */
static unsigned differ(char *program, size_t pieces_at, unsigned number)
{
    uint32_t seed = number * 2654435761u;
    long sum = 0;

    for (unsigned i = 0; i < PIECES; i++) {
        uint32_t insn;

        seed = seed * 1664525u + 1013904223u;
        memcpy(&insn, program + pieces_at + i * PIECE_BYTES, sizeof(insn));
        insn = (insn & 0xfffff) | (seed & 0xfff00000);
        memcpy(program + pieces_at + i * PIECE_BYTES, &insn, sizeof(insn));
        sum += (int32_t)insn >> 20;
    }
    return (unsigned)sum & 0xff;
}

static int run(const char *program, size_t size)
{
    int fd, status;
    pid_t child;

    unlink("/program");
    fd = open("/program", O_WRONLY | O_CREAT | O_EXCL, 0755);
    if (fd < 0 || write(fd, program, size) != (ssize_t)size || close(fd) < 0)
        return -1;
    child = vfork();
    if (!child) {
        execl("/program", "program", "child", (char *)NULL);
        _exit(255);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* Where a file that has this code holds it. */
static size_t find(const char *program, size_t size)
{
    const char *at = memmem(program, size, pieces, PIECES * PIECE_BYTES);

    return at ? (size_t)(at - program) : 0;
}

int main(int argc, char **argv)
{
    enum { ROOM = 4 << 20 };
    char *program = malloc(ROOM);
    int fd = open("/init", O_RDONLY);
    ssize_t size;
    size_t at;

    if (argc > 1 && !strcmp(argv[1], "child"))
        return (int)((unsigned long)run_pieces() & 0xff);
    size = read(fd, program, ROOM);
    at = size > 0 ? find(program, (size_t)size) : 0;
    for (unsigned i = 0; at && i < COUNT; i++) {
        unsigned want = differ(program, at, i);
        int got = run(program, (size_t)size);

        if (got != (int)want) {
            printf("FAILED program %u: %d, not %u\n", i, got, want);
            break;
        }
        if ((i + 1) % STEP == 0 || i == 99)
            printf("EXECS %u\n", i + 1);
        fflush(stdout);
    }
    printf("DONE\n");
    fflush(stdout);
    reboot(RB_POWER_OFF);
    return 0;
}
