/* SPDX-License-Identifier: Apache-2.0 */
#include "base/endian.h"
#include "base/unit_test.h"
#include "state/format.h"
#include "state/state.h"
#include <errno.h>
#include <stdlib.h>

struct thing {
    uint64_t big[3];
    uint32_t index;
    uint16_t half;
    bool flag;
    uint8_t bytes[5];
};

static const struct state_field thing_fields[] = {
    STATE_U64_ARRAY(struct thing, big, 3), STATE_U32_MAX(struct thing, index, 7),
    STATE_U16(struct thing, half),         STATE_BOOL(struct thing, flag),
    STATE_BYTES(struct thing, bytes, 5),   STATE_END,
};
/* The same fields in another order, as a later posada might have them. */
static const struct state_field thing_reordered[] = {
    STATE_BYTES(struct thing, bytes, 5),   STATE_U16(struct thing, half),
    STATE_U64_ARRAY(struct thing, big, 3), STATE_U32_MAX(struct thing, index, 7),
    STATE_BOOL(struct thing, flag),        STATE_END,
};
static const struct state_field thing_shorter[] = {STATE_U16(struct thing, half), STATE_END};

static const struct thing sample = {.big = {1, UINT64_MAX, UINT64_C(0x1122334455667788)},
                                    .index = 7,
                                    .half = 0xabcd,
                                    .flag = true,
                                    .bytes = {5, 4, 3, 2, 1}};

struct saved {
    uint8_t *data;
    size_t len;
};

static struct state_object object_of(struct thing *t, const struct state_field *fields,
                                     const char *name)
{
    return (struct state_object){
        .type = "thing", .name = name, .version = 2, .fields = fields, .object = t};
}

static struct saved save_two(struct thing *a, struct thing *b)
{
    struct state_object o[] = {object_of(a, thing_fields, "a"), object_of(b, thing_fields, "b")};
    struct saved s = {0};

    assert_int_equal(state_save(o, 2, &s.data, &s.len, NULL), 0);
    return s;
}

/* Loads into two things; checks that a refusal changes nothing. */
static int load_two(struct saved s, const struct state_field *fields, const char *second,
                    struct thing *ret_a, struct err *err)
{
    struct thing a = {.half = 1}, b = {.half = 2}, a0 = a, b0 = b;
    struct state_object o[] = {object_of(&b, fields, second), object_of(&a, fields, "a")};
    int r = state_load(o, 2, s.data, s.len, err);

    if (r) {
        assert_memory_equal(&a, &a0, sizeof(a));
        assert_memory_equal(&b, &b0, sizeof(b));
    } else {
        *ret_a = a;
    }
    return r;
}

static void rehash(struct saved s)
{
    st_le64(s.data + s.len - 8, state_hash(s.data, s.len - 16));
}

static void round_trip_in_any_order(void **state)
{
    struct thing a = sample, b = {0}, back = {0};
    struct saved s = save_two(&a, &b);

    assert_int_equal(load_two(s, thing_reordered, "b", &back, NULL), 0);
    assert_memory_equal(back.big, sample.big, sizeof(back.big));
    assert_memory_equal(back.bytes, sample.bytes, sizeof(back.bytes));
    assert_true(back.index == 7 && back.half == 0xabcd && back.flag);
    free(s.data);
}

static void misfits_are_named(void **state)
{
    struct thing a = sample, b = {0}, back = {0};
    struct saved s = save_two(&a, &b);
    struct err err;

    assert_int_equal(load_two(s, thing_fields, "c", &back, &err), -EINVAL);
    assert_non_null(strstr(err.text, "'b' is not in this machine"));
    assert_int_equal(load_two(s, thing_shorter, "b", &back, &err), -EINVAL);
    assert_non_null(strstr(err.text, "'big' is unknown"));
    free(s.data);
    a.index = 8; /* our bug when saving, a hostile value when loading */
    s = save_two(&a, &b);
    assert_int_equal(load_two(s, thing_fields, "b", &back, &err), -EINVAL);
    assert_non_null(strstr(err.text, "'index' is 8, at most 7"));
    free(s.data);
}

static void cut_streams_are_refused(void **state)
{
    struct thing a = sample, b = {0}, back = {0};
    struct saved s = save_two(&a, &b);

    for (size_t len = 0; len < s.len; len++) {
        struct saved cut = {malloc(len + 1), len};

        memcpy(cut.data, s.data, len);
        assert_int_equal(load_two(cut, thing_fields, "b", &back, NULL), -EINVAL);
        free(cut.data);
    }
    free(s.data);
}

/* Any byte changed, with a right hash: refused or loaded, never out of bounds (run under ASan). */
static void changed_bytes_do_no_harm(void **state)
{
    struct thing a = sample, b = {0}, back = {0};
    struct saved s = save_two(&a, &b);
    unsigned refused = 0;

    for (size_t i = 0; i < s.len - 16; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            s.data[i] ^= (uint8_t)(1u << bit);
            rehash(s);
            refused += load_two(s, thing_fields, "b", &back, NULL) != 0;
            s.data[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_true(refused > s.len * 4);
    s.data[40] ^= 1;
    assert_int_equal(load_two(s, thing_fields, "b", &back, NULL), -EINVAL); /* hash */
    free(s.data);
}

static void dump_is_text(void **state)
{
    struct thing a = sample, b = {0};
    struct saved s = save_two(&a, &b);
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(state_dump(s.data, s.len, out, NULL), 0);
    (void)fclose(out);
    assert_non_null(
        strstr(text, "thing 'a' version 2\n    big u64[3] 0x1 0xffffffffffffffff 0x11"));
    assert_non_null(strstr(text, "    bytes u8[5] 0x0 x 5\n"));
    free(text);
    free(s.data);
}

RUN_TESTS(cmocka_unit_test(round_trip_in_any_order), cmocka_unit_test(misfits_are_named),
          cmocka_unit_test(cut_streams_are_refused), cmocka_unit_test(changed_bytes_do_no_harm),
          cmocka_unit_test(dump_is_text))
