/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The block device: virtio 1.2, section 5.2. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/block.h"

/* ---- requests: lock held --------------------------------------------------
 */

static struct block_request *request_of(struct block_io *io)
{
    return (struct block_request *)io;
}

static struct block_request *take_request(struct block *block)
{
    struct block_io *io = block->free;

    if (!io)
        return calloc(1, sizeof(struct block_request));
    block->free = io->next;
    return request_of(io);
}

void block_give(struct block *block, struct block_request *request)
{
    request->io.next = block->free;
    block->free = &request->io;
}

bool block_proceed(struct block *block, struct block_request *request)
{
    if (request->status != VIRTIO_BLK_S_OK) {
        block_request_answer(block, request, request->status);
        block_give(block, request);
        return true;
    }
    if (block->has_backend)
        return block_backend_submit(block, request);
    if (!block->uring || !block_uring_submit(block->uring, &request->io))
        block_threads_submit(block->threads, &request->io);
    return false;
}

static void begin(struct block *block, struct block_request *request)
{
    bool wanted;
    uint8_t status = block_request_parse(block, request, &wanted);

    block_limit_charge(block, request, wanted);
    if (!wanted) {
        block_request_answer(block, request, status);
        block_give(block, request);
        return;
    }
    block_faults_judge(block, request);
    if (!block_hold(block, request))
        block_proceed(block, request);
}

/* Answer a list; returns a bit for each queue in which there is news. */
static uint64_t finish(struct block *block, struct block_io *list)
{
    uint64_t queues = 0;

    while (list) {
        struct block_request *request = request_of(list);

        list = list->next;
        if (request->io.rest) {
            request->io.rest = false;
            block_threads_submit(block->threads, &request->io);
            continue;
        }
        block_request_answer(block, request,
                             request->io.result ? VIRTIO_BLK_S_IOERR
                                                : VIRTIO_BLK_S_OK);
        queues |= BIT(request->queue);
        block_give(block, request);
    }
    return queues;
}

static uint64_t reap_threads(struct block *block)
{
    return block->threads ? finish(block, block_threads_reap(block->threads))
                          : 0;
}

static uint64_t reap(struct block *block)
{
    uint64_t queues = 0;

    if (block->uring)
        queues = finish(block, block_uring_reap(block->uring));
    return queues | reap_threads(block);
}

/* What the page cache has is read at once; a wake-up for it would be idle.  The
 * threads share the fd: they are reaped after it was read, lest what they
 * complete in between is told of by nobody. */
uint64_t block_flush_and_reap(struct block *block, bool *all)
{
    uint64_t queues = 0;
    eventfd_t count;

    *all = !block->uring || block_uring_flush(block->uring);
    if (block->uring)
        queues = finish(block, block_uring_reap(block->uring));
    if (queues && block_uring_in_flight(block->uring) == 0)
        eventfd_read(block->done_fd, &count);
    return queues | reap_threads(block);
}

void block_signal(struct block *block, uint64_t queues)
{
    for (unsigned i = 0; queues >> i; i++)
        if (queues >> i & 1)
            vmm_virtio_signal(&block->virtio, i);
}

void block_on_done(void *context, uint32_t events)
{
    struct block *block = context;

    (void)events;
    vmm_virtio_enter(&block->virtio);
    block_signal(block, reap(block));
    vmm_virtio_leave(&block->virtio);
}

/* ---- ops ------------------------------------------------------------------
 */

static bool block_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, queue);
    struct block *block = block_of(virtio);
    unsigned served = 0;
    bool all, limited = false;

    vmm_virtq_suppress(ring);
    for (; served < BLOCK_QUEUE_SIZE; served++) {
        limited = block_limit_reached(block);
        struct block_request *request = limited ? NULL : take_request(block);

        if (!request)
            break;
        if (vmm_virtq_pop(ring, &request->chain) <= 0) {
            block_give(block, request);
            break;
        }
        request->queue = queue;
        begin(block, request);
    }
    block_signal(block, block_flush_and_reap(block, &all) | BIT(queue));
    if (limited)
        return !all; /* a notification would be for nothing */
    return served == BLOCK_QUEUE_SIZE || !all || vmm_virtq_arm(ring);
}

/* ---- the end of requests --------------------------------------------------
 */

static void forget(struct block *block, struct block_request *request)
{
    request->io.rest = false;
    vmm_virtq_push(request->chain, 0);
    block_give(block, request);
}

static void forget_done(struct block *block, struct block_io *list)
{
    while (list) {
        struct block_request *request = request_of(list);

        list = list->next;
        forget(block, request);
    }
}

static void forget_held(struct block *block, struct block_list *list)
{
    struct block_request *request;

    while ((request = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, request, link);
        forget(block, request);
    }
}

/* Their buffers are the guest's again when a reset is done: wait, and let what
 * is complete come to nothing. */
static void block_stop(struct vmm_virtio *virtio)
{
    struct block *block = block_of(virtio);

    if (block->uring)
        block_uring_drain(block->uring);
    if (block->threads)
        block_threads_drain(block->threads);
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (vmm_virtio_queue(virtio, i))
            vmm_virtq_disable(vmm_virtio_queue(virtio, i));
    if (block->uring)
        forget_done(block, block_uring_reap(block->uring));
    if (block->threads)
        forget_done(block, block_threads_reap(block->threads));
    forget_held(block, &block->asked);
    forget_held(block, &block->deciding);
    forget_held(block, &block->delayed);
    forget_held(block, &block->waiting);
    forget_held(block, &block->taken);
    block->taken_bytes = 0;
    block->write_back = true;
}

static void remove_timer(struct vmm_timer *timer)
{
    if (timer)
        vmm_timer_remove(timer);
}

/* The file is somebody else's to lock, even if a husk of the device is kept. */
static void block_close(struct vmm_virtio *virtio)
{
    struct block *block = block_of(virtio);

    if (block->done_watch)
        vmm_watch_remove(block->done_watch);
    vmm_virtio_enter(virtio);
    struct block_uring *uring = block->uring;
    struct block_threads *threads = block->threads;
    struct vmm_timer *limit_timer = block->limit_timer;
    struct vmm_timer *delay_timer = block->delay_timer;
    struct vmm_block_listener listener = block->listener;
    block->done_watch = NULL;
    block->uring = NULL;
    block->threads = NULL;
    block->limit_timer = block->delay_timer = NULL;
    block->listener = (struct vmm_block_listener){0};
    block->asking = false;
    vmm_virtio_leave(virtio);
    remove_timer(limit_timer);
    remove_timer(delay_timer);
    if (listener.closed)
        listener.closed(listener.context);
    block_uring_free(uring);
    block_threads_free(threads);
    block_file_close(&block->file);
}

static void block_destroy(struct vmm_virtio *virtio)
{
    struct block *block = block_of(virtio);

    block_uring_free(block->uring);
    block_threads_free(block->threads);
    block_file_close(&block->file);
    block_faults_free(block);
    if (block->done_fd >= 0)
        close(block->done_fd);
    while (block->free) {
        struct block_request *request = request_of(block->free);

        block->free = block->free->next;
        free(request->io.pieces);
        free(request);
    }
    free(block);
}

const struct vmm_virtio_ops block_ops = {
    .name = "virtio-blk",
    .id = VIRTIO_ID_BLOCK,
    .stop = block_stop,
    .serve = block_serve,
    .read_config = block_read_config,
    .write_config = block_write_config,
    .close = block_close,
    .destroy = block_destroy,
};

bool vmm_virtio_is_block(const struct vmm_virtio *virtio)
{
    return virtio->ops == &block_ops;
}
