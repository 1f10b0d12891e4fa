/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The queues of a virtio device: set up by the driver, served on the loop. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "virtio/queues.h"

/* ---- notifications --------------------------------------------------------
 */

/* A queue that was notified, on the loop's thread.  A driver that never stops
 * putting in chains gets one turn after the other, and so do its neighbours.
 * The fd is watched edge-triggered: each write to it is news, and nobody has to
 * read it (it would take a guest ages to have it full). */
static void on_notify(void *context, uint32_t events)
{
    struct virtio_queue *queue = context;
    struct vmm_virtio *virtio = queue->virtio;

    (void)events;
    pthread_mutex_lock(&virtio->lock);
    if (virtio->running && queue->ready &&
        !(virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
        bool more = virtio->ops->serve(virtio, queue->index);

        if (vmm_virtq_broken(queue->ring))
            vmm_virtio_needs_reset(virtio);
        else if (more)
            eventfd_write(queue->notify_fd, 1);
    }
    pthread_mutex_unlock(&virtio->lock);
}

void vmm_virtio_kick(struct vmm_virtio *virtio, unsigned queue)
{
    if (queue < virtio->queue_count)
        eventfd_write(virtio->queues[queue].notify_fd, 1);
}

int vmm_virtio_notify_fd(const struct vmm_virtio *virtio, unsigned queue)
{
    return queue < virtio->queue_count ? virtio->queues[queue].notify_fd : -1;
}

void vmm_virtio_signal(struct vmm_virtio *virtio, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, queue);

    if (ring && vmm_virtq_should_signal(ring))
        virtio_interrupt_queue(virtio, queue);
}

void virtio_interrupt_queue(struct vmm_virtio *virtio, unsigned queue)
{
    if (virtio->interrupt.queue)
        virtio->interrupt.queue(virtio->interrupt.context, queue);
}

int virtio_interrupt_fd(const struct vmm_virtio *virtio, unsigned queue)
{
    const struct vmm_virtio_interrupt *interrupt = &virtio->interrupt;

    return interrupt->fd ? interrupt->fd(interrupt->context, queue) : -1;
}

void virtio_rewire(struct vmm_virtio *virtio)
{
    pthread_mutex_lock(&virtio->lock);
    if (virtio->running && virtio->ops->rewire)
        virtio->ops->rewire(virtio);
    pthread_mutex_unlock(&virtio->lock);
}

/* ---- life -----------------------------------------------------------------
 */

static int queue_init(struct vmm_virtio *virtio, unsigned index, uint16_t size,
                      bool external, struct vmm_error *err)
{
    struct virtio_queue *queue = &virtio->queues[index];

    queue->virtio = virtio;
    queue->index = index;
    queue->notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->notify_fd < 0)
        return vmm_error_errno(err, "%s: eventfd", virtio->ops->name);
    int rc = vmm_virtq_new(virtio->memory, size, &queue->ring, err);
    if (rc || external)
        return rc;
    return vmm_loop_watch(virtio->loop, queue->notify_fd, EPOLLIN | EPOLLET,
                          on_notify, queue, &queue->watch, err);
}

int virtio_queues_init(struct vmm_virtio *virtio,
                       const struct vmm_virtio_config *config,
                       struct vmm_error *err)
{
    int rc = 0;

    if (config->queue_count > VMM_VIRTIO_QUEUES_MAX)
        return vmm_error_set(err, EINVAL, "%s: %u queues, up to %d",
                             virtio->ops->name, config->queue_count,
                             VMM_VIRTIO_QUEUES_MAX);
    virtio->queues = calloc(config->queue_count, sizeof(*virtio->queues));
    if (!virtio->queues)
        return vmm_error_set(err, ENOMEM, "%s: out of memory",
                             virtio->ops->name);
    virtio->queue_count = config->queue_count;
    for (unsigned i = 0; i < config->queue_count; i++)
        virtio->queues[i].notify_fd = -1;
    for (unsigned i = 0; i < config->queue_count && rc == 0; i++)
        rc = queue_init(virtio, i, config->queue_sizes[i], config->external,
                        err);
    if (rc) {
        virtio_queues_unwatch(virtio);
        virtio_queues_fini(virtio);
        return rc;
    }
    virtio_queues_reset(virtio);
    return 0;
}

void virtio_queues_unwatch(struct vmm_virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        if (virtio->queues[i].watch)
            vmm_watch_remove(virtio->queues[i].watch);
        virtio->queues[i].watch = NULL;
    }
}

void virtio_queues_fini(struct vmm_virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        vmm_virtq_free(virtio->queues[i].ring);
        if (virtio->queues[i].notify_fd >= 0)
            close(virtio->queues[i].notify_fd);
    }
    free(virtio->queues);
    virtio->queues = NULL;
    virtio->queue_count = 0;
}

