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
#include <linux/virtio_net.h>

#include <vmm/net_fault.h>
#include <vmm/virtio_net.h>

#include "virtio_input.h"

#define RAM   0x30000u
#define DATA  0x8000u
#define PAIRS 2u /* at the most; then queue 4 is for control */
#define BYTES 6  /* of a record */

enum {
    BUFFER,
    HEADER,
    GIVE,
    KNOCK,
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
    struct guest guest;
    struct backend backends[PAIRS];
    unsigned pairs;
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

/* With rings that are empty. */
static void reset(struct guest *guest)
{
    vmm_memory_fill(guest->memory, RINGS, 0, guest->queues * RING);
    bring_up(guest);
}

/* The queue that a record is about. */
static unsigned queue_of(const struct fuzz *fuzz, const uint8_t *record)
{
    unsigned queue = record[0] >> 7;

    if (fuzz->pairs > 1 && record[1] & 0x20)
        queue = 2 * fuzz->pairs;
    else if (fuzz->pairs > 1 && record[1] & 0x10)
        queue += 2;
    return queue;
}

/* A buffer: the values choose address, length and flags. */
static void buffer(struct guest *guest, unsigned queue, uint8_t index,
                   uint16_t a, uint16_t b)
{
    uint64_t gpa = a & 0x8000 ? DATA + (a & 0x7fff) * 8u : DATA + (a & 0xff);
    uint32_t len = b & 0x8000 ? (b & 0xfffu) << 5 : b & 0xfffu;
    uint16_t flags = b >> 12 & 3;

    if ((queue == 0 || queue == 2) && !(b & 0x4000))
        flags |= VRING_DESC_F_WRITE; /* mostly where it should be */
    describe(guest, queue, index % SIZE, gpa, len, flags);
}

static void config(struct guest *guest, uint16_t offset)
{
    uint64_t at = BASE + VIRTIO_MMIO_CONFIG + offset % 32;
    uint8_t bytes[8] = {0};

    vmm_bus_read(guest->bus, at, bytes, 1u << offset % 4);
    vmm_bus_write(guest->bus, at, bytes, 1u << offset % 4);
}

static void set_fault(struct guest *guest, unsigned ways, uint16_t a,
                      uint16_t b)
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
    vmm_virtio_net_set_fault(guest->virtio, ways, fault);
    vmm_net_fault_unref(fault);
}

static void step(struct fuzz *fuzz, const uint8_t *record)
{
    struct guest *guest = &fuzz->guest;
    unsigned queue = queue_of(fuzz, record);
    struct vmm_limit limit;
    uint16_t a, b;

    memcpy(&a, record + 2, 2);
    memcpy(&b, record + 4, 2);
    switch ((record[0] & 0x7f) % ACTIONS) {
    case BUFFER:
        buffer(guest, queue, record[1], a, b);
        break;
    case HEADER: /* 4 bytes of one, where frames begin */
        vmm_memory_write(guest->memory, DATA + record[1] % 12, record + 2, 4);
        break;
    case GIVE:
        offer(guest, queue, record[1] % (SIZE + 1));
        break;
    case KNOCK: /* also of queues that there are not */
        notify(guest, record[1] % (fuzz->pairs > 1 ? 2 * PAIRS + 2 : 3));
        break;
    case FRAMES:
        fuzz->len = 14 + 12 + (a & 0x8000 ? a & 0x7fffu : a & 0x7ffu);
        fuzz->frames = b % 8;
        for (unsigned i = 0; i < fuzz->pairs; i++)
            vmm_virtio_kick(guest->virtio, 2 * i);
        serve(guest);
        break;
    case FULL:
        fuzz->full = a & 1;
        vmm_virtio_kick(guest->virtio, 1);
        serve(guest);
        break;
    case LINK:
        vmm_virtio_net_set_link(guest->virtio, a & 1);
        break;
    case RESET:
        reset(guest);
        break;
    case CONFIG:
        config(guest, a);
        break;
    case FAULT:
        set_fault(guest, record[1], a, b);
        break;
    case LIMIT:
        limit = (struct vmm_limit){a, b & 0xfff, (uint64_t)(b >> 12) << 20};
        vmm_virtio_net_set_limit(guest->virtio, record[1], &limit);
        serve(guest);
        break;
    }
}

static void set_up(struct fuzz *fuzz)
{
    static const uint8_t mac[6] = {2};
    struct guest *guest = &fuzz->guest;

    guest_begin(guest, RAM);
    struct vmm_virtio_net_config config = {.memory = guest->memory,
                                           .loop = guest->loop,
                                           .mac = mac,
                                           .mtu = 1500,
                                           .pairs = fuzz->pairs};
    for (unsigned i = 0; i < fuzz->pairs; i++)
        config.nets[i] = &fuzz->backends[i].net;
    REQUIRE(!vmm_virtio_net_new(&config, &guest->virtio, NULL));
    guest_attach(guest);
}

static uint32_t features_of(uint8_t byte, unsigned pairs)
{
    uint32_t features = 0;

    if (byte & 2)
        features |= 1u << VIRTIO_NET_F_MRG_RXBUF;
    if (byte & 4 && byte & 1)
        features |= 1u << VIRTIO_NET_F_CSUM | 1u << VIRTIO_NET_F_HOST_TSO4 |
                    1u << VIRTIO_NET_F_GUEST_CSUM;
    if (byte & 8)
        features |= 3u << 28; /* indirect, event index */
    if (pairs > 1 && !(byte & 64))
        features |= 1u << VIRTIO_NET_F_CTRL_VQ;
    if (pairs > 1 && !(byte & 32))
        features |= 1u << VIRTIO_NET_F_MQ;
    return features;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz fuzz;

    if (size < 1)
        return 0;
    fuzz = (struct fuzz){.pairs = data[0] & 16 ? PAIRS : 1};
    for (unsigned i = 0; i < PAIRS; i++)
        fuzz.backends[i] =
            (struct backend){{.ops = &ops, .header = data[0] & 1}, &fuzz};
    fuzz.guest.queues = fuzz.pairs > 1 ? 2 * fuzz.pairs + 1 : 2;
    fuzz.guest.features = features_of(data[0], fuzz.pairs);
    set_up(&fuzz);
    for (data++, size--; size >= BYTES; data += BYTES, size -= BYTES)
        step(&fuzz, data);
    guest_end(&fuzz.guest);
    return 0;
}
