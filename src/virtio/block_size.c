/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* How large a block device is, and what it becomes; what serves it. */
#include <errno.h>

#include "virtio/block.h"

const char *vmm_virtio_block_engine(const struct vmm_virtio *virtio)
{
    const struct block *block = (const struct block *)virtio;

    if (block->has_backend)
        return "backend";
    return block->uring ? "io_uring" : "threads";
}

uint64_t vmm_virtio_block_size(struct vmm_virtio *virtio)
{
    vmm_virtio_enter(virtio);
    uint64_t size = block_of(virtio)->file.size;
    vmm_virtio_leave(virtio);
    return size;
}

/* Lock held. */
static void set_size(struct block *block, uint64_t size)
{
    if (size == block->file.size)
        return;
    block->file.size = size;
    vmm_virtio_config_changed(&block->virtio);
}

int vmm_virtio_block_refresh(struct vmm_virtio *virtio, struct vmm_error *err)
{
    struct block *block = block_of(virtio);
    uint64_t size;

    vmm_error_clear(err);
    if (block->has_backend)
        return 0;
    vmm_virtio_enter(virtio);
    int rc = block_file_measure(&block->file, &size, err);
    if (rc == 0)
        set_size(block, size);
    vmm_virtio_leave(virtio);
    return rc;
}

static int resize_backend(struct block *block, uint64_t bytes,
                          struct vmm_error *err)
{
    if (bytes % SECTOR_BYTES)
        return vmm_error_set(err, EINVAL, "%llu bytes are no multiple of %u",
                             (unsigned long long)bytes, SECTOR_BYTES);
    vmm_virtio_enter(&block->virtio);
    set_size(block, bytes);
    vmm_virtio_leave(&block->virtio);
    return 0;
}

int vmm_virtio_block_resize(struct vmm_virtio *virtio, uint64_t bytes,
                            struct vmm_error *err)
{
    struct block *block = block_of(virtio);

    vmm_error_clear(err);
    if (block->has_backend)
        return resize_backend(block, bytes, err);
    int rc = block_file_truncate(&block->file, bytes, err);
    return rc ? rc : vmm_virtio_block_refresh(virtio, err);
}
