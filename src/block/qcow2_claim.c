/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2: which guest clusters are being worked on, and the buffers for that. */
#include "qcow2_impl.h"

#include <stdlib.h>

static bool claim_conflicts(const struct qcow2 *q, const struct qcow2_claim *claim)
{
    for (const struct qcow2_claim *c = q->claims; c; c = c->next)
        if ((c->exclusive || claim->exclusive) && c->first <= claim->last &&
            claim->first <= c->last)
            return true;
    return false;
}

void qcow2_claim(struct qcow2 *q, struct qcow2_claim *claim)
{
    while (claim_conflicts(q, claim))
        pthread_cond_wait(&q->released, &q->lock);
    claim->next = q->claims;
    q->claims = claim;
}

void qcow2_release(struct qcow2 *q, struct qcow2_claim *claim)
{
    struct qcow2_claim **at = &q->claims;

    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    pthread_cond_broadcast(&q->released);
}

void *qcow2_scratch_get(struct qcow2 *q)
{
    return q->scratch_count ? q->scratch[--q->scratch_count] : malloc((size_t)q->cluster * 3);
}

void qcow2_scratch_put(struct qcow2 *q, void *scratch)
{
    if (q->scratch_count < ARRAY_LEN(q->scratch))
        q->scratch[q->scratch_count++] = scratch;
    else
        free(scratch);
}
