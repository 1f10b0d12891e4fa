/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The memory balloon's life, its configuration and its queues: virtio 1.2,
 * section 5.5. */
#include "virtio/balloon.h"
#include "base/arith.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

#define QUEUE_SIZE   128
#define CONFIG_BYTES 8 /* num_pages and actual */

void balloon_changed(struct balloon *balloon)
{
    if (balloon->config.changed)
        balloon->config.changed(balloon->config.context);
}

/* ---- queues ---------------------------------------------------------------
 */

static enum balloon_queue balloon_queue_of(const struct balloon *balloon,
                                           unsigned number)
{
    const struct vmm_virtio *virtio = &balloon->virtio;

    if (number < STATS)
        return (enum balloon_queue)number;
    number -= STATS;
    if (vmm_virtio_has(virtio, VIRTIO_BALLOON_F_STATS_VQ) && number-- == 0)
        return STATS;
    if (vmm_virtio_has(virtio, VIRTIO_BALLOON_F_REPORTING) && number == 0)
        return REPORTING;
    return NONE;
}

static bool balloon_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct balloon *balloon = balloon_of(virtio);

    switch (balloon_queue_of(balloon, queue)) {
    case INFLATE:
        return balloon_inflate(balloon, queue);
    case DEFLATE:
        return balloon_deflate(balloon, queue);
    case STATS:
        return balloon_take_stats(balloon, queue);
    case REPORTING:
        return balloon_take_reports(balloon, queue);
    case NONE:
        break;
    }
    return false;
}

static void balloon_stop(struct vmm_virtio *virtio)
{
    struct balloon *balloon = balloon_of(virtio);

    if (balloon->inflating)
        vmm_virtq_push(balloon->inflating, 0);
    if (balloon->stats_buffer)
        vmm_virtq_push(balloon->stats_buffer, 0);
    balloon->inflating = balloon->stats_buffer = NULL;
    memset(balloon->actual, 0, sizeof(balloon->actual));
    balloon_changed(balloon);
}

/* ---- configuration --------------------------------------------------------
 */

static void balloon_read_config(struct vmm_virtio *virtio, uint32_t offset,
                                void *bytes, uint32_t len)
{
    const struct balloon *balloon = balloon_of(virtio);
    uint8_t config[CONFIG_BYTES];

    memcpy(config, balloon->pages, 4);
    memcpy(config + 4, balloon->actual, 4);
    memcpy(bytes, config + offset, len);
}

/* The driver may write `actual` alone, byte by byte if it likes. */
static void balloon_write_config(struct vmm_virtio *virtio, uint32_t offset,
                                 const void *bytes, uint32_t len)
{
    struct balloon *balloon = balloon_of(virtio);
    const uint8_t *from = bytes;

    for (uint32_t i = 0; i < len; i++)
        if (offset + i >= 4)
            balloon->actual[offset + i - 4] = from[i];
    balloon_changed(balloon);
}

void vmm_virtio_balloon_set(struct vmm_virtio *virtio, uint32_t pages)
{
    vmm_virtio_enter(virtio);
    store_le32(balloon_of(virtio)->pages, pages);
    vmm_virtio_config_changed(virtio);
    vmm_virtio_leave(virtio);
}

uint32_t vmm_virtio_balloon_actual(struct vmm_virtio *virtio)
{
    vmm_virtio_enter(virtio);
    uint32_t pages = load_le32(balloon_of(virtio)->actual);
    vmm_virtio_leave(virtio);
    return pages;
}

/* ---- life -----------------------------------------------------------------
 */

static void balloon_close(struct vmm_virtio *virtio)
{
    struct vmm_virtio_balloon_config *config = &balloon_of(virtio)->config;

    vmm_virtio_enter(virtio);
    config->changed = NULL;
    vmm_virtio_leave(virtio);
    if (config->closed)
        config->closed(config->context);
}

static void balloon_destroy(struct vmm_virtio *virtio)
{
    free(balloon_of(virtio));
}

static const struct vmm_virtio_ops balloon_ops = {
    .name = "virtio-balloon",
    .id = VIRTIO_ID_BALLOON,
    .stop = balloon_stop,
    .serve = balloon_serve,
    .read_config = balloon_read_config,
    .write_config = balloon_write_config,
    .close = balloon_close,
    .destroy = balloon_destroy,
};

static uint64_t features_of(const struct vmm_virtio_balloon_config *config)
{
    return BIT(VIRTIO_BALLOON_F_STATS_VQ) |
           (config->deflate_on_oom ? BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) : 0) |
           (config->reporting ? BIT(VIRTIO_BALLOON_F_REPORTING) : 0);
}

int vmm_virtio_balloon_new(const struct vmm_virtio_balloon_config *config,
                           struct vmm_virtio **virtio, struct vmm_error *err)
{
    static const uint16_t sizes[] = {QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
                                     QUEUE_SIZE};
    const struct vmm_virtio_config core = {.memory = config->memory,
                                           .loop = config->loop,
                                           .features = features_of(config),
                                           .queue_count = 3 + config->reporting,
                                           .queue_sizes = sizes,
                                           .config_bytes = CONFIG_BYTES};

    vmm_error_clear(err);
    *virtio = NULL;
    if (vmm_memory_discard(config->memory, 0, 0) == -ENOTSUP)
        return vmm_error_set(err, ENOTSUP,
                             "virtio-balloon: memory of huge pages cannot be "
                             "given back in small ones");
    struct balloon *balloon = calloc(1, sizeof(*balloon));
    if (!balloon)
        return vmm_error_set(err, ENOMEM, "virtio-balloon: out of memory");
    balloon->config = *config;
    store_le32(balloon->pages, config->pages);
    int rc = vmm_virtio_init(&balloon->virtio, &balloon_ops, &core, err);
    if (rc) {
        free(balloon);
        return rc;
    }
    *virtio = &balloon->virtio;
    return 0;
}
