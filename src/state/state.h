/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The saved form of objects described by field tables (posada/state.h).
 *
 * Stream: little-endian, every part padded with zeros to 8 bytes.
 *     header   8 bytes "POSADAST", u32 format (1), u32 zero
 *     record   u32 kind, u32 length of the payload, payload; one a saved object
 *     ...
 *     end      kind 0, length 8, u64 FNV-1a of all bytes before this record
 * Payload of an object (kind 1): u16 version, u8 length of type, u8 length of name, u32 number of
 * fields; type, name (together padded); then each field: u8 type, u8 length of name, u16 zero,
 * u32 elements; name; the elements, 1, 2, 4 or 8 bytes each.
 *
 * The loader trusts nothing: every length is checked against what is there, every object and field
 * must appear exactly once, with the type, count, version and range its table has. All is checked
 * before anything is changed.
 */
#pragma once

#include <posada/err.h>
#include <posada/state.h>
#include <stdio.h>

struct state_object {
    const char *type; /* at most 255 bytes, like name */
    const char *name; /* unique in a stream */
    uint16_t version;
    const struct state_field *fields; /* up to STATE_TYPE_END */
    void *object;
};

enum { STATE_FIELDS_MAX = 256 }; /* of one object */

/* The stream of these objects, to be freed by the caller. -ENOMEM. */
int must_use state_save(const struct state_object *objects, unsigned count, uint8_t **ret_data,
                        size_t *ret_len, struct err *err);

/* Puts a stream into exactly these objects, in any order. -EINVAL with the object and field that
 * do not fit; nothing is changed then. Outputs are the caller's to settle afterwards. */
int must_use state_load(const struct state_object *objects, unsigned count, const uint8_t *data,
                        size_t len, struct err *err);

/* Prints any stream as text, one field a line; needs no tables. -EINVAL where it is malformed (what
 * came before is printed). */
int must_use state_dump(const uint8_t *data, size_t len, FILE *out, struct err *err);
