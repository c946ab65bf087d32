/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2: which guest clusters are being worked on, and the buffers for that. */
#include "qcow2_impl.h"

#include <stdlib.h>

static bool claim_conflicts(const struct qcow2 *q, const struct blk_claim *claim)
{
    for (const struct blk_claim *c = q->claims; c; c = c->next)
        if ((c->exclusive || claim->exclusive) && c->first <= claim->last &&
            claim->first <= c->last)
            return true;
    return false;
}

static bool claim_add_locked(struct qcow2 *q, struct blk_claim *claim)
{
    if (claim_conflicts(q, claim))
        return false;
    claim->next = q->claims;
    q->claims = claim;
    return true;
}

bool qcow2_try_claim(struct qcow2 *q, struct blk_claim *claim)
{
    bool added;

    pthread_mutex_lock(&q->claim_lock);
    added = claim_add_locked(q, claim);
    pthread_mutex_unlock(&q->claim_lock);
    return added;
}

/* Waits without the lock, and asks again with both: the order is lock, then claim_lock. */
void qcow2_claim(struct qcow2 *q, struct blk_claim *claim)
{
    while (!qcow2_try_claim(q, claim)) {
        pthread_mutex_unlock(&q->lock);
        pthread_mutex_lock(&q->claim_lock);
        while (claim_conflicts(q, claim))
            pthread_cond_wait(&q->released, &q->claim_lock);
        pthread_mutex_unlock(&q->claim_lock);
        pthread_mutex_lock(&q->lock);
    }
}

void qcow2_release(struct qcow2 *q, struct blk_claim *claim)
{
    struct blk_claim **at = &q->claims;

    pthread_mutex_lock(&q->claim_lock);
    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    pthread_cond_broadcast(&q->released);
    pthread_mutex_unlock(&q->claim_lock);
}

void *qcow2_scratch_get(struct qcow2 *q)
{
    return q->scratch_count ? q->scratch[--q->scratch_count]
                            : aligned_alloc(RAW_DIRECT_ALIGN, (size_t)q->cluster * 3);
}

void qcow2_scratch_put(struct qcow2 *q, void *scratch)
{
    if (q->scratch_count < ARRAY_LEN(q->scratch))
        q->scratch[q->scratch_count++] = scratch;
    else
        free(scratch);
}
