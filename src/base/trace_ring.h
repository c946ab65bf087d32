/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout of a trace ring file, host byte order: one page of header, then `records` records of
 * struct trace_record. Record number n (counted from 0) is at index n % records, its seq is the
 * low half of n. A record whose seq does not fit its place was being written when the file was
 * read.
 */
#pragma once

#include <posada/trace.h>

#define TRACE_MAGIC UINT64_C(0x3143525441444f50) /* "PODATRC1" */

enum { TRACE_HEADER_SIZE = 4096, TRACE_RECORDS_MAX = 1 << 26 };

struct trace_header {
    uint64_t magic;
    uint32_t record_size;
    uint32_t records;      /* a power of two */
    _Atomic uint64_t next; /* number of the next record */
};

/* A comma-separated list of class names as a mask; -EINVAL with the bad name. */
int must_use trace_parse_classes(const char *list, uint32_t *ret_mask, struct err *err);
