/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * What the fuzz targets of virtio devices share: a guest with the device over
 * virtio-mmio, and the rings that the input writes and notifies of.  A target
 * has a struct guest, makes its device between guest_begin and guest_attach,
 * and says what its records do beside the actions on rings.
 */
#ifndef VIRTIO_INPUT_H
#define VIRTIO_INPUT_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/bus.h>
#include <vmm/virtio.h>

#include "require.h"

#define BASE  0xd0000000u
#define SIZE  4u /* of each queue */
#define RINGS 0x1000u
#define RING  0x100u /* a queue's: descriptors, then */
#define AVAIL 0x40u
#define USED  0x80u

struct guest {
    struct vmm_memory *memory;
    struct vmm_loop *loop;
    struct vmm_bus *bus;
    struct vmm_virtio *virtio;
    uint32_t features; /* that the driver accepts, beside VERSION_1 */
    unsigned queues;   /* that it sets up */
};

/* ---- the driver ---- */

static inline void put(struct guest *guest, uint32_t offset, uint32_t value)
{
    vmm_bus_write(guest->bus, BASE + offset, (const uint8_t *)&value, 4);
}

/* The device resets; what is in the rings stays. */
static inline void bring_up(struct guest *guest)
{
    put(guest, VIRTIO_MMIO_STATUS, 0);
    put(guest, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    put(guest, VIRTIO_MMIO_DRIVER_FEATURES, guest->features);
    put(guest, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    put(guest, VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
    put(guest, VIRTIO_MMIO_STATUS, 11);
    for (uint32_t queue = 0; queue < guest->queues; queue++) {
        uint32_t ring = RINGS + queue * RING;

        put(guest, VIRTIO_MMIO_QUEUE_SEL, queue);
        put(guest, VIRTIO_MMIO_QUEUE_NUM, SIZE);
        put(guest, VIRTIO_MMIO_QUEUE_DESC_LOW, ring);
        put(guest, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring + AVAIL);
        put(guest, VIRTIO_MMIO_QUEUE_USED_LOW, ring + USED);
        put(guest, VIRTIO_MMIO_QUEUE_READY, 1);
    }
    put(guest, VIRTIO_MMIO_STATUS, 15);
}

static inline void serve(struct guest *guest)
{
    for (int i = 0; i < 8 && vmm_loop_step(guest->loop, 0) > 0; i++)
        ;
}

static inline void notify(struct guest *guest, unsigned queue)
{
    put(guest, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    serve(guest);
}

/* The descriptor after it is its next one. */
static inline void describe(struct guest *guest, unsigned queue, unsigned index,
                            uint64_t gpa, uint32_t len, uint16_t flags)
{
    struct vring_desc desc = {gpa, len, flags, (uint16_t)((index + 1) % SIZE)};

    REQUIRE(!vmm_memory_write(guest->memory, RINGS + queue * RING + 16 * index,
                              &desc, sizeof(desc)));
}

static inline void offer(struct guest *guest, unsigned queue, uint16_t head)
{
    vmm_gpa_t avail = RINGS + queue * RING + AVAIL;
    uint16_t index;

    REQUIRE(!vmm_memory_load_u16(guest->memory, avail + 2, &index));
    vmm_memory_store_u16(guest->memory, avail + 4 + 2 * (index % SIZE), head);
    vmm_memory_store_u16(guest->memory, avail + 2, (uint16_t)(index + 1));
}

/* ---- records of 5 bytes: action, where, value ---- */

#define RECORD 5

/* The first actions of a target whose records these are. */
enum { STORE_16, STORE_64, DESCRIPTOR, OFFER, NOTIFY, RING_ACTIONS };

struct record {
    uint8_t action;
    uint16_t where, value;
};

static inline struct record record_at(const uint8_t *bytes)
{
    struct record r = {.action = bytes[0]};

    memcpy(&r.where, bytes + 1, 2);
    memcpy(&r.value, bytes + 3, 2);
    return r;
}

/* An action on a ring, and how long a buffer is that it describes. */
static inline void use_rings(struct guest *guest, unsigned action,
                             const struct record *r, uint32_t len)
{
    vmm_gpa_t gpa = RINGS + r->where % (guest->queues * RING);
    unsigned queue = r->where % guest->queues;

    switch (action) {
    case STORE_16:
        vmm_memory_store_u16(guest->memory, gpa, r->value);
        break;
    case STORE_64: /* addresses: low, or near the top */
        vmm_memory_store_u64(guest->memory, gpa & ~7ULL,
                             (uint64_t)(int64_t)(int16_t)r->value);
        break;
    case DESCRIPTOR:
        describe(guest, queue, r->where >> 8 & 3, r->value & 0x3fff, len,
                 r->value >> 14);
        break;
    case OFFER:
        offer(guest, queue, r->value % (SIZE + 1));
        break;
    case NOTIFY:
        notify(guest, queue);
        break;
    }
}

/* Write and read registers and configuration, at any width and offset. */
static inline void use_registers(struct guest *guest, const struct record *r)
{
    uint64_t at = BASE + r->where % VMM_VIRTIO_MMIO_BYTES;
    size_t len = r->value % 8 + 1u;
    uint8_t bytes[8];

    memset(bytes, r->value >> 8, sizeof(bytes));
    vmm_bus_write(guest->bus, at, bytes, len);
    vmm_bus_read(guest->bus, at, bytes, len);
}

/* ---- its life ---- */

/* Mapping memory takes longer than a run: it is made once. */
static inline struct vmm_memory *the_memory(uint64_t bytes)
{
    static struct vmm_memory *memory;
    struct vmm_memory_range range = {0, bytes};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};

    if (!memory)
        REQUIRE(!vmm_memory_new(&config, &memory, NULL));
    REQUIRE(!vmm_memory_fill(memory, 0, 0, bytes));
    return memory;
}

static inline void guest_begin(struct guest *guest, uint64_t ram)
{
    guest->memory = the_memory(ram);
    REQUIRE(!vmm_loop_new(&guest->loop, NULL));
    REQUIRE(!vmm_bus_new("mmio", UINT64_MAX >> 12, &guest->bus, NULL));
}

/* Put guest->virtio on the bus, and bring it up. */
static inline void guest_attach(struct guest *guest)
{
    struct vmm_irq_line line = {NULL, NULL};
    struct vmm_device *device;

    REQUIRE(!vmm_virtio_mmio_new(vmm_virtio_ref(guest->virtio), &line, &device,
                                 NULL));
    REQUIRE(
        !vmm_bus_add(guest->bus, BASE, VMM_VIRTIO_MMIO_BYTES, device, 0, NULL));
    vmm_device_unref(device);
    bring_up(guest);
}

static inline void guest_end(struct guest *guest)
{
    vmm_bus_free(guest->bus);
    vmm_virtio_unref(guest->virtio);
    vmm_loop_free(guest->loop);
}

#endif
