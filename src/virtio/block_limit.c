/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A block device's limits: requests stay in the queues until it is their turn.
 */
#include "virtio/block.h"

bool block_limit_reached(struct block *block)
{
    if (!limit_is_set(&block->limit))
        return false;
    uint64_t wait = limit_wait_ns(&block->limit, vmm_now_ns());
    if (wait && block->limit_timer)
        vmm_timer_set(block->limit_timer, wait, 0);
    return wait != 0;
}

/* What is refused at once has cost a turn as well. */
void block_limit_charge(struct block *block,
                        const struct block_request *request, bool wanted)
{
    const struct block_io *io = &request->io;
    uint64_t bytes = 0;

    if (wanted && (io->op == VMM_BLOCK_READ || io->op == VMM_BLOCK_WRITE))
        bytes = io->len;
    if (wanted && io->op == VMM_BLOCK_WRITE_ZEROES)
        for (unsigned i = 0; i < io->range_count; i++)
            bytes += io->ranges[i].len;
    limit_take(&block->limit, bytes);
}

static void kick_all(struct vmm_virtio *virtio, unsigned first)
{
    for (unsigned i = 0; i < virtio->queue_count; i++)
        vmm_virtio_kick(virtio, (first + i) % virtio->queue_count);
}

/* They are served in this order, and the first may use up all that is to be
 * had: so each is the first in its turn. */
void block_on_limit(void *context)
{
    struct block *block = context;

    kick_all(&block->virtio, ++block->limit_turn % block->virtio.queue_count);
}

void vmm_virtio_block_limit(struct vmm_virtio *virtio,
                            const struct vmm_limit *limit)
{
    struct block *block = block_of(virtio);

    vmm_virtio_enter(virtio);
    block->limit_set = *limit;
    limit_set(&block->limit, limit, vmm_now_ns());
    vmm_virtio_leave(virtio);
    kick_all(virtio, 0); /* those that wait may wait less */
}

void vmm_virtio_block_limit_get(struct vmm_virtio *virtio,
                                struct vmm_limit *limit)
{
    vmm_virtio_enter(virtio);
    *limit = block_of(virtio)->limit_set;
    vmm_virtio_leave(virtio);
}
