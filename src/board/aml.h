/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes ACPI machine language: ACPI 6.4, chapter 20. Packages nest by begin and end; what does not
 * fit is noticed once, at the end. Names are given as four characters, or with a leading '\'.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AML_DEPTH = 8 };

struct aml {
    uint8_t *buf;
    size_t room, len;
    size_t begin[AML_DEPTH]; /* where the open packages' lengths stand */
    unsigned depth;
    bool failed;
};

void aml_bytes(struct aml *a, const void *data, size_t len);
void aml_byte(struct aml *a, unsigned byte);
void aml_name_string(struct aml *a, const char *name); /* "PCI0", "\\_SB_" */
void aml_integer(struct aml *a, uint64_t value);
void aml_string(struct aml *a, const char *text);
void aml_eisa_id(struct aml *a, const char *id); /* "PNP0A08" */

/* Begin what has a length in front; each is closed by aml_end(). */
void aml_scope(struct aml *a, const char *name);
void aml_device(struct aml *a, const char *name);
void aml_package(struct aml *a, unsigned elements);
void aml_end(struct aml *a);

/* Name (name, ...): the object comes next. */
void aml_name(struct aml *a, const char *name);
void aml_name_integer(struct aml *a, const char *name, uint64_t value);
void aml_name_eisa(struct aml *a, const char *name, const char *id);
/* Name (name, Buffer): resource templates, up to 63 bytes of length or more. */
void aml_name_buffer(struct aml *a, const char *name, const uint8_t *data, size_t len);
