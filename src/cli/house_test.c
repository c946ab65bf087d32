/* SPDX-License-Identifier: Apache-2.0 */
/* Every option of every verb is in --help, the manual page and each shell's completion. */
#include "cli/verbs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *house_bash, *house_zsh, *house_fish;

static char *house_written(void (*write)(FILE *out, const void *arg), const void *arg)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    write(out, arg);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void house_help(FILE *out, const void *verb)
{
    cli_help_verb(out, verb);
}

static void house_manual(FILE *out, const void *verb)
{
    cli_manual_page(out, verb);
}

static void house_script(FILE *out, const void *shell)
{
    struct err err;

    assert_int_equal(cli_completion(out, shell, &err), 0);
}

static void house_has(const char *where, const char *text, const char *word)
{
    if (!strstr(text, word))
        fail_msg("%s: no %s", where, word);
}

/* As roff writes a name that is typed. */
static void house_roff(const char *name, char *buf)
{
    for (; *name; name++) {
        if (*name == '-')
            *buf++ = '\\';
        *buf++ = *name;
    }
    *buf = '\0';
}

/* "run)": what stands between the mark of a verb and the end of its piece. */
static char *house_piece(const char *text, const char *mark, const char *end)
{
    const char *at = strstr(text, mark), *stop;

    if (!at)
        fail_msg("nothing about %s", mark);
    stop = strstr(at, end);
    assert_non_null(stop);
    return strndup(at, (size_t)(stop - at));
}

static void house_option(const char *name, const struct cli_option *o, const char *help,
                         const char *page)
{
    char word[256], dashed[128], roff[256];
    char *bash, *zsh;

    snprintf(dashed, sizeof(dashed), "--%s", o->name);
    house_has(name, help, dashed);
    house_has(name, help, o->help);
    house_roff(dashed, roff);
    house_has(name, page, roff);
    house_roff(o->help, roff);
    house_has(name, page, roff);
    snprintf(word, sizeof(word), "    '%s')\n", name);
    bash = house_piece(house_bash, word, ";;\n");
    zsh = house_piece(house_zsh, word, ";;\n");
    house_has(name, bash, dashed);
    house_has(name, zsh, dashed);
    free(bash);
    free(zsh);
    if (o->letter)
        snprintf(word, sizeof(word), "'__posada_at %s' -s %c -l %s", name, o->letter, o->name);
    else
        snprintf(word, sizeof(word), "'__posada_at %s' -l %s", name, o->name);
    house_has(name, house_fish, word);
}

static unsigned house_verb(const struct cli_verb *verb, const char *page)
{
    char name[64], *help = house_written(house_help, verb);
    unsigned count = 0;

    cli_verb_name(cli_verbs, verb, name, sizeof(name));
    house_has(name, help, verb->summary);
    for (const struct cli_option *o = NULL; (o = cli_next_option(verb, o)); count++) {
        if (!verb->verbs)
            house_option(name, o, help, page);
        for (const struct cli_option *p = NULL; (p = cli_next_option(verb, p)) != o;)
            if (!strcmp(p->name, o->name) || (p->letter && p->letter == o->letter))
                fail_msg("posada %s: --%s and --%s collide", name, p->name, o->name);
    }
    free(help);
    return count;
}

static void test_everywhere(void **state)
{
    char *top = house_written(house_manual, NULL);
    unsigned count = 0;

    house_bash = house_written(house_script, "bash");
    house_zsh = house_written(house_script, "zsh");
    house_fish = house_written(house_script, "fish");
    for (const struct cli_verb *const *v = cli_verbs; *v; v++) {
        char *page;

        assert_true(!v[1] || strcmp(v[0]->name, v[1]->name) < 0);
        if ((*v)->hidden)
            continue;
        house_has("posada(1)", top, (*v)->summary);
        page = house_written(house_manual, *v);
        count += house_verb(*v, page);
        for (const struct cli_verb *const *sub = (*v)->verbs; sub && *sub; sub++)
            count += house_verb(*sub, page);
        free(page);
    }
    assert_true(count > 60); /* the loops went over something */
    free(top);
    free(house_bash);
    free(house_zsh);
    free(house_fish);
}

static void test_unknown_shell(void **state)
{
    struct err err;

    assert_true(cli_completion(stderr, "csh", &err) < 0);
    assert_non_null(strstr(err.text, "bash, zsh or fish"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everywhere),
        cmocka_unit_test(test_unknown_shell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
