/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the network device: the input is what a driver does to its queues and
 * what a backend has for it, with faults and limits in between; frames that
 * come out are whole.
 *
 * Input: a byte of features and backend, then records of 6 bytes: what to do,
 * a descriptor, and two values of 2 bytes.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/bus.h>
#include <vmm/net_fault.h>
#include <vmm/virtio_net.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition))                                                      \
            abort();                                                           \
    } while (0)

#define SIZE   4u
#define RAM    0x30000u
#define RINGS  0x1000u /* a page a queue */
#define AVAIL  0x400u
#define USED   0x800u
#define DATA   0x8000u
#define PAIRS  2u /* at the most; then queue 4 is for control */
#define RECORD 6
#define BASE   0xd0000000u

enum {
    DESC,
    HEADER,
    OFFER,
    NOTIFY,
    FRAMES,
    FULL,
    LINK,
    RESET,
    CONFIG,
    FAULT,
    LIMIT,
    ACTIONS
};

struct backend {
    struct vmm_net net;
    struct fuzz *fuzz;
};

struct fuzz {
    struct backend backends[PAIRS];
    unsigned pairs;
    struct vmm_memory *memory;
    struct vmm_loop *loop;
    struct vmm_bus *bus;
    struct vmm_virtio *virtio;
    uint32_t features;
    bool full;
    uint8_t frame[70000];
    size_t len;
    unsigned frames;
};

/* ---- the backend ---- */

static struct fuzz *fuzz_of(struct vmm_net *net)
{
    return ((struct backend *)net)->fuzz;
}

static int net_open(struct vmm_net *net, struct vmm_loop *loop,
                    const struct vmm_net_events *events, struct vmm_error *err)
{
    (void)net, (void)loop, (void)events, (void)err;
    return 0;
}

static int net_start(struct vmm_net *net, unsigned offloads)
{
    REQUIRE(net->header || !offloads);
    return 0;
}

static void net_nothing(struct vmm_net *net)
{
    (void)net;
}

static int net_send(struct vmm_net *net, const struct iovec *frame, int count)
{
    size_t len = 0, least = VMM_NET_FRAME_MIN, most = VMM_NET_FRAME_MAX;
    unsigned sum = 0;

    for (int i = 0; i < count; len += frame[i++].iov_len)
        for (size_t j = 0; j < frame[i].iov_len; j += 64)
            sum += ((const uint8_t *)frame[i].iov_base)[j];
    if (net->header) {
        least += VMM_NET_HEADER_BYTES;
        most += VMM_NET_HEADER_BYTES;
    }
    REQUIRE(len >= least && len <= most && sum != 0xdeadbeef);
    return fuzz_of(net)->full ? -EAGAIN : 0;
}

static size_t net_peek(struct vmm_net *net, const uint8_t **frame)
{
    *frame = fuzz_of(net)->frame;
    return fuzz_of(net)->frames ? fuzz_of(net)->len : 0;
}

static void net_take(struct vmm_net *net)
{
    REQUIRE(fuzz_of(net)->frames-- > 0);
}

static const struct vmm_net_ops ops = {
    .name = "fuzz",
    .open = net_open,
    .start = net_start,
    .stop = net_nothing,
    .send = net_send,
    .peek = net_peek,
    .take = net_take,
    .close = net_nothing,
    .destroy = net_nothing,
};

/* ---- the driver ---- */

static void put(struct fuzz *fuzz, uint32_t offset, uint32_t value)
{
    vmm_bus_write(fuzz->bus, BASE + offset, (const uint8_t *)&value, 4);
}

static void serve(struct fuzz *fuzz)
{
    for (int i = 0; i < 8 && vmm_loop_step(fuzz->loop, 0) > 0; i++)
        ;
}

