/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A driver with several queues, each with rings of its own, on top of
 * virtio_driver.h. */
#ifndef VIRTIO_RINGS_H
#define VIRTIO_RINGS_H

/* Those drivers have one queue; not all that they do is of use here. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "virtio_driver.h"
#pragma GCC diagnostic pop

#define WRITE VRING_DESC_F_WRITE
#define NEXT  VRING_DESC_F_NEXT

/* Queue q's rings are in the page at RINGS + q * 0x1000, buffers below. */
#define RINGS      0x10000u
#define RING_DESC  0x000u
#define RING_AVAIL 0x400u
#define RING_USED  0x800u
#define RINGS_MAX  32

struct rings {
    struct host host;
    uint16_t next[RINGS_MAX]; /* avail.idx */
    uint16_t seen[RINGS_MAX]; /* of used.idx */
};

static vmm_gpa_t ring_at(unsigned queue, uint32_t part)
{
    return RINGS + queue * 0x1000u + part;
}

static void rings_bring_up(struct rings *r, uint64_t features, unsigned count)
{
    struct host *h = &r->host;

    memset(r->next, 0, sizeof(r->next));
    memset(r->seen, 0, sizeof(r->seen));
    MUST(vmm_memory_fill(h->driver.memory, RINGS, 0, RINGS_MAX * 0x1000u));
    negotiate(h, VERSION_1 | features);
    for (unsigned q = 0; q < count; q++) {
        put(h, VIRTIO_MMIO_QUEUE_SEL, q);
        put(h, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
        put(h, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)ring_at(q, RING_DESC));
        put(h, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)ring_at(q, RING_AVAIL));
        put(h, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)ring_at(q, RING_USED));
        put(h, VIRTIO_MMIO_QUEUE_READY, 1);
    }
    drive_ok(h);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    serve(h);
}

static void ring_desc(struct rings *r, unsigned queue, uint16_t index,
                      uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
    driver_desc_at(&r->host.driver, ring_at(queue, RING_DESC), index, gpa, len,
                   flags, next);
}

/* Offer the chain that starts at head. */
static void ring_offer(struct rings *r, unsigned queue, uint16_t head)
{
    struct vmm_memory *memory = r->host.driver.memory;
    vmm_gpa_t avail = ring_at(queue, RING_AVAIL);

    MUST(vmm_memory_store_u16(
        memory, avail + 4 + 2u * (r->next[queue] % RING_SIZE), head));
    r->next[queue]++;
    MUST(vmm_memory_store_release_u16(memory, avail + 2, r->next[queue]));
}

static void ring_offer_buffer(struct rings *r, unsigned queue, uint16_t index,
                              uint64_t gpa, uint32_t len, uint16_t flags)
{
    ring_desc(r, queue, index, gpa, len, flags, 0);
    ring_offer(r, queue, index);
}

static void ring_notify(struct rings *r, unsigned queue)
{
    put(&r->host, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    serve(&r->host);
}

/* The next used element's length; -1 when there is none. */
static int64_t ring_collect(struct rings *r, unsigned queue)
{
    struct vmm_memory *memory = r->host.driver.memory;
    vmm_gpa_t used = ring_at(queue, RING_USED);
    uint16_t index;
    uint32_t len;

    MUST(vmm_memory_load_acquire_u16(memory, used + 2, &index));
    if (index == r->seen[queue])
        return -1;
    MUST(vmm_memory_load_u32(
        memory, used + 8 + 8u * (r->seen[queue] % RING_SIZE), &len));
    r->seen[queue]++;
    return len;
}

#endif
