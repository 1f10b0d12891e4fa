/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What transports ask of a virtio device.  Each call takes its lock. */
#ifndef VMM_VIRTIO_DEVICE_H
#define VMM_VIRTIO_DEVICE_H

#include <vmm/virtio.h>

struct virtio_queue {
    struct vmm_virtio *virtio;
    unsigned index;
    struct vmm_virtq *ring;
    struct vmm_virtq_layout layout; /* as the driver sets it up */
    bool ready;
    int notify_fd;
    struct vmm_watch *watch;
};

/* Connect the transport.  Once. */
void virtio_connect(struct vmm_virtio *virtio,
                    const struct vmm_virtio_interrupt *interrupt);

uint32_t virtio_offered(const struct vmm_virtio *virtio, uint32_t select);
/* Ignored once FEATURES_OK is set. */
void virtio_accept(struct vmm_virtio *virtio, uint32_t select, uint32_t value);
uint32_t virtio_accepted(struct vmm_virtio *virtio, uint32_t select);

/* A write of 0 resets; bits are added, never taken away (section 2.1). */
void virtio_set_status(struct vmm_virtio *virtio, uint8_t status);
uint8_t virtio_status(struct vmm_virtio *virtio);
void virtio_reset(struct vmm_virtio *virtio);

/* A register that lays a queue out. */
enum virtio_layout {
    VIRTIO_SIZE,
    VIRTIO_DESC_LOW,
    VIRTIO_DESC_HIGH,
    VIRTIO_AVAIL_LOW,
    VIRTIO_AVAIL_HIGH,
    VIRTIO_USED_LOW,
    VIRTIO_USED_HIGH,
};
/* Ignored when the queue is enabled, the driver is ready, or there is no such
 * queue. */
void virtio_lay_out(struct vmm_virtio *virtio, unsigned queue,
                    enum virtio_layout part, uint32_t value);
/* 0 when there is no such queue. */
uint16_t virtio_queue_size_max(const struct vmm_virtio *virtio, unsigned queue);
void virtio_enable_queue(struct vmm_virtio *virtio, unsigned queue);
void virtio_disable_queue(struct vmm_virtio *virtio, unsigned queue);
bool virtio_queue_ready(struct vmm_virtio *virtio, unsigned queue);
struct vmm_virtq_layout virtio_queue_layout(struct vmm_virtio *virtio,
                                            unsigned queue);

/* Interrupt the driver for a queue, whether it wants that or not.  Lock
 * held. */
void virtio_interrupt_queue(struct vmm_virtio *virtio, unsigned queue);

/* The eventfd by which another process does so, or -1.  Lock held. */
int virtio_interrupt_fd(const struct vmm_virtio *virtio, unsigned queue);
/* The transport: those eventfds may be others by now. */
void virtio_rewire(struct vmm_virtio *virtio);

/* Any offset and length: what is outside reads as zeros. */
void virtio_read_config(struct vmm_virtio *virtio, uint64_t offset, void *bytes,
                        uint32_t len);
void virtio_write_config(struct vmm_virtio *virtio, uint64_t offset,
                         const void *bytes, uint32_t len);
uint8_t virtio_generation(struct vmm_virtio *virtio);

#endif
