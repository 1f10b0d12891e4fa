/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The rings of a split virtqueue: chains out, chains back, and who is told. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>

#include "base/arith.h"
#include "virtio/virtq_internal.h"

/*
 *   driver writes          device writes
 *   +------------+         +------------------+
 *   | desc table |         | used: flags, idx |
 *   +------------+         | ring of (id, len)|
 *   | avail:     |         | avail_event      |
 *   | flags, idx |         +------------------+
 *   | ring       |
 *   | used_event |         Hosts and guests are little endian here.
 *   +------------+
 */

int vmm_virtq_new(struct vmm_memory *memory, uint16_t size_max,
                  struct vmm_virtq **queue, struct vmm_error *err)
{
    vmm_error_clear(err);
    *queue = NULL;
    if (size_max == 0 || size_max > VMM_VIRTQ_SIZE_MAX ||
        (size_max & (size_max - 1)))
        return vmm_error_set(err, EINVAL,
                             "a queue of %u descriptors: a power of two up to "
                             "%d is possible",
                             size_max, VMM_VIRTQ_SIZE_MAX);
    struct vmm_virtq *q = calloc(1, sizeof(*q));
    if (!q)
        return vmm_error_set(err, ENOMEM, "virtqueue: out of memory");
    q->memory = vmm_memory_ref(memory);
    q->size_max = size_max;
    *queue = q;
    return 0;
}

void vmm_virtq_free(struct vmm_virtq *queue)
{
    if (!queue)
        return;
    while (queue->owned) {
        struct vmm_chain *chain = queue->owned;

        queue->owned = chain->next_owned;
        free(chain->segments);
        free(chain);
    }
    vmm_memory_unref(queue->memory);
    free(queue);
}

uint16_t vmm_virtq_size_max(const struct vmm_virtq *queue)
{
    return queue->size_max;
}

/* ---- enable, disable ------------------------------------------------------
 */

struct ring {
    const char *name;
    vmm_gpa_t gpa;
    uint64_t len;
    unsigned alignment;
};

/* A view of one of the rings, or NULL with the text set. */
static void *view(struct vmm_virtq *queue, const struct ring *ring,
                  struct vmm_error *err)
{
    struct iovec piece;

    if (!is_aligned(ring->gpa, ring->alignment))
        vmm_error_set(err, EINVAL, "the %s at 0x%llx is not aligned to %u",
                      ring->name, (unsigned long long)ring->gpa,
                      ring->alignment);
    else if (vmm_memory_iovec(queue->memory, ring->gpa, ring->len, &piece, 1) !=
             1)
        vmm_error_set(err, EINVAL,
                      "the %s at 0x%llx, %llu bytes, is not in one region of "
                      "RAM",
                      ring->name, (unsigned long long)ring->gpa,
                      (unsigned long long)ring->len);
    else
        return piece.iov_base;
    return NULL;
}

/* All three are RAM by now, so that no sum wraps. */
static bool overlap(const struct ring *a, const struct ring *b)
{
    return a->gpa < b->gpa + b->len && b->gpa < a->gpa + a->len;
}

int vmm_virtq_enable(struct vmm_virtq *queue,
                     const struct vmm_virtq_layout *layout, uint64_t features,
                     struct vmm_error *err)
{
    const uint64_t size = layout->size;
    /* Each ring ends with the other side's event index. */
    const struct ring rings[] = {
        {"descriptor table", layout->desc, size * 16, 16},
        {"driver's ring", layout->avail, 6 + 2 * size, 2},
        {"device's ring", layout->used, 6 + 8 * size, 4},
    };
    void *views[3];

    vmm_error_clear(err);
    if (size == 0 || size > queue->size_max || (size & (size - 1)))
        return vmm_error_set(err, EINVAL,
                             "a queue of %llu descriptors: a power of two up "
                             "to %u is possible",
                             (unsigned long long)size, queue->size_max);
    for (int i = 0; i < 3; i++)
        if (!(views[i] = view(queue, &rings[i], err)))
            return -EINVAL;
    for (int i = 0; i < 3; i++)
        if (overlap(&rings[i], &rings[(i + 1) % 3]))
            return vmm_error_set(err, EINVAL, "the %s overlaps the %s",
                                 rings[i].name, rings[(i + 1) % 3].name);
    queue->desc = views[0];
    queue->avail = views[1];
    queue->used = views[2];
    queue->size = layout->size;
    queue->indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1;
    queue->event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1;
    queue->next_avail = queue->next_used = queue->signalled = queue->out = 0;
    queue->broken = NULL;
    queue->generation++;
    queue->enabled = true;
    return 0;
}

void vmm_virtq_disable(struct vmm_virtq *queue)
{
    queue->enabled = false;
    queue->generation++;
}

bool vmm_virtq_enabled(const struct vmm_virtq *queue)
{
    return queue->enabled;
}

const char *vmm_virtq_broken(const struct vmm_virtq *queue)
{
    return queue->broken;
}

int virtq_break(struct vmm_virtq *queue, const char *what)
{
    queue->broken = what;
    return -EPROTO;
}

/* ---- out and back ---------------------------------------------------------
 */

static struct vmm_chain *new_chain(struct vmm_virtq *queue)
{
    struct vmm_chain *chain = calloc(1, sizeof(*chain));

