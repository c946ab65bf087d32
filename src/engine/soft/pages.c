/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages with translated code. Contract and threads: internal.h; order of flags and bytes:
 * src/mem/mem.c.
 *
 * A page keeps PAGE_CODE while code made from it may exist, and every write to it then comes here.
 * Writes beside the code are only counted. A page that is written again and again has become data,
 * or holds both: when its patience is used up all its code is dropped and it is an ordinary page
 * again, with twice the patience should code be made from it once more.
 */
#include "engine/soft/internal.h"

#include "mem/mem.h"
#include "mmu/mmu.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_FIRST = 32, PATIENCE_MOST = 4096, PATIENCE_OF_A_HIT = 8 };

static struct soft_page **pages_bucket(struct soft_engine *e, uint64_t page)
{
    return &e->page[page >> GUEST_PAGE_SHIFT & (SOFT_PAGE_HASH - 1)];
}

static struct soft_page *pages_find(struct soft_engine *e, uint64_t page)
{
    struct soft_page *p = *pages_bucket(e, page);

    while (p && p->page != page)
        p = p->next;
    return p;
}

static void pages_attend(struct soft_vcpu *v)
{
    atomic_fetch_or_explicit(&v->cpu->attention, ATTENTION_CODE, memory_order_release);
}

static void pages_post(struct soft_vcpu *v, gpa_t gpa, uint64_t len)
{
    if (v->mail_count < SOFT_MAIL_MAX)
        v->mail[v->mail_count++] = (struct soft_mail){gpa, len};
    else
        v->mail_lost = true;
    pages_attend(v);
}

/* Makes the page an ordinary one; its code is dropped by whoever has some. */
static void pages_purge(struct soft_engine *e, struct soft_page *p)
{
    for (unsigned i = 0; i < e->vcpu_count; i++)
        if (p->vcpus >> i & 1)
            pages_post(e->vcpu[i], GPA(p->page), GUEST_PAGE_SIZE);
    atomic_fetch_and(mem_page_flags(e->mem, GPA(p->page)), (uint8_t)~PAGE_CODE);
    p->vcpus = p->chunks = p->writes = 0; /* `lifting` ends by itself */
    if (p->patience < PATIENCE_MOST)
        p->patience *= 2;
    e->purges++;
}

static uint64_t pages_chunks(unsigned first, unsigned last)
{
    unsigned low = first >> SOFT_CHUNK_SHIFT, high = last >> SOFT_CHUNK_SHIFT;

    return UINT64_MAX << low & UINT64_MAX >> (63 - high);
}

/* True when code was made from these bytes. */
static bool pages_written_locked(struct soft_engine *e, gpa_t gpa, uint64_t len)
{
    unsigned first = (unsigned)(gpa.v & (GUEST_PAGE_SIZE - 1));
    struct soft_page *p = pages_find(e, gpa.v - first);
    bool hit;

    if (!p || !p->vcpus)
        return false;
    e->code_writes++;
    hit = p->lifting || p->chunks & pages_chunks(first, first + (unsigned)len - 1);
    p->writes += hit ? PATIENCE_OF_A_HIT : 1;
    if (p->writes >= p->patience) {
        pages_purge(e, p);
        return true;
    }
    for (unsigned i = 0; i < e->vcpu_count && hit; i++)
        if (p->vcpus >> i & 1)
            pages_post(e->vcpu[i], gpa, len);
    return hit;
}

/* mem_on_code_write's hook: any thread. */
static void pages_written(void *arg, gpa_t gpa, uint64_t len)
{
    struct soft_engine *e = arg;

    bool hit;

    pthread_mutex_lock(&e->lock);
    hit = pages_written_locked(e, gpa, len);
    pthread_mutex_unlock(&e->lock);
    if (hit && e->jit) /* whole page: it may have been purged */
        jit_code_written(e->jit, GPA(gpa.v & ~(uint64_t)(GUEST_PAGE_SIZE - 1)), GUEST_PAGE_SIZE);
}

/* The same from inside a claim, when the JIT, if there is one, has its lock. */
static void pages_purge_claiming(struct soft_engine *e, struct soft_page *p)
{
    if (!p->vcpus)
        return;
    pages_purge(e, p);
    if (e->jit)
        jit_drop_page_locked(e->jit, GPA(p->page));
}

/* A fresh entry; when there are too many, all pages lose their code and start again. */
static struct soft_page *pages_add(struct soft_engine *e, uint64_t page)
{
    struct soft_page **bucket = pages_bucket(e, page);
    struct soft_page *p;

    if (e->pool_used == SOFT_PAGES_MAX) {
        for (unsigned i = 0; i < e->pool_used; i++)
            pages_purge_claiming(e, &e->pool[i]);
        for (unsigned i = 0; i < SOFT_PAGE_HASH; i++)
            e->page[i] = NULL;
        e->pool_used = 0;
    }
    p = &e->pool[e->pool_used++];
    *p = (struct soft_page){.next = *bucket, .page = page, .patience = PATIENCE_FIRST};
    *bucket = p;
    return p;
}

