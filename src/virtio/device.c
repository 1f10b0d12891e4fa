/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What all virtio devices share: life, status, features, configuration. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "virtio/queues.h"

/* What each of ours can do, by virtq. */
#define COMMON_FEATURES                                                        \
    (BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |              \
     BIT(VIRTIO_RING_F_EVENT_IDX))

/* Lock held. */
static void reset(struct vmm_virtio *virtio)
{
    if (virtio->running && virtio->ops->stop)
        virtio->ops->stop(virtio);
    virtio->running = false;
    virtio_queues_reset(virtio);
    virtio->features = 0;
    virtio->status = 0;
}

/* ---- life -----------------------------------------------------------------
 */

int vmm_virtio_init(struct vmm_virtio *virtio, const struct vmm_virtio_ops *ops,
                    const struct vmm_virtio_config *config,
                    struct vmm_error *err)
{
    vmm_error_clear(err);
    virtio->ops = ops;
    virtio->memory = vmm_memory_ref(config->memory);
    virtio->loop = config->loop;
    virtio->config_bytes = config->config_bytes;
    virtio->offered =
        config->features | (config->external ? 0 : COMMON_FEATURES);
    virtio->references = 1;
    pthread_mutex_init(&virtio->lock, NULL);
    int rc = virtio_queues_init(virtio, config, err);
    if (rc) {
        pthread_mutex_destroy(&virtio->lock);
        vmm_memory_unref(virtio->memory);
    }
    return rc;
}

struct vmm_virtio *vmm_virtio_ref(struct vmm_virtio *virtio)
{
    __atomic_add_fetch(&virtio->references, 1, __ATOMIC_RELAXED);
    return virtio;
}

void vmm_virtio_close(struct vmm_virtio *virtio)
{
    pthread_mutex_lock(&virtio->lock);
    bool open = virtio->loop != NULL;
    reset(virtio);
    virtio->interrupt = (struct vmm_virtio_interrupt){0};
    virtio->loop = NULL;
    pthread_mutex_unlock(&virtio->lock);
    if (!open)
        return;
    virtio_queues_unwatch(virtio);
    if (virtio->ops->close)
        virtio->ops->close(virtio);
}

