/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The balloon's pages: into it, out of it, and free ones that are reported. */
#include <linux/virtio_balloon.h>

#include "base/arith.h"
#include "base/endian.h"
#include "virtio/balloon.h"

#define PAGE_BYTES  (UINT64_C(1) << VIRTIO_BALLOON_PFN_SHIFT)
#define CHUNK_PAGES 256 /* of a list that is copied at a time */
/* One turn of a queue, so that its neighbours get theirs. */
#define TURN_PAGES  4096u
#define TURN_CHAINS 32

/* ---- into the balloon -----------------------------------------------------
 */

/* Pages in a row are given back together. */
struct run {
    uint64_t first, end; /* page numbers; equal: there are none */
};

static void discard(struct balloon *balloon, struct run *run)
{
    /* Not RAM, or refused: nothing is given back, nothing is lost. */
    if (run->first < run->end)
        (void)vmm_memory_discard(balloon->virtio.memory,
                                 run->first * PAGE_BYTES,
                                 (run->end - run->first) * PAGE_BYTES);
    run->first = run->end = 0;
}

static bool is_ram(struct balloon *balloon, uint64_t page)
{
    return vmm_memory_check(balloon->virtio.memory, page * PAGE_BYTES,
                            PAGE_BYTES) == 0;
}

/* Pages may ascend or descend.  One that is not RAM costs no other. */
static void add_page(struct balloon *balloon, struct run *run, uint64_t page)
{
    if (!is_ram(balloon, page))
        return;
    if (run->first < run->end && page == run->end) {
        run->end++;
    } else if (run->first < run->end && page + 1 == run->first) {
        run->first--;
    } else {
        discard(balloon, run);
        run->first = page;
        run->end = page + 1;
    }
}

/* Take some more of the list under way; false at its end. */
static bool inflate_some(struct balloon *balloon, struct run *run)
{
    const struct vmm_chain *chain = balloon->inflating;
    uint8_t list[CHUNK_PAGES * 4];
    uint64_t left = (chain->readable_bytes - balloon->done) & ~UINT64_C(3);
    size_t len = (size_t)min_u64(left, sizeof(list));

    if (len == 0 || vmm_chain_read(chain, balloon->done, list, len))
        return false;
    for (size_t at = 0; at < len; at += 4)
        add_page(balloon, run, load_le32(list + at));
    balloon->done += len;
    return true;
}

bool balloon_inflate(struct balloon *balloon, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(&balloon->virtio, queue);
    unsigned pages = 0;
    struct run run = {0};

    vmm_virtq_suppress(ring);
    for (; pages < TURN_PAGES; pages += CHUNK_PAGES) {
        if (!balloon->inflating) {
            balloon->done = 0;
            if (vmm_virtq_pop(ring, &balloon->inflating) <= 0)
                break;
        }
        if (inflate_some(balloon, &run))
            continue;
        discard(balloon, &run);
        vmm_virtq_push(balloon->inflating, 0);
        balloon->inflating = NULL;
    }
    discard(balloon, &run);
    vmm_virtio_signal(&balloon->virtio, queue);
    return pages >= TURN_PAGES || vmm_virtq_arm(ring);
}

/* ---- out of it ------------------------------------------------------------
 */

/* The guest has its pages back by using them. */
bool balloon_deflate(struct balloon *balloon, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(&balloon->virtio, queue);
    struct vmm_chain *chain;
    unsigned chains = 0;

    vmm_virtq_suppress(ring);
    for (; chains < TURN_CHAINS && vmm_virtq_pop(ring, &chain) > 0; chains++)
        vmm_virtq_push(chain, 0);
    vmm_virtio_signal(&balloon->virtio, queue);
    return chains == TURN_CHAINS || vmm_virtq_arm(ring);
}

/* ---- free pages -----------------------------------------------------------
 */

/* The buffers themselves are the free memory: whole pages of it. */
static void discard_segment(struct balloon *balloon,
                            const struct vmm_segment *segment)
{
    struct run run;

    if (vmm_memory_check(balloon->virtio.memory, segment->gpa, segment->len))
        return;
    run.first = (segment->gpa + PAGE_BYTES - 1) / PAGE_BYTES;
    run.end = (segment->gpa + segment->len) / PAGE_BYTES;
    discard(balloon, &run);
}

bool balloon_take_reports(struct balloon *balloon, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(&balloon->virtio, queue);
    struct vmm_chain *chain;
    unsigned chains = 0;

    vmm_virtq_suppress(ring);
    for (; chains < TURN_CHAINS && vmm_virtq_pop(ring, &chain) > 0; chains++) {
        unsigned end = (unsigned)chain->readable + chain->writable;

        for (unsigned i = chain->readable; i < end; i++)
            discard_segment(balloon, &chain->segments[i]);
        vmm_virtq_push(chain, 0);
    }
    vmm_virtio_signal(&balloon->virtio, queue);
    return chains == TURN_CHAINS || vmm_virtq_arm(ring);
}
