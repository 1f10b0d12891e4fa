/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The byte ring's copies in and out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ring.h"

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

int vmm_ring_init(struct vmm_ring *ring, size_t size)
{
    if (!size || size & (size - 1))
        return -EINVAL;
    ring->bytes = malloc(size);
    if (!ring->bytes)
        return -ENOMEM;
    ring->size = size;
    atomic_init(&ring->written, 0);
    atomic_init(&ring->released, 0);
    return 0;
}

void vmm_ring_fini(struct vmm_ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

size_t vmm_ring_write(struct vmm_ring *ring, const uint8_t *bytes, size_t len)
{
    uint64_t written =
        atomic_load_explicit(&ring->written, memory_order_relaxed);
    size_t room = ring->size - (size_t)(written - vmm_ring_released(ring));
    size_t taken = min(len, room);
    size_t offset = written & (ring->size - 1);
    size_t first = min(taken, ring->size - offset);

    if (!taken)
        return 0;
    memcpy(ring->bytes + offset, bytes, first);
    memcpy(ring->bytes, bytes + first, taken - first);
    atomic_store_explicit(&ring->written, written + taken,
                          memory_order_release);
    return taken;
}

size_t vmm_ring_view(const struct vmm_ring *ring, uint64_t position,
                     uint64_t end, const uint8_t **bytes)
{
    size_t offset = position & (ring->size - 1);

    *bytes = ring->bytes + offset;
    return min((size_t)(end - position), ring->size - offset);
}

void vmm_ring_release(struct vmm_ring *ring, uint64_t position)
{
    atomic_store_explicit(&ring->released, position, memory_order_release);
}

size_t vmm_ring_read(struct vmm_ring *ring, uint8_t *bytes, size_t max)
{
    uint64_t released =
        atomic_load_explicit(&ring->released, memory_order_relaxed);
    uint64_t end = vmm_ring_written(ring);
    size_t taken = 0;

    if (end - released > max)
        end = released + max;
    while (released < end) {
        const uint8_t *from;
        size_t len = vmm_ring_view(ring, released, end, &from);

        memcpy(bytes + taken, from, len);
        taken += len;
        released += len;
    }
    vmm_ring_release(ring, released);
    return taken;
}
