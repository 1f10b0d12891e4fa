/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The queues of a device, handed to its back end and taken back: memory,
 * rings, and the eventfds by which both sides notify each other. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/vhost_user.h"

/* ---- interrupts -----------------------------------------------------------
 */

/* The back end has used buffers; on the loop's thread.  The fd is watched
 * edge-triggered and not read: it is the back end's as well, which could make
 * it one that blocks, and be the first to read it. */
static void on_call(void *context, uint32_t events)
{
    struct vhost_ring *ring = context;
    struct vmm_virtio *virtio = &ring->vhost->virtio;

    (void)events;
    vmm_virtio_enter(virtio);
    if (ring->started)
        virtio_interrupt_queue(virtio, ring->index);
    vmm_virtio_leave(virtio);
}

int vhost_rings_init(struct vhost_user *vhost, struct vmm_error *err)
{
    int rc = 0;

    for (unsigned i = 0; i < vhost->virtio.queue_count && rc == 0; i++) {
        struct vhost_ring *ring = &vhost->rings[i];

        ring->vhost = vhost;
        ring->index = i;
        ring->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (ring->call_fd < 0)
            return vmm_error_errno(err, "eventfd");
        rc =
            vmm_loop_watch(vhost->virtio.loop, ring->call_fd, EPOLLIN | EPOLLET,
                           on_call, ring, &ring->watch, err);
    }
    return rc;
}

void vhost_rings_fini(struct vhost_user *vhost)
{
    for (unsigned i = 0; i < VHOST_QUEUES_MAX; i++) {
        struct vhost_ring *ring = &vhost->rings[i];

        if (ring->watch)
            vmm_watch_remove(ring->watch);
        ring->watch = NULL;
        if (ring->call_fd >= 0)
            close(ring->call_fd);
        ring->call_fd = -1;
    }
}

/* ---- memory ---------------------------------------------------------------
 */

/*
 * All of the guest's.  The addresses by which the two of us speak of it are the
 * guest's own: the back end only looks them up, and learns none of this
 * process.
 */
static int set_memory(const struct vhost_user *vhost, struct vmm_error *err)
{
    const struct vmm_memory *memory = vhost->virtio.memory;
    struct vhost_memory table = {0};
    int fds[VHOST_REGIONS_MAX];

    /* Checked when the device was made. */
    table.count = (uint32_t)vmm_memory_region_count(memory);
    for (uint32_t i = 0; i < table.count; i++) {
        struct vmm_memory_region region = vmm_memory_region(memory, i);

        table.regions[i] = (struct vhost_region){
            .gpa = region.base,
            .size = region.size_bytes,
            .address = region.base,
            .offset = region.fd_offset,
        };
        fds[i] = region.fd;
    }
    return vhost_tell(&vhost->connection, VHOST_SET_MEM_TABLE, &table,
                      offsetof(struct vhost_memory, regions) +
                          table.count * sizeof(*table.regions),
                      fds, table.count, err);
}

/* ---- rings ----------------------------------------------------------------
 */

static int tell_ring(const struct vhost_ring *ring, enum vhost_request request,
                     uint32_t value, struct vmm_error *err)
{
    const struct vhost_vring vring = {ring->index, value};

    return vhost_tell(&ring->vhost->connection, request, &vring, sizeof(vring),
                      NULL, 0, err);
}

static int tell_fd(const struct vhost_ring *ring, enum vhost_request request,
                   int fd, struct vmm_error *err)
{
    const uint64_t index = ring->index;

    return vhost_tell(&ring->vhost->connection, request, &index, sizeof(index),
                      &fd, 1, err);
}

static int tell_addresses(const struct vhost_ring *ring,
                          const struct vmm_virtq_layout *layout,
                          struct vmm_error *err)
{
    const struct vhost_ring_addresses addresses = {
        .index = ring->index,
        .desc = layout->desc,
        .used = layout->used,
        .avail = layout->avail,
    };

    return vhost_tell(&ring->vhost->connection, VHOST_SET_VRING_ADDR,
                      &addresses, sizeof(addresses), NULL, 0, err);
}

