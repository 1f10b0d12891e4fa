/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The driver's side of a virtqueue, in memory of its own: what tests drive
 * devices with. */
#ifndef VIRTQ_DRIVER_H
#define VIRTQ_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include <vmm/virtq.h>

#define RING_SIZE 8

/*
 *   0x1000 desc | 0x2000 avail | 0x3000 used | 0x4000 indirect | 0x5000 data
 *   ... 0x40000 end of RAM ... hole ... 0x80000 one page
 */
#define DESC     0x1000u
#define AVAIL    0x2000u
#define USED     0x3000u
#define INDIRECT 0x4000u
#define DATA     0x5000u
#define RAM_END  0x40000u
#define ISLAND   0x80000u

struct driver {
    struct vmm_memory *memory;
    struct vmm_virtq *queue;
    uint16_t size;
    uint16_t next; /* avail.idx */
    uint16_t seen; /* of used.idx */
};

static void must(int result, const char *what)
{
    if (result)
        fail_msg("%s: %d", what, result);
}
#define MUST(call) must(call, #call)

static void driver_desc_at(struct driver *d, vmm_gpa_t table, uint16_t index,
                           uint64_t gpa, uint32_t len, uint16_t flags,
                           uint16_t next)
{
    struct vring_desc desc = {gpa, len, flags, next};

    MUST(vmm_memory_write(d->memory, table + 16u * index, &desc, sizeof(desc)));
}

static void driver_desc(struct driver *d, uint16_t index, uint64_t gpa,
                        uint32_t len, uint16_t flags, uint16_t next)
{
    driver_desc_at(d, DESC, index, gpa, len, flags, next);
}

/* Offer the chain that starts at head. */
static void driver_offer(struct driver *d, uint16_t head)
{
    MUST(vmm_memory_store_u16(d->memory, AVAIL + 4 + 2u * (d->next % d->size),
                              head));
    d->next++;
    MUST(vmm_memory_store_release_u16(d->memory, AVAIL + 2, d->next));
}

/* Offer one buffer of one descriptor. */
static inline void driver_offer_buffer(struct driver *d, uint16_t index,
                                       uint64_t gpa, uint32_t len,
                                       uint16_t flags)
{
    driver_desc(d, index, gpa, len, flags, 0);
    driver_offer(d, index);
}

/* The next used element: true, or false when there is none. */
static inline bool driver_collect(struct driver *d, uint32_t *id, uint32_t *len)
{
    uint16_t index;
    vmm_gpa_t slot = USED + 4 + 8u * (d->seen % d->size);

    MUST(vmm_memory_load_acquire_u16(d->memory, USED + 2, &index));
    if (index == d->seen)
        return false;
    MUST(vmm_memory_load_u32(d->memory, slot, id));
    MUST(vmm_memory_load_u32(d->memory, slot + 4, len));
    d->seen++;
    return true;
}

/* (Re-)initialise the rings and enable the queue. */
static void driver_begin(struct driver *d, uint64_t features)
{
    struct vmm_virtq_layout layout = {d->size, DESC, AVAIL, USED};
    struct vmm_error err;

    d->next = d->seen = 0;
    MUST(vmm_memory_fill(d->memory, DESC, 0, INDIRECT - DESC));
    if (vmm_virtq_enable(d->queue, &layout, features, &err))
        fail_msg("%s", err.text);
}

#define INDIRECT_BIT (UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC)
#define EVENT_BIT    (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

/* Whether the memory is one that other processes can map. */
static bool driver_shares_memory;

static void driver_set_up(struct driver *d, uint16_t size, uint64_t features)
{
    static const struct vmm_memory_range ranges[] = {{0, RAM_END},
                                                     {ISLAND, 0x1000}};
    struct vmm_memory_config config = {
        .ranges = ranges, .range_count = 2, .shared = driver_shares_memory};
    struct vmm_error err;

    *d = (struct driver){.size = size};
    if (vmm_memory_new(&config, &d->memory, &err) ||
        vmm_virtq_new(d->memory, size, &d->queue, &err))
        fail_msg("%s", err.text);
    driver_begin(d, features);
}

static void driver_tear_down(struct driver *d)
{
    vmm_virtq_free(d->queue);
    vmm_memory_unref(d->memory);
}

#endif
