/* SPDX-License-Identifier: Apache-2.0 */
/* Contract: test_pair.h. */
#include "jit/test_pair.h"

#include "base/unit_test.h"
#include <string.h>

uint64_t test_rng_state;

uint64_t test_rng(void)
{
    test_rng_state ^= test_rng_state << 13;
    test_rng_state ^= test_rng_state >> 7;
    test_rng_state ^= test_rng_state << 17;
    return test_rng_state;
}

unsigned test_pick(unsigned n)
{
    return (unsigned)(test_rng() >> 20) % n;
}

uint64_t test_stop(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t c)
{
    cpu->exit = CPU_EXIT_DEBUG;
    return 0;
}

static void pair_code_write(void *arg, gpa_t gpa, uint64_t len)
{
    jit_code_written(arg, gpa, len);
}

void test_pair_init(struct test_pair *p)
{
    p->jitted = fake_new();
    p->plain = fake_new();
    p->ops = *p->jitted->cpu.ops;
    p->jitted->cpu.ops = p->plain->cpu.ops = &p->ops;
}

void test_pair_jit(struct test_pair *p, unsigned stress, const struct jit_pages *pages)
{
    const struct jit_config config = {
        .mem = p->jitted->cpu.mem, .ops = &p->ops, .code_bytes = 4 << 20, .stress = stress};
    struct err err = {0};

    assert_int_equal(jit_new(&config, &p->jit, &err), 0);
    assert_int_equal(jit_vcpu_new(p->jit, &p->jitted->cpu, pages, &p->vcpu, &err), 0);
    mem_on_code_write(p->jitted->cpu.mem, pair_code_write, p->jit);
}

void test_pair_done(struct test_pair *p)
{
    mem_on_code_write(p->jitted->cpu.mem, NULL, NULL);
    jit_vcpu_free(p->vcpu);
    jit_free(p->jit);
    fake_free(p->jitted);
    fake_free(p->plain);
}

uint64_t test_jit_stat(struct jit *jit, const char *name)
{
    struct engine_stat stats[64];
    unsigned n = jit_stats(jit, stats, ARRAY_LEN(stats));

    for (unsigned i = 0; i < n; i++)
        if (!strcmp(stats[i].name, name))
            return stats[i].value;
    fail_msg("no figure %s", name);
    return 0;
}