/* Without protocol features a ring is enabled by its kick fd. */
static int enable(const struct vhost_ring *ring, bool on, struct vmm_error *err)
{
    if (!(ring->vhost->features & BIT(VHOST_F_PROTOCOL_FEATURES)))
        return 0;
    return tell_ring(ring, VHOST_SET_VRING_ENABLE, on, err);
}

/* Interrupts that the transport can take from another process cost us
 * nothing. */
static int wire(struct vhost_ring *ring, struct vmm_error *err)
{
    int fd = virtio_interrupt_fd(&ring->vhost->virtio, ring->index);

    ring->lent_fd = fd >= 0 ? fd : ring->call_fd;
    return tell_fd(ring, VHOST_SET_VRING_CALL, ring->lent_fd, err);
}

static int start_ring(struct vhost_ring *ring, struct vmm_error *err)
{
    const struct virtio_queue *queue = &ring->vhost->virtio.queues[ring->index];

    int rc = tell_ring(ring, VHOST_SET_VRING_NUM, queue->layout.size, err);
    if (rc == 0)
        rc = tell_ring(ring, VHOST_SET_VRING_BASE, 0, err);
    if (rc == 0)
        rc = tell_addresses(ring, &queue->layout, err);
    if (rc == 0)
        rc = wire(ring, err);
    if (rc)
        return rc;
    ring->started = true;
    rc = tell_fd(ring, VHOST_SET_VRING_KICK, queue->notify_fd, err);
    return rc ? rc : enable(ring, true, err);
}

int vhost_rings_start(struct vhost_user *vhost, struct vmm_error *err)
{
    const uint64_t protocol = BIT(VHOST_F_PROTOCOL_FEATURES);

    int rc = vhost_tell_u64(
        &vhost->connection, VHOST_SET_FEATURES,
        vhost->virtio.features | (vhost->features & protocol), err);
    if (rc == 0)
        rc = set_memory(vhost, err);
    for (unsigned i = 0; i < vhost->virtio.queue_count && rc == 0; i++)
        if (vhost->virtio.queues[i].ready)
            rc = start_ring(&vhost->rings[i], err);
    return rc;
}

int vhost_rings_rewire(struct vhost_user *vhost, struct vmm_error *err)
{
    int rc = 0;

    for (unsigned i = 0; i < vhost->virtio.queue_count && rc == 0; i++) {
        struct vhost_ring *ring = &vhost->rings[i];
        int fd = virtio_interrupt_fd(&vhost->virtio, i);

        if (ring->started && ring->lent_fd != (fd >= 0 ? fd : ring->call_fd))
            rc = wire(ring, err);
        else
            continue;
        /* What has come to the former meanwhile; once too often does no
         * harm. */
        virtio_interrupt_queue(&vhost->virtio, i);
    }
    return rc;
}

/* A ring is stopped by asking where it has got to; what it has taken out is
 * done by then. */
static int stop_ring(struct vhost_ring *ring, struct vmm_error *err)
{
    const struct vhost_vring vring = {ring->index, 0};
    struct vhost_vring base;

    ring->started = false;
    int rc = enable(ring, false, err);
    if (rc)
        return rc;
    rc = vhost_ask(&ring->vhost->connection, VHOST_GET_VRING_BASE, &vring,
                   sizeof(vring), &base, sizeof(base), err);
    if (rc == 0 && base.index != ring->index)
        rc = vmm_error_set(err, EPROTO,
                           "the daemon has stopped queue %u, not %u",
                           base.index, ring->index);
    return rc;
}

int vhost_rings_stop(struct vhost_user *vhost, struct vmm_error *err)
{
    int rc = 0;

    for (unsigned i = 0; i < vhost->virtio.queue_count; i++) {
        if (vhost->rings[i].started && rc == 0 && !vhost->why.code)
            rc = stop_ring(&vhost->rings[i], err);
        vhost->rings[i].started = false;
    }
    return rc;
}