static void bring_up(struct fuzz *fuzz)
{
    uint32_t queues = fuzz->pairs > 1 ? 2 * fuzz->pairs + 1 : 2;

    put(fuzz, VIRTIO_MMIO_STATUS, 0);
    vmm_memory_fill(fuzz->memory, RINGS, 0, queues * 0x1000);
    put(fuzz, VIRTIO_MMIO_STATUS, 3);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES, fuzz->features);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES, 1); /* VERSION_1 */
    put(fuzz, VIRTIO_MMIO_STATUS, 11);
    for (uint32_t queue = 0; queue < queues; queue++) {
        uint32_t at = RINGS + 0x1000 * queue;

        put(fuzz, VIRTIO_MMIO_QUEUE_SEL, queue);
        put(fuzz, VIRTIO_MMIO_QUEUE_NUM, SIZE);
        put(fuzz, VIRTIO_MMIO_QUEUE_DESC_LOW, at);
        put(fuzz, VIRTIO_MMIO_QUEUE_AVAIL_LOW, at + AVAIL);
        put(fuzz, VIRTIO_MMIO_QUEUE_USED_LOW, at + USED);
        put(fuzz, VIRTIO_MMIO_QUEUE_READY, 1);
    }
    put(fuzz, VIRTIO_MMIO_STATUS, 15);
}

static void offer(struct fuzz *fuzz, vmm_gpa_t ring, uint16_t head)
{
    uint16_t index;

    REQUIRE(!vmm_memory_load_u16(fuzz->memory, ring + AVAIL + 2, &index));
    vmm_memory_store_u16(fuzz->memory, ring + AVAIL + 4 + 2 * (index % SIZE),
                         head);
    vmm_memory_store_u16(fuzz->memory, ring + AVAIL + 2, (uint16_t)(index + 1));
}

static bool is_rx(vmm_gpa_t ring)
{
    return ring == RINGS || ring == RINGS + 2 * 0x1000;
}

/* The ring that a record is about. */
static vmm_gpa_t ring_of(const struct fuzz *fuzz, const uint8_t *record)
{
    unsigned queue = record[0] >> 7;

    if (fuzz->pairs > 1 && record[1] & 0x20)
        queue = 2 * fuzz->pairs;
    else if (fuzz->pairs > 1 && record[1] & 0x10)
        queue += 2;
    return RINGS + 0x1000u * queue;
}

/* A buffer: the values choose address, length and flags. */
static void describe(struct fuzz *fuzz, vmm_gpa_t ring, uint8_t index,
                     uint16_t a, uint16_t b)
{
    struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags, next;
    } desc = {.gpa = a & 0x8000 ? DATA + (a & 0x7fff) * 8u : DATA + (a & 0xff),
              .len = b & 0x8000 ? (b & 0xfffu) << 5 : b & 0xfffu,
              .flags = b >> 12 & 3,
              .next = (uint16_t)(index + 1) % SIZE};

    if (is_rx(ring) && !(b & 0x4000))
        desc.flags |= 2; /* mostly writable where it should be */
    vmm_memory_write(fuzz->memory, ring + 16u * (index % SIZE), &desc,
                     sizeof(desc));
}

static void config(struct fuzz *fuzz, uint16_t offset)
{
    uint8_t bytes[8] = {0};

    vmm_bus_read(fuzz->bus, BASE + 0x100 + offset % 32, bytes,
                 1u << offset % 4);
    vmm_bus_write(fuzz->bus, BASE + 0x100 + offset % 32, bytes,
                  1u << offset % 4);
}

static void set_fault(struct fuzz *fuzz, unsigned ways, uint16_t a, uint16_t b)
{
    const struct vmm_net_fault_config config = {
        .drop = (b & 7) / 8.,
        .duplicate = (b >> 3 & 7) / 8.,
        .corrupt = (b >> 6 & 7) / 8.,
        .reorder = (b >> 9 & 7) / 8.,
        .delay_ns = b & 0x1000 ? a : 0,
        .seed = a,
    };
    struct vmm_net_fault *fault = NULL;

    if (a & 1)
        REQUIRE(!vmm_net_fault_new(&config, &fault, NULL));
    vmm_virtio_net_set_fault(fuzz->virtio, ways, fault);
    vmm_net_fault_unref(fault);
}

