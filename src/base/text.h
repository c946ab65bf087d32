/* SPDX-License-Identifier: Apache-2.0 */
/* Text from outside that ends up on people's terminals. */
#pragma once

#include <stddef.h>

/* Puts '?' for every byte of text[0 .. len) that is neither NUL nor printable ASCII: no escape
 * sequence of a guest's reaches a terminal this way. */
static inline void text_make_printable(char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] && (text[i] < ' ' || text[i] > '~'))
            text[i] = '?';
}
