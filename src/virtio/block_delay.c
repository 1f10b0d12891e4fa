/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Requests that a block device holds: until somebody has decided, for a while.
 */
#include <errno.h>

#include "base/arith.h"
#include "virtio/block.h"

/* When the kernel could not take all that io_uring has prepared. */
#define RETRY_NS 1000000

/* ---- delays: lock held ----------------------------------------------------
 */

static void set_timer(struct block *block)
{
    const struct block_request *first = TAILQ_FIRST(&block->delayed);
    uint64_t now = vmm_now_ns(), wait = UINT64_MAX;

    if (first)
        wait = first->due_ns - min_u64(first->due_ns, now);
    if (block->has_to_retry)
        wait = min_u64(wait, RETRY_NS);
    if (wait != UINT64_MAX && block->delay_timer)
        vmm_timer_set(block->delay_timer, wait, 0);
}

void block_delay(struct block *block, struct block_request *request)
{
    struct block_request *before;

    if (!add_u64(vmm_now_ns(), request->delay_ns, &request->due_ns))
        request->due_ns = UINT64_MAX;
    before = TAILQ_LAST(&block->delayed, block_list);
    while (before && before->due_ns > request->due_ns)
        before = TAILQ_PREV(before, block_list, link);
    if (before)
        TAILQ_INSERT_AFTER(&block->delayed, before, request, link);
    else
        TAILQ_INSERT_HEAD(&block->delayed, request, link);
    if (TAILQ_FIRST(&block->delayed) == request)
        set_timer(block);
}

/* Those that are not decided about yet are not delayed by it any more. */
static void spare(const struct block_list *list, unsigned fault)
{
    struct block_request *request;

    TAILQ_FOREACH(request, list, link)
    if (request->fault == fault) {
        request->fault = 0;
        request->delay_ns = 0;
    }
}

void block_hurry(struct block *block, unsigned fault)
{
    struct block_request *request = TAILQ_FIRST(&block->delayed), *next;

    spare(&block->asked, fault);
    spare(&block->deciding, fault);
    for (; request; request = next) {
        next = TAILQ_NEXT(request, link);
        if (request->fault != fault)
            continue;
        TAILQ_REMOVE(&block->delayed, request, link);
        request->due_ns = 0;
        TAILQ_INSERT_HEAD(&block->delayed, request, link);
    }
    set_timer(block);
}

bool block_hold(struct block *block, struct block_request *request)
{
    if (block->asking) {
        request->id = ++block->last_id;
        TAILQ_INSERT_TAIL(&block->asked, request, link);
        block->listener.pending(block->listener.context, VMM_BLOCK_QUESTION);
        return true;
    }
    if (request->delay_ns)
        block_delay(block, request);
    return request->delay_ns != 0;
}

/* The timer's: on the loop's thread, as all that goes to io_uring, whose
 * requests would end with the thread that has begun them. */
void block_on_delay(void *context)
{
    struct block *block = context;
    struct block_request *request;
    uint64_t queues = 0;
    bool all;

    vmm_virtio_enter(&block->virtio);
    uint64_t now = vmm_now_ns();
    while ((request = TAILQ_FIRST(&block->delayed)) && request->due_ns <= now) {
        unsigned queue = request->queue;

        TAILQ_REMOVE(&block->delayed, request, link);
        if (block_proceed(block, request))
            queues |= UINT64_C(1) << queue;
    }
    queues |= block_flush_and_reap(block, &all);
    block_signal(block, queues);
    block->has_to_retry = !all;
    set_timer(block);
    vmm_virtio_leave(&block->virtio);
}

/* ---- questions ------------------------------------------------------------
 */

static void delay_all(struct block *block, struct block_list *list)
{
    struct block_request *request;

    while ((request = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, request, link);
        block_delay(block, request);
    }
}

void vmm_virtio_block_ask(struct vmm_virtio *virtio, bool on)
{
    struct block *block = block_of(virtio);

    vmm_virtio_enter(virtio);
    block->asking = on && block->listener.pending;
    if (!block->asking) {
        delay_all(block, &block->deciding);
        delay_all(block, &block->asked);
    } else if (!TAILQ_EMPTY(&block->asked)) {
        block->listener.pending(block->listener.context, VMM_BLOCK_QUESTION);
    }
    vmm_virtio_leave(virtio);
}

bool vmm_virtio_block_question(struct vmm_virtio *virtio,
                               struct vmm_block_question *question)
{
    struct block *block = block_of(virtio);

    vmm_virtio_enter(virtio);
    struct block_request *request = TAILQ_FIRST(&block->asked);
    if (request) {
        TAILQ_REMOVE(&block->asked, request, link);
        TAILQ_INSERT_TAIL(&block->deciding, request, link);
        question->id = request->id;
        question->op = request->io.op;
        block_request_sectors(request, &question->sector, &question->sectors);
    }
    vmm_virtio_leave(virtio);
    return request != NULL;
}

int vmm_virtio_block_decide(struct vmm_virtio *virtio, uint64_t id,
                            uint8_t status, uint64_t delay_ns)
{
    struct block *block = block_of(virtio);

    vmm_virtio_enter(virtio);
    struct block_request *request = block_find(&block->deciding, id);
    if (request) {
        TAILQ_REMOVE(&block->deciding, request, link);
        if (request->status == VIRTIO_BLK_S_OK)
            request->status = status;
        if (delay_ns > request->delay_ns) {
            request->delay_ns = delay_ns;
            request->fault = 0;
        }
        block_delay(block, request);
    }
    vmm_virtio_leave(virtio);
    return request ? 0 : -ENOENT;
}
