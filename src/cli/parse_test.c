/* SPDX-License-Identifier: Apache-2.0 */
/* Option parsing: all forms, the end of options, refusals with a did-you-mean. */
#include "cli/cli.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct cli_option trial_options[] = {
    {"name", 'n', "NAME", "a name"},
    {"env", 'e', "K=V", "environment, repeatable"},
    {"interactive", 'i', NULL, "switch"},
    {"tty", 't', NULL, "switch"},
    {"rm", 0, NULL, "switch"},
    CLI_OPTIONS_END,
};
static const struct cli_verb trial_run = {.name = "run",
                                          .operands = "IMAGE [COMMAND...]",
                                          .options = trial_options,
                                          .min = 1,
                                          .max = CLI_ANY_NUMBER,
                                          .command = true};
static const struct cli_verb trial_stop = {
    .name = "stop", .operands = "GUEST", .options = trial_options, .min = 1, .max = 1};
static const struct cli_verb trial_ls = {.name = "ls"};
static const struct cli_verb *const trial_image_verbs[] = {&trial_ls, NULL};
static const struct cli_verb trial_image = {.name = "image", .verbs = trial_image_verbs};
static const struct cli_verb *const trial_verbs[] = {&trial_image, &trial_run, &trial_stop, NULL};

static struct err trial_err;
static char trial_words[512];

/* Parses one line of words parted by blanks. */
static int trial_parse(const char *line, struct cli_args *args)
{
    char *argv[32], *save;
    int argc = 0;

    strcpy(trial_words, line);
    for (char *w = strtok_r(trial_words, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    return cli_parse(trial_verbs, argc, argv, args, &trial_err);
}

static void test_forms(void **state)
{
    struct cli_args args;

    assert_int_equal(trial_parse("stop --name=a -n b -nc -e A=1 --env B=2 guest -it", &args), 0);
    assert_string_equal(cli_value(&args, "name"), "c");
    assert_string_equal(cli_nth(&args, "env", 0), "A=1");
    assert_string_equal(cli_nth(&args, "env", 1), "B=2");
    assert_null(cli_nth(&args, "env", 2));
    assert_true(cli_has(&args, "interactive") && cli_has(&args, "tty") && !cli_has(&args, "rm"));
    assert_int_equal(args.operand_count, 1);
    assert_string_equal(args.operands[0], "guest");
    cli_args_done(&args);
}

static void test_command_ends_options(void **state)
{
    struct cli_args args;

    assert_int_equal(trial_parse("run --rm tiny ls --rm -la --", &args), 0);
    assert_int_equal(args.operand_count, 5);
    assert_string_equal(args.operands[2], "--rm");
    assert_string_equal(args.operands[4], "--");
    assert_int_equal(args.setting_count, 1);
    cli_args_done(&args);
    assert_int_equal(trial_parse("run -- --odd", &args), 0);
    assert_string_equal(args.operands[0], "--odd");
    cli_args_done(&args);
}

static void test_did_you_mean(void **state)
{
    struct cli_args args;

    assert_int_equal(trial_parse("run --nmae x tiny", &args), -EINVAL);
    assert_non_null(strstr(trial_err.text, "did you mean --name?"));
    assert_int_equal(trial_parse("run --interactiv=1 tiny", &args), -EINVAL);
    assert_non_null(strstr(trial_err.text, "did you mean --interactive?"));
    assert_int_equal(trial_parse("sotp x", &args), -EINVAL);
    assert_non_null(strstr(trial_err.text, "did you mean 'stop'?"));
    assert_int_equal(trial_parse("image sl", &args), -EINVAL);
    assert_non_null(strstr(trial_err.text, "did you mean 'image ls'?"));
    assert_int_equal(trial_parse("run --zzzzzz tiny", &args), -EINVAL);
    assert_null(strstr(trial_err.text, "did you mean"));
}

static void test_refusals(void **state)
{
    static const char *const lines[] = {
        "stop",         "stop a b", "run --name", "run -n",       "run --rm=yes tiny",
        "run -ix tiny", "image",    "",           "run --help=1",
    };
    struct cli_args args;

    for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
        assert_int_equal(trial_parse(lines[i], &args), -EINVAL);
}

static void test_help(void **state)
{
    static const char *const lines[] = {"stop --help", "image --help", "image ls -h",
                                        "run --rm --help"};
    struct cli_args args;

    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        assert_int_equal(trial_parse(lines[i], &args), 0);
        assert_true(args.help);
        cli_args_done(&args);
    }
}

static void test_sizes(void **state)
{
    static const char *const wrong[] = {"", "M", "-1", "1.5G", "12X", "99999999999G", "1MM", "1 G"};
    uint64_t v;

    assert_int_equal(cli_parse_size("memory", "512M", &v, NULL), 0);
    assert_int_equal(v, 512u << 20);
    assert_int_equal(cli_parse_size("memory", "2g", &v, NULL), 0);
    assert_int_equal(v, 2ull << 30);
    assert_int_equal(cli_parse_size("memory", "4KiB", &v, NULL), 0);
    assert_int_equal(v, 4096);
    assert_int_equal(cli_parse_size("memory", "77", &v, NULL), 0);
    assert_int_equal(v, 77);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(cli_parse_size("memory", wrong[i], &v, NULL), -EINVAL);
    assert_int_equal(cli_parse_number("cpus", "65", 1, 64, &v, NULL), -EINVAL);
    assert_int_equal(cli_parse_number("cpus", "0x4", 1, 64, &v, NULL), -EINVAL);
    assert_int_equal(cli_parse_number("cpus", "0", 1, 64, &v, NULL), -EINVAL);
    assert_int_equal(cli_parse_number("cpus", "64", 1, 64, &v, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),        cmocka_unit_test(test_command_ends_options),
        cmocka_unit_test(test_did_you_mean), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_help),         cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
