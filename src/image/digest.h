/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as lower-case hexadecimal text. */
#pragma once

#include <posada/types.h>

enum { DIGEST_TEXT = 65 };

struct digest;

/* Of a whole file, or of pieces one after the other; negative errno. */
int must_use digest_file(const char *path, char ret_text[DIGEST_TEXT]);
struct digest *digest_new(void); /* NULL without memory */
void digest_add(struct digest *d, const void *data, size_t len);
/* Frees d. */
void digest_end(struct digest *d, char ret_text[DIGEST_TEXT]);