static void step(struct fuzz *fuzz, const uint8_t *record)
{
    vmm_gpa_t ring = ring_of(fuzz, record);
    struct vmm_limit limit;
    uint16_t a, b;

    memcpy(&a, record + 2, 2);
    memcpy(&b, record + 4, 2);
    switch ((record[0] & 0x7f) % ACTIONS) {
    case DESC:
        describe(fuzz, ring, record[1], a, b);
        break;
    case HEADER: /* 4 bytes of one, where frames begin */
        vmm_memory_write(fuzz->memory, DATA + record[1] % 12, record + 2, 4);
        break;
    case OFFER:
        offer(fuzz, ring, record[1] % (SIZE + 1));
        break;
    case NOTIFY:
        put(fuzz, VIRTIO_MMIO_QUEUE_NOTIFY,
            record[1] % (fuzz->pairs > 1 ? 2 * PAIRS + 2 : 3));
        serve(fuzz);
        break;
    case FRAMES:
        fuzz->len = 14 + 12 + (a & 0x8000 ? a & 0x7fffu : a & 0x7ffu);
        fuzz->frames = b % 8;
        for (unsigned i = 0; i < fuzz->pairs; i++)
            vmm_virtio_kick(fuzz->virtio, 2 * i);
        serve(fuzz);
        break;
    case FULL:
        fuzz->full = a & 1;
        vmm_virtio_kick(fuzz->virtio, 1);
        serve(fuzz);
        break;
    case LINK:
        vmm_virtio_net_set_link(fuzz->virtio, a & 1);
        break;
    case RESET:
        bring_up(fuzz);
        break;
    case CONFIG:
        config(fuzz, a);
        break;
    case FAULT:
        set_fault(fuzz, record[1], a, b);
        break;
    case LIMIT:
        limit = (struct vmm_limit){a, b & 0xfff, (uint64_t)(b >> 12) << 20};
        vmm_virtio_net_set_limit(fuzz->virtio, record[1], &limit);
        serve(fuzz);
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

static void on_irq(void *context, bool level)
{
    (void)context, (void)level;
}

static void set_up(struct fuzz *fuzz)
{
    static const uint8_t mac[6] = {2};
    struct vmm_virtio_net_config config = {
        .memory = fuzz->memory, .mac = mac, .mtu = 1500, .pairs = fuzz->pairs};
    struct vmm_irq_line line = {on_irq, NULL};
    struct vmm_device *device;

    REQUIRE(!vmm_loop_new(&fuzz->loop, NULL));
    REQUIRE(!vmm_bus_new("mmio", UINT64_MAX >> 12, &fuzz->bus, NULL));
    config.loop = fuzz->loop;
    for (unsigned i = 0; i < fuzz->pairs; i++)
        config.nets[i] = &fuzz->backends[i].net;
    REQUIRE(!vmm_virtio_net_new(&config, &fuzz->virtio, NULL));
    REQUIRE(!vmm_virtio_mmio_new(vmm_virtio_ref(fuzz->virtio), &line, &device,
                                 NULL));
    REQUIRE(
        !vmm_bus_add(fuzz->bus, BASE, VMM_VIRTIO_MMIO_BYTES, device, 0, NULL));
    vmm_device_unref(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz fuzz;

    if (size < 1)
        return 0;
    fuzz = (struct fuzz){.memory = the_memory()};
    fuzz.pairs = data[0] & 16 ? PAIRS : 1;
    for (unsigned i = 0; i < PAIRS; i++)
        fuzz.backends[i] =
            (struct backend){{.ops = &ops, .header = data[0] & 1}, &fuzz};
    if (data[0] & 2)
        fuzz.features |= 1u << VIRTIO_NET_F_MRG_RXBUF;
    if (data[0] & 4 && data[0] & 1)
        fuzz.features |= 1u << VIRTIO_NET_F_CSUM |
                         1u << VIRTIO_NET_F_HOST_TSO4 |
                         1u << VIRTIO_NET_F_GUEST_CSUM;
    if (data[0] & 8)
        fuzz.features |= 3u << 28; /* indirect, event index */
    if (fuzz.pairs > 1 && !(data[0] & 64))
        fuzz.features |= 1u << VIRTIO_NET_F_CTRL_VQ;
    if (fuzz.pairs > 1 && !(data[0] & 32))
        fuzz.features |= 1u << VIRTIO_NET_F_MQ;
    set_up(&fuzz);
    bring_up(&fuzz);
    for (data++, size--; size >= RECORD; data += RECORD, size -= RECORD)
        step(&fuzz, data);
    vmm_bus_free(fuzz.bus);
    vmm_virtio_unref(fuzz.virtio);
    vmm_loop_free(fuzz.loop);
    return 0;
}
