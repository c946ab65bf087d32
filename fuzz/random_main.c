/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzzers' entry points driven by repeatable random input, for the normal test suite and for
 * compilers without libFuzzer.
 *     fuzz_random [--seed N] [--accesses N] [--load] [TYPE...]
 * Prints the seed; a failure says which input number it was, so that `--seed` repeats it.
 */
#include "base/endian.h"
#include "script.h"
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INPUT_SIZE = 8192, LOAD_INPUT_SIZE = 512 };

static struct {
    const char *type;
    uint64_t seed;
    unsigned input;
} now;

/* Says where it happened before the process dies. */
static void on_death(int signal)
{
    char text[160];
    int n = snprintf(text, sizeof(text), "fuzz_random: %s died, seed %" PRIu64 ", input %u\n",
                     now.type, now.seed, now.input);

    (void)!write(STDERR_FILENO, text, (size_t)n);
    (void)raise(signal);
}

static void catch_death(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction act = {.sa_handler = on_death, .sa_flags = (int)SA_RESETHAND};

    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaction(signals[i], &act, NULL);
}

static void run_type(const char *type, unsigned accesses, bool load)
{
    uint64_t random = now.seed;
    uint8_t input[INPUT_SIZE];
    size_t len = load ? LOAD_INPUT_SIZE : INPUT_SIZE;
    unsigned made = 0;

    now.type = type;
    for (now.input = 0; made < accesses; now.input++) {
        for (size_t i = 0; i < len; i += 8)
            st_le64(input + i, rig_random(&random));
        made += load ? fuzz_load(type, input, len) + 1 : fuzz_registers(type, input, len);
    }
    printf("%-22s %u accesses, %u inputs\n", type, made, now.input);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"accesses", required_argument, NULL, 'a'},
                                            {"load", no_argument, NULL, 'l'},
                                            {0}};
    unsigned accesses = 200000;
    bool load = false;
    int o;

    now.seed = 1;
    while ((o = getopt_long(argc, argv, "s:a:l", options, NULL)) != -1) {
        if (o == 's')
            now.seed = strtoull(optarg, NULL, 0);
        else if (o == 'a')
            accesses = (unsigned)strtoul(optarg, NULL, 0);
        else if (o == 'l')
            load = true;
        else
            return 2;
    }
    catch_death();
    printf("seed %" PRIu64 "\n", now.seed);
    for (int i = optind; i < argc; i++)
        run_type(argv[i], accesses, load);
    for (const char *const *type = rig_types; *type && optind == argc; type++)
        run_type(*type, accesses, load);
    return 0;
}
