/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the memory balloon: the input is what a driver does to its registers,
 * rings and memory, and what the host asks of it.
 *
 * Input: a byte of features, then records of 5 bytes: what to do, where (2
 * bytes), value (2 bytes).
 */
#include <linux/virtio_balloon.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/virtio_balloon.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition))                                                      \
            abort();                                                           \
    } while (0)

#define SIZE   4u
#define QUEUES 4u
#define RAM    0x10000u
#define RINGS  0x1000u
#define RING   0x100u /* a queue's: descriptors, +0x40 avail, +0x80 used */
#define LIST   0x2000u
#define RECORD 5

enum {
    STORE_16,
    STORE_64,
    DESCRIPTOR,
    OFFER,
    NOTIFY,
    PAGES,
    ASK,
    SET,
    RESET,
    CONFIG,
    ACTIONS
};

struct fuzz {
    struct vmm_memory *memory;
    struct vmm_loop *loop;
    struct vmm_virtio *virtio;
    struct vmm_device *device;
    uint32_t features;
    unsigned changes;
};

static void on_changed(void *context)
{
    ((struct fuzz *)context)->changes++;
}

static void put(struct fuzz *fuzz, uint32_t offset, uint32_t value)
{
    fuzz->device->regions[0].write(fuzz->device, offset,
                                   (const uint8_t *)&value, 4);
}

static void step_loop(struct fuzz *fuzz)
{
    for (int i = 0; i < 4; i++)
        if (vmm_loop_step(fuzz->loop, 0) <= 0)
            break;
}

static void bring_up(struct fuzz *fuzz)
{
    put(fuzz, VIRTIO_MMIO_STATUS, 0);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES, fuzz->features);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES, 1);
    put(fuzz, VIRTIO_MMIO_STATUS, 11);
    for (uint32_t q = 0; q < QUEUES; q++) {
        put(fuzz, VIRTIO_MMIO_QUEUE_SEL, q);
        put(fuzz, VIRTIO_MMIO_QUEUE_NUM, SIZE);
        put(fuzz, VIRTIO_MMIO_QUEUE_DESC_LOW, RINGS + q * RING);
        put(fuzz, VIRTIO_MMIO_QUEUE_AVAIL_LOW, RINGS + q * RING + 0x40);
        put(fuzz, VIRTIO_MMIO_QUEUE_USED_LOW, RINGS + q * RING + 0x80);
        put(fuzz, VIRTIO_MMIO_QUEUE_READY, 1);
    }
    put(fuzz, VIRTIO_MMIO_STATUS, 15);
}

static void offer(struct fuzz *fuzz, unsigned queue, uint16_t head)
{
    vmm_gpa_t avail = RINGS + queue * RING + 0x40;
    uint16_t index;

    REQUIRE(!vmm_memory_load_u16(fuzz->memory, avail + 2, &index));
    vmm_memory_store_u16(fuzz->memory, avail + 4 + 2 * (index % SIZE), head);
    vmm_memory_store_u16(fuzz->memory, avail + 2, (uint16_t)(index + 1));
}

static void describe(struct fuzz *fuzz, unsigned queue, unsigned index,
                     uint64_t gpa, uint32_t len, uint16_t flags)
{
    struct vring_desc desc = {gpa, len, flags, (uint16_t)((index + 1) % SIZE)};

    REQUIRE(!vmm_memory_write(fuzz->memory, RINGS + queue * RING + 16 * index,
                              &desc, sizeof(desc)));
}

