/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults of a block device: which requests they hit, and what is asked about
 * others. */
#include <errno.h>
#include <stdlib.h>

#include "base/arith.h"
#include "virtio/block.h"

/* ---- which one a request matches ------------------------------------------
 */

static bool touches(const struct vmm_block_fault *what, uint64_t offset,
                    uint64_t len)
{
    return len && offset / SECTOR_BYTES <= what->last &&
           (offset + len - 1) / SECTOR_BYTES >= what->first;
}

static bool matches_sectors(const struct vmm_block_fault *what,
                            const struct block_io *io)
{
    if (what->first == 0 && what->last == UINT64_MAX)
        return true;
    if (io->op == VMM_BLOCK_READ || io->op == VMM_BLOCK_WRITE)
        return touches(what, io->offset, io->len);
    if (io->op != VMM_BLOCK_FLUSH)
        for (unsigned i = 0; i < io->range_count; i++)
            if (touches(what, io->ranges[i].offset, io->ranges[i].len))
                return true;
    return false;
}

static void hit(struct block_fault *fault, struct block_request *request)
{
    fault->hits++;
    if (request->status == VIRTIO_BLK_S_OK)
        request->status = fault->what.status;
    if (fault->what.delay_ns > request->delay_ns) {
        request->delay_ns = fault->what.delay_ns;
        request->fault = fault->id;
    }
}

void block_faults_judge(struct block *block, struct block_request *request)
{
    struct block_fault *fault;

    request->status = VIRTIO_BLK_S_OK;
    request->delay_ns = 0;
    request->fault = 0;
    SLIST_FOREACH(fault, &block->faults, link)
    {
        const struct vmm_block_fault *what = &fault->what;

        if (!(what->ops >> request->io.op & 1) ||
            !matches_sectors(what, &request->io))
            continue;
        fault->matches++;
        if (fault->matches >= what->nth &&
            fault->matches - what->nth < what->times)
            hit(fault, request);
    }
}

/* ---- faults ---------------------------------------------------------------
 */

int vmm_virtio_block_fault(struct vmm_virtio *virtio,
                           const struct vmm_block_fault *fault, unsigned *id,
                           struct vmm_error *err)
{
    struct block *block = block_of(virtio);
    struct block_fault *made = calloc(1, sizeof(*made)), *last;

    vmm_error_clear(err);
    if (!made)
        return vmm_error_set(err, ENOMEM, "virtio-blk: out of memory");
    made->what = *fault;
    vmm_virtio_enter(virtio);
    *id = made->id = ++block->last_fault;
    last = SLIST_FIRST(&block->faults);
    while (last && SLIST_NEXT(last, link))
        last = SLIST_NEXT(last, link);
    if (last)
        SLIST_INSERT_AFTER(last, made, link);
    else
        SLIST_INSERT_HEAD(&block->faults, made, link);
    vmm_virtio_leave(virtio);
    return 0;
}

/* Lock held. */
static struct block_fault *find(struct block *block, unsigned id)
{
    struct block_fault *fault;

    SLIST_FOREACH(fault, &block->faults, link)
    if (fault->id == id)
        break;
    return fault;
}

bool vmm_virtio_block_fault_counts(struct vmm_virtio *virtio, unsigned id,
                                   uint64_t *matches, uint64_t *hits)
{
    vmm_virtio_enter(virtio);
    const struct block_fault *fault = find(block_of(virtio), id);
    *matches = fault ? fault->matches : 0;
    *hits = fault ? fault->hits : 0;
    vmm_virtio_leave(virtio);
    return fault != NULL;
}

void vmm_virtio_block_fault_remove(struct vmm_virtio *virtio, unsigned id)
{
    struct block *block = block_of(virtio);

    vmm_virtio_enter(virtio);
    struct block_fault *fault = find(block, id);
    if (fault) {
        SLIST_REMOVE(&block->faults, fault, block_fault, link);
        block_hurry(block, id);
    }
    vmm_virtio_leave(virtio);
    free(fault);
}

void block_faults_free(struct block *block)
{
    struct block_fault *fault;

    while ((fault = SLIST_FIRST(&block->faults))) {
        SLIST_REMOVE_HEAD(&block->faults, link);
        free(fault);
    }
}
