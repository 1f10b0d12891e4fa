/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Requests of a block device that somebody else carries out. */
#include <errno.h>
#include <string.h>

#include "virtio/block.h"

/* ---- lock held ------------------------------------------------------------
 */

static uint64_t bytes_of(const struct block_request *request)
{
    enum vmm_block_op op = request->io.op;

    return op == VMM_BLOCK_READ || op == VMM_BLOCK_WRITE ? request->io.len : 0;
}

static void tell(struct block *block)
{
    block->listener.pending(block->listener.context, VMM_BLOCK_WORK);
}

bool block_backend_submit(struct block *block, struct block_request *request)
{
    if (request->io.op == VMM_BLOCK_FLUSH && !block->backend.flush) {
        block_request_answer(block, request, VIRTIO_BLK_S_OK);
        block_give(block, request);
        return true;
    }
    request->id = ++block->last_id;
    TAILQ_INSERT_TAIL(&block->waiting, request, link);
    tell(block);
    return false;
}

/* Between the pieces and a buffer; len is the sum of theirs. */
static void copy(const struct block_io *io, uint8_t *to, const uint8_t *from)
{
    for (int i = io->first; i < io->count; i++) {
        const struct iovec *piece = &io->pieces[i];

        if (to)
            memcpy(to, piece->iov_base, piece->iov_len);
        else
            memcpy(piece->iov_base, from, piece->iov_len);
        to = to ? to + piece->iov_len : NULL;
        from = from ? from + piece->iov_len : NULL;
    }
}

/* ---- for who carries them out ---------------------------------------------
 */

static void describe(const struct block_request *request,
                     struct vmm_block_work *work)
{
    const struct block_io *io = &request->io;

    memset(work, 0, sizeof(*work));
    work->id = request->id;
    work->op = io->op;
    work->durable = io->durable;
    if (io->op == VMM_BLOCK_READ || io->op == VMM_BLOCK_WRITE) {
        work->offset = io->offset;
        work->len = io->len;
    } else if (io->op != VMM_BLOCK_FLUSH) {
        work->range_count = io->range_count;
        memcpy(work->ranges, io->ranges,
               io->range_count * sizeof(io->ranges[0]));
    }
}

bool vmm_virtio_block_take(struct vmm_virtio *virtio,
                           struct vmm_block_work *work)
{
    struct block *block = block_of(virtio);

    vmm_virtio_enter(virtio);
    struct block_request *request = TAILQ_FIRST(&block->waiting);
    if (request &&
        bytes_of(request) > VMM_BLOCK_TAKEN_BYTES - block->taken_bytes)
        request = NULL;
    if (request) {
        TAILQ_REMOVE(&block->waiting, request, link);
        TAILQ_INSERT_TAIL(&block->taken, request, link);
        block->taken_bytes += bytes_of(request);
        describe(request, work);
    }
    vmm_virtio_leave(virtio);
    return request != NULL;
}

int vmm_virtio_block_data(struct vmm_virtio *virtio, uint64_t id, void *bytes,
                          size_t len)
{
    struct block *block = block_of(virtio);
    int rc = 0;

    vmm_virtio_enter(virtio);
    const struct block_request *request = block_find(&block->taken, id);
    if (!request)
        rc = -ENOENT;
    else if (request->io.op != VMM_BLOCK_WRITE || request->io.len != len)
        rc = -EINVAL;
    else
        copy(&request->io, bytes, NULL);
    vmm_virtio_leave(virtio);
    return rc;
}

/* Lock held. */
static void finish(struct block *block, struct block_request *request,
                   uint8_t status)
{
    unsigned queue = request->queue;

    TAILQ_REMOVE(&block->taken, request, link);
    block->taken_bytes -= bytes_of(request);
    block_request_answer(block, request, status);
    block_give(block, request);
    block_signal(block, UINT64_C(1) << queue);
    if (!TAILQ_EMPTY(&block->waiting))
        tell(block);
}

int vmm_virtio_block_finish(struct vmm_virtio *virtio, uint64_t id,
                            uint8_t status, const void *bytes, size_t len)
{
    struct block *block = block_of(virtio);
    int rc = 0;

    vmm_virtio_enter(virtio);
    struct block_request *request = block_find(&block->taken, id);
    bool gives = request && request->io.op == VMM_BLOCK_READ &&
                 status == VIRTIO_BLK_S_OK;
    if (!request) {
        rc = -ENOENT;
    } else if (gives && request->io.len != len) {
        rc = -EINVAL;
    } else {
        if (gives)
            copy(&request->io, NULL, bytes);
        finish(block, request, status);
    }
    vmm_virtio_leave(virtio);
    return rc;
}