void vmm_virtio_unref(struct vmm_virtio *virtio)
{
    if (!virtio ||
        __atomic_sub_fetch(&virtio->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vmm_virtio_close(virtio);
    virtio_queues_fini(virtio);
    pthread_mutex_destroy(&virtio->lock);
    vmm_memory_unref(virtio->memory);
    virtio->ops->destroy(virtio);
}

void virtio_connect(struct vmm_virtio *virtio,
                    const struct vmm_virtio_interrupt *interrupt)
{
    pthread_mutex_lock(&virtio->lock);
    virtio->interrupt = *interrupt;
    pthread_mutex_unlock(&virtio->lock);
}

void vmm_virtio_enter(struct vmm_virtio *virtio)
{
    pthread_mutex_lock(&virtio->lock);
}

void vmm_virtio_leave(struct vmm_virtio *virtio)
{
    pthread_mutex_unlock(&virtio->lock);
}

/* ---- features -------------------------------------------------------------
 */

bool vmm_virtio_has(const struct vmm_virtio *virtio, unsigned feature)
{
    return virtio->features >> feature & 1;
}

uint32_t virtio_offered(const struct vmm_virtio *virtio, uint32_t select)
{
    return select < 2 ? (uint32_t)(virtio->offered >> 32 * select) : 0;
}

uint32_t virtio_accepted(struct vmm_virtio *virtio, uint32_t select)
{
    pthread_mutex_lock(&virtio->lock);
    uint64_t features = virtio->features;
    pthread_mutex_unlock(&virtio->lock);
    return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

void virtio_accept(struct vmm_virtio *virtio, uint32_t select, uint32_t value)
{
    if (select >= 2)
        return;
    pthread_mutex_lock(&virtio->lock);
    if (!(virtio->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
        virtio->features &= ~(UINT64_C(0xffffffff) << 32 * select);
        virtio->features |= (uint64_t)value << 32 * select;
    }
    pthread_mutex_unlock(&virtio->lock);
}

/* ---- status ---------------------------------------------------------------
 */

static bool features_are_fine(const struct vmm_virtio *virtio)
{
    return !(virtio->features & ~virtio->offered) &&
           vmm_virtio_has(virtio, VIRTIO_F_VERSION_1);
}

/* A driver that is ready is told to look at status and configuration. */
static void tell_config(struct vmm_virtio *virtio)
{
    if (virtio->status & VIRTIO_CONFIG_S_DRIVER_OK && virtio->interrupt.config)
        virtio->interrupt.config(virtio->interrupt.context);
}

void vmm_virtio_needs_reset(struct vmm_virtio *virtio)
{
    if (virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET)
        return;
    virtio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    tell_config(virtio);
}

/* Lock held. */
static void start(struct vmm_virtio *virtio)
{
    virtio->running = true;
    if (virtio->ops->start && virtio->ops->start(virtio) != 0)
        vmm_virtio_needs_reset(virtio);
    /* Notifications that came before were for nothing. */
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (virtio->queues[i].ready)
            vmm_virtio_kick(virtio, i);
}

void virtio_reset(struct vmm_virtio *virtio)
{
    pthread_mutex_lock(&virtio->lock);
    reset(virtio);
    pthread_mutex_unlock(&virtio->lock);
}

/* Lock held; only adds bits. */
static void add_status(struct vmm_virtio *virtio, uint8_t status)
{
    uint8_t added = status & (uint8_t)~virtio->status;

    if (added & VIRTIO_CONFIG_S_FEATURES_OK && !features_are_fine(virtio))
        added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
    virtio->status |= added;
    if (!(added & VIRTIO_CONFIG_S_DRIVER_OK))
        return;
    if (virtio->status & VIRTIO_CONFIG_S_FEATURES_OK)
        start(virtio);
    else
        virtio->status &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
}

void virtio_set_status(struct vmm_virtio *virtio, uint8_t status)
{
    pthread_mutex_lock(&virtio->lock);
    if (status == 0)
        reset(virtio);
    else /* only the device says that it needs a reset */
        add_status(virtio, status & (uint8_t)~VIRTIO_CONFIG_S_NEEDS_RESET);
    pthread_mutex_unlock(&virtio->lock);
}

uint8_t virtio_status(struct vmm_virtio *virtio)
{
    pthread_mutex_lock(&virtio->lock);
    uint8_t status = virtio->status;
    pthread_mutex_unlock(&virtio->lock);
    return status;
}

/* ---- configuration space --------------------------------------------------
 */

/* How much of [offset, offset + len) the device has. */
static uint32_t within(const struct vmm_virtio *virtio, uint64_t offset,
                       uint32_t len)
{
    if (offset >= virtio->config_bytes)
        return 0;
    return (uint32_t)min_u64(len, virtio->config_bytes - offset);
}

void virtio_read_config(struct vmm_virtio *virtio, uint64_t offset, void *bytes,
                        uint32_t len)
{
    uint32_t there = within(virtio, offset, len);

    memset(bytes, 0, len);
    pthread_mutex_lock(&virtio->lock);
    if (there && virtio->ops->read_config)
        virtio->ops->read_config(virtio, (uint32_t)offset, bytes, there);
    pthread_mutex_unlock(&virtio->lock);
}

void virtio_write_config(struct vmm_virtio *virtio, uint64_t offset,
                         const void *bytes, uint32_t len)
{
    uint32_t there = within(virtio, offset, len);

    pthread_mutex_lock(&virtio->lock);
    if (there && virtio->ops->write_config)
        virtio->ops->write_config(virtio, (uint32_t)offset, bytes, there);
    pthread_mutex_unlock(&virtio->lock);
}

uint8_t virtio_generation(struct vmm_virtio *virtio)
{
    pthread_mutex_lock(&virtio->lock);
    uint8_t generation = virtio->generation;
    pthread_mutex_unlock(&virtio->lock);
    return generation;
}

void vmm_virtio_config_changed(struct vmm_virtio *virtio)
{
    virtio->generation++;
    tell_config(virtio);
}
