/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A driver of network devices with both queues, and a backend that tests are.
 */
#ifndef NET_DRIVER_H
#define NET_DRIVER_H

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#include <vmm/virtio_net.h>

#include "virtio_driver.h"

#define NET_RING   16
#define NET_QUEUES 7       /* at the most */
#define NET_BASE   0x1000u /* a page a queue: descriptors, ring, ring */
#define NET_AVAIL  0x400u
#define NET_USED   0x800u
#define NET_DATA   0x8000u /* up to RAM_END */
#define HEADER     12u
#define RX         0
#define TX         1
#define F(name)    (UINT64_C(1) << VIRTIO_NET_F_##name)

/* ---- a backend ---- */

struct fake {
    struct vmm_net net;
    struct vmm_net_events events;
    bool full, opened, running, closed, fails;
    unsigned offloads, flushes;
    unsigned sent; /* frames */
    size_t len;    /* of the last one */
    uint8_t last[80000];
    uint8_t frame[80000]; /* what it has for the guest ... */
    size_t frame_len;     /* ... this long ... */
    unsigned frames;      /* ... so often */
    bool *gone;           /* NULL: nobody wants to know */
};

static struct fake *fake_of(struct vmm_net *net)
{
    return (struct fake *)net;
}

static int fake_open(struct vmm_net *net, struct vmm_loop *loop,
                     const struct vmm_net_events *events, struct vmm_error *err)
{
    (void)loop;
    (void)err;
    fake_of(net)->events = *events;
    fake_of(net)->opened = true;
    return 0;
}

static int fake_start(struct vmm_net *net, unsigned offloads)
{
    fake_of(net)->running = true;
    fake_of(net)->offloads = offloads;
    return fake_of(net)->fails ? -EIO : 0;
}

static void fake_stop(struct vmm_net *net)
{
    fake_of(net)->running = false;
}

static int fake_send(struct vmm_net *net, const struct iovec *frame, int count)
{
    struct fake *fake = fake_of(net);

    if (fake->full)
        return -EAGAIN;
    fake->len = 0;
    for (int i = 0; i < count; i++) {
        memcpy(fake->last + fake->len, frame[i].iov_base, frame[i].iov_len);
        fake->len += frame[i].iov_len;
    }
    fake->sent++;
    return 0;
}

static void fake_flush(struct vmm_net *net)
{
    fake_of(net)->flushes++;
}

static size_t fake_peek(struct vmm_net *net, const uint8_t **frame)
{
    *frame = fake_of(net)->frame;
    return fake_of(net)->frames ? fake_of(net)->frame_len : 0;
}

static void fake_take(struct vmm_net *net)
{
    fake_of(net)->frames--;
}

static void fake_close(struct vmm_net *net)
{
    fake_of(net)->closed = true;
}

static void fake_destroy(struct vmm_net *net)
{
    if (fake_of(net)->gone)
        *fake_of(net)->gone = fake_of(net)->closed;
    free(fake_of(net));
}

static const struct vmm_net_ops fake_ops = {
    .name = "fake",
    .open = fake_open,
    .start = fake_start,
    .stop = fake_stop,
    .send = fake_send,
    .flush = fake_flush,
    .peek = fake_peek,
    .take = fake_take,
    .close = fake_close,
    .destroy = fake_destroy,
};

static inline struct fake *fake_new(bool header)
{
    struct fake *fake = calloc(1, sizeof(*fake));

    fake->net.ops = &fake_ops;
    fake->net.header = header;
    return fake;
}

/* ---- the driver ---- */

struct net_host {
    struct host host;
    struct fake *fake; /* NULL: another backend */
    unsigned queues;   /* that the driver uses */
    uint16_t next[NET_QUEUES], seen[NET_QUEUES];
};

static vmm_gpa_t ring_at(unsigned queue)
{
    return NET_BASE + 0x1000u * queue;
}

