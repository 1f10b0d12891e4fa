/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A virtio device that gives buffers back, and notes what it is asked. */
#ifndef VIRTIO_ECHO_H
#define VIRTIO_ECHO_H

#include <errno.h>
#include <stdlib.h>

#include "virtio_driver.h"

#define ECHO_QUEUES 2

struct echo {
    struct vmm_virtio virtio;
    unsigned starts, stops, served;
    bool refuses;
    uint8_t config[6];
};

static struct echo *echo_of(struct vmm_virtio *virtio)
{
    return (struct echo *)virtio;
}

static int echo_start(struct vmm_virtio *virtio)
{
    echo_of(virtio)->starts++;
    return echo_of(virtio)->refuses ? -EIO : 0;
}

static void echo_stop(struct vmm_virtio *virtio)
{
    echo_of(virtio)->stops++;
}

static bool echo_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, queue);
    struct vmm_chain *chain;

    echo_of(virtio)->served++;
    while (vmm_virtq_pop(ring, &chain) > 0)
        vmm_virtq_push(chain, 0);
    vmm_virtio_signal(virtio, queue);
    return vmm_virtq_arm(ring);
}

static void echo_read(struct vmm_virtio *virtio, uint32_t offset, void *bytes,
                      uint32_t len)
{
    memcpy(bytes, echo_of(virtio)->config + offset, len);
}

static void echo_write(struct vmm_virtio *virtio, uint32_t offset,
                       const void *bytes, uint32_t len)
{
    memcpy(echo_of(virtio)->config + offset, bytes, len);
}

static void echo_destroy(struct vmm_virtio *virtio)
{
    free(virtio);
}

static const struct vmm_virtio_ops echo_ops = {
    .name = "echo",
    .id = 42,
    .start = echo_start,
    .stop = echo_stop,
    .serve = echo_serve,
    .read_config = echo_read,
    .write_config = echo_write,
    .destroy = echo_destroy,
};

static struct vmm_virtio *echo_new(struct host *h)
{
    static const uint16_t sizes[ECHO_QUEUES] = {RING_SIZE, 16};
    struct vmm_virtio_config config = {.memory = h->driver.memory,
                                       .loop = h->loop,
                                       .features = 1 << 5,
                                       .queue_count = ECHO_QUEUES,
                                       .queue_sizes = sizes,
                                       .config_bytes = 6};
    struct echo *echo = calloc(1, sizeof(*echo));
    struct vmm_error err;

    if (vmm_virtio_init(&echo->virtio, &echo_ops, &config, &err))
        fail_msg("%s", err.text);
    return &echo->virtio;
}

static struct echo *echo_in(struct host *h)
{
    return echo_of(h->virtio);
}

/* A buffer goes round. */
static void go_round(struct host *h)
{
    uint32_t id, len;

    driver_offer_buffer(&h->driver, 1, DATA, 4, 0);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_true(driver_collect(&h->driver, &id, &len));
    assert_int_equal(id, 1);
}

/* And the driver is interrupted, once. */
static inline void assert_works(struct host *h)
{
    unsigned pulses = h->wire.pulses;

    go_round(h);
    assert_int_equal(h->wire.pulses, pulses + 1);
}

#endif
