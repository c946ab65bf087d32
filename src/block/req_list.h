/* SPDX-License-Identifier: Apache-2.0 */
/* Requests in the order they came, linked by their own `next`. */
#pragma once

#include <posada/blockdev.h>
#include <stddef.h>

struct req_list {
    struct blk_req *head, **tail;
};

static inline void req_list_init(struct req_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
}

static inline void req_list_push(struct req_list *list, struct blk_req *req)
{
    req->next = NULL;
    *list->tail = req;
    list->tail = &req->next;
}

/* NULL when there is none. */
static inline struct blk_req *req_list_pop(struct req_list *list)
{
    struct blk_req *req = list->head;

    if (!req)
        return NULL;
    list->head = req->next;
    if (!list->head)
        list->tail = &list->head;
    return req;
}