/* A list of pages, from one on, upwards or downwards. */
static void give_pages(struct fuzz *fuzz, uint16_t where, uint16_t value)
{
    unsigned count = where % 8;

    for (unsigned i = 0; i < count; i++)
        vmm_memory_store_u32(fuzz->memory, LIST + 4 * i,
                             value & 1 ? 3 + value / 2 + i : 3 + value / 2 - i);
    describe(fuzz, 0, 0, LIST, 4 * count, 0);
    offer(fuzz, 0, 0);
    put(fuzz, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    step_loop(fuzz);
}

static void ask(struct fuzz *fuzz)
{
    struct vmm_virtio_balloon_stats stats;

    (void)vmm_virtio_balloon_ask(fuzz->virtio);
    vmm_virtio_balloon_stats(fuzz->virtio, &stats);
    REQUIRE(stats.given >> VMM_VIRTIO_BALLOON_STATS == 0);
    (void)vmm_virtio_balloon_actual(fuzz->virtio);
}

static void use_config(struct fuzz *fuzz, uint16_t where, uint16_t value)
{
    uint8_t bytes[8];
    size_t len = value % 8 + 1u;

    memset(bytes, value >> 8, sizeof(bytes));
    fuzz->device->regions[0].write(fuzz->device, where % 0x200, bytes, len);
    fuzz->device->regions[0].read(fuzz->device, where % 0x200, bytes, len);
}

static void step(struct fuzz *fuzz, const uint8_t *record)
{
    uint16_t where, value;

    memcpy(&where, record + 1, 2);
    memcpy(&value, record + 3, 2);
    vmm_gpa_t gpa = RINGS + where % (QUEUES * RING);
    unsigned queue = where % QUEUES;
    switch (record[0] % ACTIONS) {
    case STORE_16:
        vmm_memory_store_u16(fuzz->memory, gpa, value);
        break;
    case STORE_64: /* addresses: low, or near the top */
        vmm_memory_store_u64(fuzz->memory, gpa & ~7ULL,
                             (uint64_t)(int64_t)(int16_t)value);
        break;
    case DESCRIPTOR:
        describe(fuzz, queue, where >> 8 & 3, value & 0x3fff, where & 0xfc00,
                 value >> 14);
        break;
    case OFFER:
        offer(fuzz, queue, value % (SIZE + 1));
        break;
    case NOTIFY:
        put(fuzz, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
        step_loop(fuzz);
        break;
    case PAGES:
        give_pages(fuzz, where, value);
        break;
    case ASK:
        ask(fuzz);
        step_loop(fuzz);
        break;
    case SET:
        vmm_virtio_balloon_set(fuzz->virtio, value);
        break;
    case RESET:
        bring_up(fuzz);
        break;
    case CONFIG:
        use_config(fuzz, where, value);
        break;
    }
}

/* Mapping memory takes longer than a run: it is made once. */
static struct vmm_memory *the_memory(void)
{
    static const struct vmm_memory_range ranges[] = {{0, RAM}};
    static struct vmm_memory *memory;
    struct vmm_memory_config config = {.ranges = ranges, .range_count = 1};

    if (!memory)
        REQUIRE(!vmm_memory_new(&config, &memory, NULL));
    REQUIRE(!vmm_memory_fill(memory, 0, 0, RAM));
    return memory;
}

static void begin(struct fuzz *fuzz)
{
    struct vmm_irq_line line = {NULL, NULL};

    fuzz->memory = the_memory();
    REQUIRE(!vmm_loop_new(&fuzz->loop, NULL));
    struct vmm_virtio_balloon_config config = {.memory = fuzz->memory,
                                               .loop = fuzz->loop,
                                               .deflate_on_oom = true,
                                               .reporting = true,
                                               .changed = on_changed,
                                               .context = fuzz};
    REQUIRE(!vmm_virtio_balloon_new(&config, &fuzz->virtio, NULL));
    REQUIRE(!vmm_virtio_mmio_new(vmm_virtio_ref(fuzz->virtio), &line,
                                 &fuzz->device, NULL));
    bring_up(fuzz);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {0};

    if (size < 1)
        return 0;
    fuzz.features = (uint32_t)(data[0] & 3) << VIRTIO_RING_F_INDIRECT_DESC |
                    (data[0] >> 1 & 0x26);
    begin(&fuzz);
    for (data++, size--; size >= RECORD; data += RECORD, size -= RECORD)
        step(&fuzz, data);
    vmm_device_unref(fuzz.device);
    vmm_virtio_unref(fuzz.virtio);
    vmm_loop_free(fuzz.loop);
    return 0;
}
