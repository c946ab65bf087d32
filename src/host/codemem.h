/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for generated code, mapped twice: once writable, once executable, never both (W^X). The
 * two views lie at unrelated addresses; offset arithmetic converts.
 */
#pragma once

#include <posada/err.h>

struct codemem {
    uint8_t *write;
    const uint8_t *exec;
    size_t size;
};

/* size is rounded up to whole pages. -ENOMEM, or -EACCES where the host forbids executable
 * mappings (err says so). */
int must_use codemem_init(struct codemem *m, size_t size, struct err *err);
void codemem_done(struct codemem *m);

static inline const uint8_t *codemem_exec(const struct codemem *m, const uint8_t *write)
{
    return m->exec + (write - m->write);
}

static inline uint8_t *codemem_write(const struct codemem *m, const uint8_t *exec)
{
    return m->write + (exec - m->exec);
}
