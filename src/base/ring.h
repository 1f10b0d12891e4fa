/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A bounded ring of bytes between one writing and one reading thread. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Positions count bytes since the start and never wrap: the ring holds those
 * from `released` up to `written`.  The writer alone advances `written`, the
 * reader alone `released`; several writers (or readers) must exclude each
 * other.
 */
struct vmm_ring {
    uint8_t *bytes;
    size_t size;
    _Atomic uint64_t written;
    char apart[64]; /* the two sides write to cache lines of their own */
    _Atomic uint64_t released;
};

/* size: a power of two.  0, -EINVAL or -ENOMEM. */
int vmm_ring_init(struct vmm_ring *ring, size_t size);
void vmm_ring_fini(struct vmm_ring *ring);

static inline uint64_t vmm_ring_written(struct vmm_ring *ring)
{
    return atomic_load_explicit(&ring->written, memory_order_acquire);
}

static inline uint64_t vmm_ring_released(struct vmm_ring *ring)
{
    return atomic_load_explicit(&ring->released, memory_order_acquire);
}

/* How many bytes are in it / could be written: exact on the caller's side. */
static inline size_t vmm_ring_used(struct vmm_ring *ring)
{
    uint64_t released = vmm_ring_released(ring);

    return (size_t)(vmm_ring_written(ring) - released);
}

static inline size_t vmm_ring_room(struct vmm_ring *ring)
{
    return ring->size - vmm_ring_used(ring);
}

/* The writer's: returns how many of the bytes fitted. */
size_t vmm_ring_write(struct vmm_ring *ring, const uint8_t *bytes, size_t len);

/* The reader's: copy up to max bytes out and release them. */
size_t vmm_ring_read(struct vmm_ring *ring, uint8_t *bytes, size_t max);
/* The bytes in [position, end), which must be in the ring, as far as they lie
 * in one piece.  Returns how many; *bytes points at them until released. */
size_t vmm_ring_view(const struct vmm_ring *ring, uint64_t position,
                     uint64_t end, const uint8_t **bytes);
/* Give back the room of all before position. */
void vmm_ring_release(struct vmm_ring *ring, uint64_t position);

#endif
