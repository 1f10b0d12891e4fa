/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A split virtqueue as its device sees it, and the chains of buffers in it. */
#ifndef VMM_VIRTQ_H
#define VMM_VIRTQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/memory.h>

/*
 * Virtio 1.2, section 2.7.  A driver fills the rings, a device takes chains of
 * buffers out of them and gives them back as used:
 *
 *     while (vmm_virtq_pop(queue, &chain) > 0) {
 *         ... vmm_chain_read(), vmm_chain_write() ...
 *         vmm_virtq_push(chain, bytes_written);
 *     }
 *     if (vmm_virtq_should_signal(queue))
 *         ... interrupt the driver ...
 *
 * The driver is hostile.  A descriptor is copied once; the number of buffers,
 * their direction and their sum are checked before the device sees a chain.  A
 * ring that breaks the rules breaks the queue: pop fails until it is enabled
 * anew, and the device asks to be reset.  A buffer that is not RAM is found by
 * the door that touches it, and costs its own request only.
 *
 * One thread at a time may use a queue and its chains.
 */
struct vmm_virtq;

/* Queue sizes are powers of two up to this (section 2.6). */
#define VMM_VIRTQ_SIZE_MAX 32768

/* What the driver has told about a queue. */
struct vmm_virtq_layout {
    uint16_t size;   /* descriptors: a power of two, at most the maximum */
    vmm_gpa_t desc;  /* the descriptor table, a multiple of 16 */
    vmm_gpa_t avail; /* the driver's ring, a multiple of 2 */
    vmm_gpa_t used;  /* the device's ring, a multiple of 4 */
};

/* A disabled queue of up to size_max descriptors (a power of two).  It keeps a
 * reference to the memory. */
VMM_API int vmm_virtq_new(struct vmm_memory *memory, uint16_t size_max,
                          struct vmm_virtq **queue, struct vmm_error *err);
/* Frees its chains as well, also those that are out.  queue may be NULL. */
VMM_API void vmm_virtq_free(struct vmm_virtq *queue);
VMM_API uint16_t vmm_virtq_size_max(const struct vmm_virtq *queue);

/*
 * Begin to use the rings as laid out.  features: those negotiated, of which
 * VIRTIO_RING_F_INDIRECT_DESC and VIRTIO_RING_F_EVENT_IDX count, as bits of a
 * 64-bit mask.  -EINVAL (the text says what): a size that is no power of two
 * or too large, rings that are unaligned, overlap, or are not RAM of one
 * region.
 */
VMM_API int vmm_virtq_enable(struct vmm_virtq *queue,
                             const struct vmm_virtq_layout *layout,
                             uint64_t features, struct vmm_error *err);
/* A reset: pop gives nothing more, and chains that are out may only be pushed,
 * which then does not touch the guest. */
VMM_API void vmm_virtq_disable(struct vmm_virtq *queue);
VMM_API bool vmm_virtq_enabled(const struct vmm_virtq *queue);
/* What the driver did wrong, or NULL. */
VMM_API const char *vmm_virtq_broken(const struct vmm_virtq *queue);

/* A buffer of a chain, as its descriptor was when it was copied. */
struct vmm_segment {
    vmm_gpa_t gpa;
    uint32_t len;
};

/* A chain out of its queue: read it, but leave its members alone. */
struct vmm_chain {
    struct vmm_virtq *queue;
    uint16_t head;           /* its first descriptor's index */
    uint16_t readable;       /* segments that the driver has filled ... */
    uint16_t writable;       /* ... and after those, the ones for the device */
    uint64_t readable_bytes; /* their sums; together at most 2^32 */
    uint64_t writable_bytes;
    struct vmm_segment *segments;
    void *context; /* free for the device */

    uint32_t generation;          /* of the queue when it was taken out */
    uint16_t room;                /* segments allocated */
    struct vmm_chain *next;       /* that nobody has */
    struct vmm_chain *next_owned; /* of all that the queue has made */
};

/*
 * Take the next chain out: 1, or 0 when there is none (or the queue is
 * disabled), -EPROTO when the driver has broken the queue, -ENOMEM (the chain
 * stays).  Chains may be pushed in any order; no more than the queue's size are
 * out at a time.
 */
VMM_API int vmm_virtq_pop(struct vmm_virtq *queue, struct vmm_chain **chain);
/* Give a chain back as used; written: bytes written from the start of its
 * writable part. */
VMM_API void vmm_virtq_push(struct vmm_chain *chain, uint32_t written);
/* Give chains of one queue back together: the driver sees all or none. */
VMM_API void vmm_virtq_push_all(struct vmm_chain **chains,
                                const uint32_t *written, unsigned count);

/* Does the driver want to be interrupted for what was pushed since the last
 * call?  Asks with the barrier that section 2.7.7 wants. */
VMM_API bool vmm_virtq_should_signal(struct vmm_virtq *queue);

/*
 * Notifications by the driver: ask for none while chains are being taken;
 * then ask for them again, which is true when more has come meanwhile, of
 * which no notification may tell.
 */
VMM_API void vmm_virtq_suppress(struct vmm_virtq *queue);
VMM_API bool vmm_virtq_arm(struct vmm_virtq *queue);

/*
 * The doors to a chain's bytes, by offset into its readable or its writable
 * part, across segments.  All of len, or: -ENODATA (-ENOSPC for a write) when
 * the part is shorter, -EFAULT when a buffer is not RAM; some bytes may have
 * been copied by then.
 */
VMM_API int vmm_chain_read(const struct vmm_chain *chain, uint64_t offset,
                           void *buffer, size_t len);
VMM_API int vmm_chain_write(struct vmm_chain *chain, uint64_t offset,
                            const void *buffer, size_t len);
/*
 * The same range as views of host memory, for file I/O; valid until the chain
 * is pushed.  Returns the number of pieces; -ENOBUFS when max is too small;
 * other errors as above.  A piece may be empty only when len is 0.
 */
VMM_API int vmm_chain_readable_iovec(const struct vmm_chain *chain,
                                     uint64_t offset, uint64_t len,
                                     struct iovec *pieces, int max);
VMM_API int vmm_chain_writable_iovec(const struct vmm_chain *chain,
                                     uint64_t offset, uint64_t len,
                                     struct iovec *pieces, int max);

#endif