void virtio_queues_reset(struct vmm_virtio *virtio)
{
    for (unsigned i = 0; i < virtio->queue_count; i++) {
        struct virtio_queue *queue = &virtio->queues[i];

        vmm_virtq_disable(queue->ring);
        queue->ready = false;
        queue->layout =
            (struct vmm_virtq_layout){.size = vmm_virtq_size_max(queue->ring)};
    }
}

/* ---- set-up by the driver -------------------------------------------------
 */

static struct virtio_queue *find(const struct vmm_virtio *virtio,
                                 unsigned queue)
{
    return queue < virtio->queue_count ? &virtio->queues[queue] : NULL;
}

struct vmm_virtq *vmm_virtio_queue(struct vmm_virtio *virtio, unsigned queue)
{
    struct virtio_queue *q = find(virtio, queue);

    return q && q->ready ? q->ring : NULL;
}

uint16_t virtio_queue_size_max(const struct vmm_virtio *virtio, unsigned queue)
{
    struct virtio_queue *q = find(virtio, queue);

    return q ? vmm_virtq_size_max(q->ring) : 0;
}

/* A driver that is ready has no more to change until it resets. */
static bool is_open(const struct vmm_virtio *virtio)
{
    return !(virtio->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void set_low(vmm_gpa_t *address, uint32_t value)
{
    *address = (*address & ~UINT64_C(0xffffffff)) | value;
}

static void set_high(vmm_gpa_t *address, uint32_t value)
{
    *address = (*address & 0xffffffff) | (uint64_t)value << 32;
}

static void change(struct vmm_virtq_layout *layout, enum virtio_layout part,
                   uint32_t value)
{
    switch (part) {
    case VIRTIO_SIZE:
        layout->size = value > UINT16_MAX ? 0 : (uint16_t)value;
        break;
    case VIRTIO_DESC_LOW:
        set_low(&layout->desc, value);
        break;
    case VIRTIO_DESC_HIGH:
        set_high(&layout->desc, value);
        break;
    case VIRTIO_AVAIL_LOW:
        set_low(&layout->avail, value);
        break;
    case VIRTIO_AVAIL_HIGH:
        set_high(&layout->avail, value);
        break;
    case VIRTIO_USED_LOW:
        set_low(&layout->used, value);
        break;
    case VIRTIO_USED_HIGH:
        set_high(&layout->used, value);
        break;
    }
}

void virtio_lay_out(struct vmm_virtio *virtio, unsigned queue,
                    enum virtio_layout part, uint32_t value)
{
    pthread_mutex_lock(&virtio->lock);
    struct virtio_queue *q = find(virtio, queue);
    if (q && !q->ready && is_open(virtio))
        change(&q->layout, part, value);
    pthread_mutex_unlock(&virtio->lock);
}

void virtio_enable_queue(struct vmm_virtio *virtio, unsigned queue)
{
    pthread_mutex_lock(&virtio->lock);
    struct virtio_queue *q = find(virtio, queue);
    /* Before FEATURES_OK it is not known how its rings look. */
    if (q && !q->ready && is_open(virtio) &&
        virtio->status & VIRTIO_CONFIG_S_FEATURES_OK) {
        q->ready =
            vmm_virtq_enable(q->ring, &q->layout, virtio->features, NULL) == 0;
        if (!q->ready)
            vmm_virtio_needs_reset(virtio);
    }
    pthread_mutex_unlock(&virtio->lock);
}

void virtio_disable_queue(struct vmm_virtio *virtio, unsigned queue)
{
    pthread_mutex_lock(&virtio->lock);
    struct virtio_queue *q = find(virtio, queue);
    if (q && is_open(virtio)) {
        vmm_virtq_disable(q->ring);
        q->ready = false;
    }
    pthread_mutex_unlock(&virtio->lock);
}

bool virtio_queue_ready(struct vmm_virtio *virtio, unsigned queue)
{
    pthread_mutex_lock(&virtio->lock);
    struct virtio_queue *q = find(virtio, queue);
    bool ready = q && q->ready;
    pthread_mutex_unlock(&virtio->lock);
    return ready;
}

struct vmm_virtq_layout virtio_queue_layout(struct vmm_virtio *virtio,
                                            unsigned queue)
{
    struct vmm_virtq_layout layout = {0};

    pthread_mutex_lock(&virtio->lock);
    struct virtio_queue *q = find(virtio, queue);
    if (q)
        layout = q->layout;
    pthread_mutex_unlock(&virtio->lock);
    return layout;
}
