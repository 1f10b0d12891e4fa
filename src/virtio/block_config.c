/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a block device offers, and its configuration space. */
#include <string.h>

#include "base/arith.h"
#include "virtio/block.h"

/* Two descriptors of the ring are a request's header and status. */
#define SEGMENTS_MAX      (BLOCK_QUEUE_SIZE - 2)
#define SEGMENT_BYTES_MAX (4u << 20)
/* All of them together are no more than VMM_BLOCK_WORK_BYTES. */
#define BACKEND_SEGMENT_BYTES_MAX (16u << 10)
_Static_assert(SEGMENTS_MAX *BACKEND_SEGMENT_BYTES_MAX <= VMM_BLOCK_WORK_BYTES,
               "a request of a backend's");

uint64_t block_features(const struct vmm_virtio_block_config *config)
{
    uint64_t bits = BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |
                    BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_TOPOLOGY) |
                    BIT(VIRTIO_BLK_F_FLUSH);

    if (config->queues > 1)
        bits |= BIT(VIRTIO_BLK_F_MQ);
    if (config->read_only)
        return bits | BIT(VIRTIO_BLK_F_RO);
    bits |= BIT(VIRTIO_BLK_F_CONFIG_WCE);
    if (!config->backend || config->backend->discard)
        bits |= BIT(VIRTIO_BLK_F_DISCARD);
    if (!config->backend || config->backend->write_zeroes)
        bits |= BIT(VIRTIO_BLK_F_WRITE_ZEROES);
    return bits;
}

void block_read_config(struct vmm_virtio *virtio, uint32_t offset, void *bytes,
                       uint32_t len)
{
    struct block *block = block_of(virtio);
    const struct block_file *file = &block->file;
    struct virtio_blk_config config = {
        .capacity = file->size / SECTOR_BYTES,
        .size_max =
            block->has_backend ? BACKEND_SEGMENT_BYTES_MAX : SEGMENT_BYTES_MAX,
        .seg_max = SEGMENTS_MAX,
        .blk_size = file->logical_bytes,
        .physical_block_exp =
            (uint8_t)__builtin_ctz(file->physical_bytes / file->logical_bytes),
        .min_io_size = (uint16_t)(file->physical_bytes / file->logical_bytes),
        .wce = block->write_back,
        .num_queues = (uint16_t)virtio->queue_count,
        .max_discard_sectors = BLOCK_DISCARD_SECTORS,
        .max_discard_seg = VMM_BLOCK_RANGES_MAX,
        .discard_sector_alignment = file->physical_bytes / SECTOR_BYTES,
        .max_write_zeroes_sectors = BLOCK_ZEROES_SECTORS,
        .max_write_zeroes_seg = VMM_BLOCK_RANGES_MAX,
        .write_zeroes_may_unmap = 1,
    };

    memcpy(bytes, (const uint8_t *)&config + offset, len);
}

/* The driver may write one field: wce. */
void block_write_config(struct vmm_virtio *virtio, uint32_t offset,
                        const void *bytes, uint32_t len)
{
    const uint32_t at = offsetof(struct virtio_blk_config, wce);

    if (vmm_virtio_has(virtio, VIRTIO_BLK_F_CONFIG_WCE) && offset <= at &&
        at - offset < len)
        block_of(virtio)->write_back =
            ((const uint8_t *)bytes)[at - offset] != 0;
}