static void net_offer(struct net_host *n, unsigned queue, uint16_t head)
{
    struct vmm_memory *memory = n->host.driver.memory;
    vmm_gpa_t avail = ring_at(queue) + NET_AVAIL;

    MUST(vmm_memory_store_u16(
        memory, avail + 4 + 2u * (n->next[queue] % NET_RING), head));
    n->next[queue]++;
    MUST(vmm_memory_store_release_u16(memory, avail + 2, n->next[queue]));
}

static void net_desc(struct net_host *n, unsigned queue, uint16_t index,
                     uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
    driver_desc_at(&n->host.driver, ring_at(queue), index, gpa, len, flags,
                   next);
}

/* Offer one buffer of one descriptor. */
static void net_offer_buffer(struct net_host *n, unsigned queue, uint16_t index,
                             uint64_t gpa, uint32_t len)
{
    net_desc(n, queue, index, gpa, len,
             queue % 2 == RX ? VRING_DESC_F_WRITE : 0, 0);
    net_offer(n, queue, index);
}

static bool net_collect(struct net_host *n, unsigned queue, uint32_t *id,
                        uint32_t *len)
{
    struct vmm_memory *memory = n->host.driver.memory;
    vmm_gpa_t used = ring_at(queue) + NET_USED;
    vmm_gpa_t slot = used + 4 + 8u * (n->seen[queue] % NET_RING);
    uint16_t index;

    MUST(vmm_memory_load_acquire_u16(memory, used + 2, &index));
    if (index == n->seen[queue])
        return false;
    MUST(vmm_memory_load_u32(memory, slot, id));
    MUST(vmm_memory_load_u32(memory, slot + 4, len));
    n->seen[queue]++;
    return true;
}

static void net_notify(struct net_host *n, unsigned queue)
{
    put(&n->host, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    serve(&n->host);
}

/* Bring the device up with its queues; 0 or the status that is wrong. */
static void net_bring_up(struct net_host *n, uint64_t features)
{
    struct host *h = &n->host;

    memset(n->next, 0, sizeof(n->next));
    memset(n->seen, 0, sizeof(n->seen));
    MUST(vmm_memory_fill(h->driver.memory, NET_BASE, 0, 0x1000u * n->queues));
    negotiate(h, VERSION_1 | features);
    for (unsigned queue = 0; queue < n->queues; queue++) {
        vmm_gpa_t at = ring_at(queue);

        put(h, VIRTIO_MMIO_QUEUE_SEL, queue);
        put(h, VIRTIO_MMIO_QUEUE_NUM, NET_RING);
        put(h, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)at);
        put(h, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)(at + NET_AVAIL));
        put(h, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)(at + NET_USED));
        put(h, VIRTIO_MMIO_QUEUE_READY, 1);
    }
    drive_ok(h);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    serve(h);
}

static const uint8_t the_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

static void net_set_up_config(struct net_host *n,
                              struct vmm_virtio_net_config *config)
{
    struct vmm_virtio *virtio;
    struct vmm_error err;

    *n = (struct net_host){.queues = 2};
    host_set_up(&n->host);
    config->memory = n->host.driver.memory;
    config->loop = n->host.loop;
    if (vmm_virtio_net_new(config, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&n->host, virtio);
}

static inline void net_set_up(struct net_host *n, struct vmm_net *net)
{
    struct vmm_virtio_net_config config = {
        .nets = {net}, .pairs = 1, .mac = the_mac, .mtu = 1400};

    net_set_up_config(n, &config);
}

/* A frame of len bytes behind a header, at NET_DATA. */
static void put_frame(struct net_host *n,
                      const struct virtio_net_hdr_v1 *header, size_t len)
{
    struct vmm_memory *memory = n->host.driver.memory;

    MUST(vmm_memory_write(memory, NET_DATA, header, HEADER));
    for (size_t i = 0; i < len && NET_DATA + HEADER + i + 1 < RAM_END; i += 2)
        MUST(vmm_memory_store_u16(memory, NET_DATA + HEADER + i,
                                  (uint16_t)(i * 7 + 1)));
}

#endif
