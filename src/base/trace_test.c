/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace_ring.h"
#include "base/unit_test.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char trace_path[64];

static void ring_keeps_the_last_records(void **state)
{
    struct trace_header header;
    struct trace_record record;
    struct err err;
    FILE *f;

    assert_int_equal(trace_open(trace_path, "mmio,irq", 5, &err), 0);
    assert_true(trace_on(TRACE_MMIO) && trace_on(TRACE_IRQ) && !trace_on(TRACE_INSN));
    for (uint64_t i = 0; i < 20; i++)
        trace_put(TRACE_EV_mmio_read, 3, i, 4, i * 2, 0, 0);
    trace_close();
    assert_false(trace_on(TRACE_MMIO));
    f = fopen(trace_path, "rb");
    assert_non_null(f);
    assert_int_equal(fread(&header, sizeof(header), 1, f), 1);
    assert_int_equal(header.records, 8);
    assert_int_equal(header.next, 20);
    assert_int_equal(fseek(f, TRACE_HEADER_SIZE + (long)((19 % 8) * sizeof(record)), SEEK_SET), 0);
    assert_int_equal(fread(&record, sizeof(record), 1, f), 1);
    assert_int_equal(record.seq, 19);
    assert_int_equal(record.arg[2], 38);
    assert_int_equal(record.vcpu, 3);
    (void)fclose(f);
}

static void bad_input_is_explained(void **state)
{
    struct err err;

    assert_int_equal(trace_open(trace_path, "mmio,iqr", 5, &err), -EINVAL);
    assert_non_null(strstr(err.text, "'iqr'"));
    assert_int_equal(trace_open(trace_path, "", 5, &err), -EINVAL);
    assert_int_equal(trace_open("/nonexistent/x", "mmio", 5, &err), -ENOENT);
    assert_int_equal(trace_open(trace_path, "mmio", 0, &err), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_keeps_the_last_records),
        cmocka_unit_test(bad_input_is_explained),
    };
    int failed;

    (void)snprintf(trace_path, sizeof(trace_path), "trace_test.%d", (int)getpid());
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(trace_path);
    return failed;
}
