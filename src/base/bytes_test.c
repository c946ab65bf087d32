/* SPDX-License-Identifier: Apache-2.0 */
/* The three headers of arithmetic on outside bytes: endian.h, checked.h, bits.h. */
#include "base/bits.h"
#include "base/checked.h"
#include "base/endian.h"
#include "base/unit_test.h"

static void endian_is_bytewise(void **state)
{
    uint8_t buf[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8};

    assert_int_equal(ld_le16(buf + 1), 0x0201);
    assert_int_equal(ld_le32(buf + 1), 0x04030201);
    assert_int_equal(ld_le64(buf + 1), UINT64_C(0x0807060504030201));
    assert_int_equal(ld_be16(buf + 1), 0x0102);
    assert_int_equal(ld_be32(buf + 1), 0x01020304);
    st_le32(buf + 3, 0xa1b2c3d4);
    assert_int_equal(buf[3], 0xd4);
    assert_int_equal(buf[6], 0xa1);
    st_be64(buf, UINT64_C(0x0102030405060708));
    assert_int_equal(buf[7], 8);
}

static void checked_reports_overflow(void **state)
{
    uint32_t small;
    size_t size;

    assert_false(ckd_add(&small, UINT32_MAX - 1, 1u));
    assert_true(ckd_add(&small, UINT32_MAX, 1u));
    assert_true(ckd_sub(&small, 1u, 2u));
    assert_true(ckd_mul(&size, SIZE_MAX / 2, (size_t)3));
    assert_true(range_within(4, 4, 8));
    assert_false(range_within(5, 4, 8));
    assert_false(range_within(UINT64_MAX, 2, 8));
    assert_false(range_within(0, UINT64_MAX, 8));
    assert_int_equal(add_saturate(UINT64_MAX, 5), UINT64_MAX);
}

static void bits_at_their_limits(void **state)
{
    assert_int_equal(bits_mask(0), 0);
    assert_int_equal(bits_mask(64), UINT64_MAX);
    assert_int_equal(bits_get(0xabcd, 4, 8), 0xbc);
    assert_int_equal(bits_set(0xffff, 4, 8, 0x112), 0xf12f);
    assert_int_equal(sign_extend(0x80, 8), UINT64_C(0xffffffffffffff80));
    assert_int_equal(sign_extend(0x17f, 8), 0x7f);
    assert_int_equal(sign_extend(BIT(63), 64), BIT(63));
    assert_int_equal(u64_from(1, UINT64_C(0xf00000002)), UINT64_C(0x100000002));
    assert_true(is_pow2(4096) && !is_pow2(0) && !is_pow2(6));
    assert_int_equal(align_up(4097, 4096), 8192);
    assert_int_equal(align_down(4097, 4096), 4096);
    assert_true(is_aligned(64, 64) && !is_aligned(65, 64));
}

RUN_TESTS(cmocka_unit_test(endian_is_bytewise), cmocka_unit_test(checked_reports_overflow),
          cmocka_unit_test(bits_at_their_limits))
