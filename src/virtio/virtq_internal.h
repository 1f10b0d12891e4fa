/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A virtqueue's insides, and the walk that makes a chain of its descriptors. */
#ifndef VMM_VIRTIO_VIRTQ_INTERNAL_H
#define VMM_VIRTIO_VIRTQ_INTERNAL_H

#include <linux/virtio_ring.h>

#include <vmm/virtq.h>

struct vmm_virtq {
    struct vmm_memory *memory;
    uint16_t size_max;

    bool enabled;
    const char *broken;  /* what the driver did wrong */
    uint32_t generation; /* counts enables and disables */
    uint16_t size;
    bool indirect, event_idx; /* negotiated */

    /* Views of the rings; the guest writes the first two at any time. */
    const struct vring_desc *desc;
    const struct vring_avail *avail;
    struct vring_used *used;

    uint16_t next_avail; /* the chain to take next */
    uint16_t next_used;  /* what used.idx is */
    uint16_t signalled;  /* next_used when the driver was last asked about */
    uint16_t out;        /* chains taken and not pushed */

    struct vmm_chain *free;  /* chains that nobody has */
    struct vmm_chain *owned; /* all of them */
};

/* Note what the driver did wrong: -EPROTO. */
int virtq_break(struct vmm_virtq *queue, const char *what);

/* Fill the chain from the descriptor at index head.  0, -EPROTO, -ENOMEM. */
int virtq_walk(struct vmm_virtq *queue, uint16_t head, struct vmm_chain *chain);

/* The guest's memory is shared with it: each of its integers is loaded once. */
static inline uint16_t load_u16(const __virtio16 *from)
{
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}

#endif