/* True when the page was an ordinary one until now. */
static bool pages_claim_locked(struct soft_vcpu *v, gpa_t page)
{
    struct soft_engine *e = v->engine;
    struct soft_page *p = pages_find(e, page.v);

    if (!p)
        p = pages_add(e, page.v);
    p->vcpus |= UINT64_C(1) << v->cpu->index;
    p->lifting |= UINT64_C(1) << v->cpu->index;
    if (atomic_fetch_or(mem_page_flags(e->mem, page), PAGE_CODE) & PAGE_CODE)
        return false;
    if (v->claims_seen == e->claims) /* what is new is its own, for which soft_claim() looks */
        v->claims_seen++;
    e->claims++;
    for (unsigned i = 0; i < e->vcpu_count; i++)
        if (e->vcpu[i] != v)
            pages_attend(e->vcpu[i]);
    return true;
}

void soft_claim(struct soft_vcpu *v, gpa_t page)
{
    bool fresh;

    pthread_mutex_lock(&v->engine->lock);
    fresh = pages_claim_locked(v, page);
    pthread_mutex_unlock(&v->engine->lock);
    if (fresh)
        (void)mmu_protect_code(v->cpu->mmu, page); /* own writes so far were before the reading */
    atomic_thread_fence(memory_order_seq_cst);     /* flag before bytes: see src/mem/mem.c */
}

void soft_note_code(struct soft_vcpu *v, gpa_t page, unsigned first, unsigned last)
{
    struct soft_page *p;

    pthread_mutex_lock(&v->engine->lock);
    p = pages_find(v->engine, page.v);
    if (p) {
        p->lifting &= ~(UINT64_C(1) << v->cpu->index);
        p->chunks |= first <= last ? pages_chunks(first, last) : 0;
    }
    pthread_mutex_unlock(&v->engine->lock);
}

void soft_claim_page(void *arg, gpa_t page)
{
    soft_claim(arg, page);
}

void soft_note_page(void *arg, gpa_t page, unsigned first, unsigned last)
{
    soft_note_code(arg, page, first, last);
}

/* A vCPU had the page writable: it may have changed what another one has read since. */
void soft_found_writable(void *arg, gpa_t page)
{
    struct soft_engine *e = arg;

    mem_code_written(e->mem, page, GUEST_PAGE_SIZE);
}

static void pages_tell_waiting(struct soft_engine *e)
{
    if (e->waiting)
        pthread_cond_broadcast(&e->looked);
}

static void pages_look(struct soft_vcpu *v, uint64_t claims)
{
    struct soft_engine *e = v->engine;

    mmu_protect_all_code(v->cpu->mmu);
    pthread_mutex_lock(&e->lock);
    v->claims_seen = claims;
    pages_tell_waiting(e);
    pthread_mutex_unlock(&e->lock);
}

void soft_read_mail(struct soft_vcpu *v)
{
    struct soft_mail mail[SOFT_MAIL_MAX];
    uint64_t claims;
    unsigned count;
    bool lost;

    pthread_mutex_lock(&v->engine->lock);
    count = v->mail_count;
    lost = v->mail_lost;
    claims = v->engine->claims;
    memcpy(mail, v->mail, count * sizeof(*mail));
    v->mail_count = 0;
    v->mail_lost = false;
    pthread_mutex_unlock(&v->engine->lock);
    mmu_settle(v->cpu->mmu);
    for (unsigned i = 0; i < count && !lost; i++)
        soft_drop(v, mail[i].gpa, mail[i].len);
    if (lost)
        soft_drop_all(v);
    if (claims != v->claims_seen)
        pages_look(v, claims);
}

void soft_enter(struct soft_vcpu *v)
{
    pthread_mutex_lock(&v->engine->lock);
    v->running = true;
    pthread_mutex_unlock(&v->engine->lock);
}

void soft_leave(struct soft_vcpu *v)
{
    struct soft_engine *e = v->engine;

    pthread_mutex_lock(&e->lock);
    while (v->claims_seen != e->claims) {
        pthread_mutex_unlock(&e->lock);
        soft_read_mail(v);
        pthread_mutex_lock(&e->lock);
    }
    v->running = false;
    pages_tell_waiting(e);
    pthread_mutex_unlock(&e->lock);
}

static bool pages_all_looked(const struct soft_engine *e, uint64_t claims)
{
    for (unsigned i = 0; i < e->vcpu_count; i++)
        if (e->vcpu[i]->running && e->vcpu[i]->claims_seen < claims)
            return false;
    return true;
}

/* Waiting, it counts as not running, so that two can wait at once. */
void soft_fence(struct soft_vcpu *v)
{
    struct soft_engine *e = v->engine;
    uint64_t claims;

    if (e->vcpu_count > 1) {
        soft_leave(v);
        pthread_mutex_lock(&e->lock);
        claims = e->claims;
        e->waiting++;
        while (!pages_all_looked(e, claims))
            pthread_cond_wait(&e->looked, &e->lock);
        e->waiting--;
        v->running = true;
        pthread_mutex_unlock(&e->lock);
    }
    soft_read_mail(v);
}

int soft_pages_init(struct soft_engine *e, struct err *err)
{
    e->pool = calloc(SOFT_PAGES_MAX, sizeof(*e->pool));
    if (!e->pool)
        return err_set(err, -ENOMEM, "engine: no memory for the table of code pages");
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->looked, NULL);
    mem_on_code_write(e->mem, pages_written, e);
    return 0;
}

void soft_pages_done(struct soft_engine *e)
{
    if (!e->pool)
        return;
    mem_on_code_write(e->mem, NULL, NULL);
    pthread_cond_destroy(&e->looked);
    pthread_mutex_destroy(&e->lock);
    free(e->pool);
}