    if (chain) {
        chain->queue = queue;
        chain->next_owned = queue->owned;
        queue->owned = chain;
    }
    return chain;
}

static struct vmm_chain *take_free(struct vmm_virtq *queue)
{
    struct vmm_chain *chain = queue->free;

    if (chain)
        queue->free = chain->next;
    else
        chain = new_chain(queue);
    if (chain)
        chain->generation = queue->generation;
    return chain;
}

static void give_free(struct vmm_chain *chain)
{
    chain->next = chain->queue->free;
    chain->queue->free = chain;
}

/* How many chains wait, or -EPROTO. */
static int waiting(struct vmm_virtq *queue)
{
    /* What the index tells of must be read after it. */
    uint16_t index = __atomic_load_n(&queue->avail->idx, __ATOMIC_ACQUIRE);
    uint16_t count = (uint16_t)(index - queue->next_avail);

    if (count > queue->size)
        return virtq_break(queue, "avail.idx is more than a queue ahead");
    return count;
}

int vmm_virtq_pop(struct vmm_virtq *queue, struct vmm_chain **result)
{
    *result = NULL;
    if (!queue->enabled)
        return 0;
    if (queue->broken)
        return -EPROTO;
    int count = waiting(queue);
    if (count <= 0)
        return count;
    if (queue->out >= queue->size)
        return virtq_break(queue, "more chains than descriptors");
    uint16_t slot = queue->next_avail & (queue->size - 1);
    uint16_t head = load_u16(&queue->avail->ring[slot]);
    struct vmm_chain *chain = take_free(queue);
    if (!chain)
        return -ENOMEM;
    int r = virtq_walk(queue, head, chain);
    if (r < 0) {
        give_free(chain);
        return r;
    }
    queue->next_avail++;
    queue->out++;
    *result = chain;
    return 1;
}

static bool is_current(const struct vmm_chain *chain)
{
    return chain->queue->enabled &&
           chain->generation == chain->queue->generation;
}

/* Put a chain into the used ring; nobody sees it before publish. */
static void put_used(struct vmm_chain *chain, uint32_t written)
{
    struct vmm_virtq *queue = chain->queue;

    if (is_current(chain)) {
        struct vring_used_elem *slot =
            &queue->used->ring[queue->next_used & (queue->size - 1)];

        __atomic_store_n(&slot->id, chain->head, __ATOMIC_RELAXED);
        __atomic_store_n(&slot->len, written, __ATOMIC_RELAXED);
        queue->next_used++;
        queue->out--;
    }
    give_free(chain);
}

static void publish(struct vmm_virtq *queue)
{
    /* The driver sees the index after all that it tells of. */
    if (queue->enabled)
        __atomic_store_n(&queue->used->idx, queue->next_used, __ATOMIC_RELEASE);
}

void vmm_virtq_push(struct vmm_chain *chain, uint32_t written)
{
    struct vmm_virtq *queue = chain->queue;

    put_used(chain, written);
    publish(queue);
}

void vmm_virtq_push_all(struct vmm_chain **chains, const uint32_t *written,
                        unsigned count)
{
    if (!count)
        return;
    struct vmm_virtq *queue = chains[0]->queue;
    for (unsigned i = 0; i < count; i++)
        put_used(chains[i], written[i]);
    publish(queue);
}

/* ---- who is told ----------------------------------------------------------
 */

/* A load that no earlier store of ours passes. */
static uint16_t load_u16_after(const __virtio16 *from)
{
    return __atomic_load_n(from, __ATOMIC_SEQ_CST);
}

bool vmm_virtq_should_signal(struct vmm_virtq *queue)
{
    if (!queue->enabled || queue->signalled == queue->next_used)
        return false;

    uint16_t before = queue->signalled;
    queue->signalled = queue->next_used;
    /* The driver stores its wish, then loads used.idx: here it is the other
     * way round, so that one of both sees the other's store.  (Storing it once
     * more is the barrier; TSan does not understand fences.) */
    __atomic_store_n(&queue->used->idx, queue->next_used, __ATOMIC_SEQ_CST);
    if (!queue->event_idx)
        return !(load_u16_after(&queue->avail->flags) &
                 VRING_AVAIL_F_NO_INTERRUPT);
    uint16_t event = load_u16_after(&queue->avail->ring[queue->size]);
    return vring_need_event(event, queue->next_used, before);
}

/* The event index after the used ring's last element. */
static __virtio16 *avail_event(struct vmm_virtq *queue)
{
    return (__virtio16 *)&queue->used->ring[queue->size];
}

void vmm_virtq_suppress(struct vmm_virtq *queue)
{
    /* An event index in the past suppresses by itself. */
    if (queue->enabled && !queue->event_idx)
        __atomic_store_n(&queue->used->flags, VRING_USED_F_NO_NOTIFY,
                         __ATOMIC_RELAXED);
}

bool vmm_virtq_arm(struct vmm_virtq *queue)
{
    if (!queue->enabled || queue->broken)
        return false;
    if (queue->event_idx)
        __atomic_store_n(avail_event(queue), queue->next_avail,
                         __ATOMIC_SEQ_CST);
    else
        __atomic_store_n(&queue->used->flags, 0, __ATOMIC_SEQ_CST);
    return load_u16_after(&queue->avail->idx) != queue->next_avail;
}
