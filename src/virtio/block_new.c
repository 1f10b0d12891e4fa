/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Making a block device: of a file, or of a backend. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "virtio/block.h"

static int prepare_file(struct block *block,
                        const struct vmm_virtio_block_config *config,
                        struct vmm_error *err)
{
    int rc = block_file_open(config, &block->file, err);

    if (rc)
        return rc;
    block->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (block->done_fd < 0)
        return vmm_error_errno(err, "virtio-blk: eventfd");
    /* Its errors mean that the host, or a policy of it, has none for us. */
    if (!config->threads)
        block_uring_new(&block->file, block->done_fd,
                        config->queues * BLOCK_QUEUE_SIZE, &block->uring);
    return block_threads_new(&block->file, block->done_fd, &block->threads,
                             err);
}

static void prepare_backend(struct block *block,
                            const struct vmm_virtio_block_config *config)
{
    block->has_backend = true;
    block->backend = *config->backend;
    block->file.read_only = config->read_only;
    block->file.size = config->backend->size;
    block->file.logical_bytes = SECTOR_BYTES;
    block->file.physical_bytes = 4096;
}

/* What must be there before the driver can come: all but the loop's. */
static int prepare(struct block *block,
                   const struct vmm_virtio_block_config *config,
                   struct vmm_error *err)
{
    if (config->serial)
        memcpy(block->serial, config->serial,
               strnlen(config->serial, sizeof(block->serial)));
    if (!config->backend)
        return prepare_file(block, config, err);
    prepare_backend(block, config);
    return 0;
}

static int connect_loop(struct block *block, struct vmm_loop *loop,
                        struct vmm_error *err)
{
    int rc =
        vmm_loop_timer(loop, block_on_limit, block, &block->limit_timer, err);

    if (rc == 0)
        rc = vmm_loop_timer(loop, block_on_delay, block, &block->delay_timer,
                            err);
    if (rc == 0 && !block->has_backend)
        rc = vmm_loop_watch(loop, block->done_fd, EPOLLIN | EPOLLET,
                            block_on_done, block, &block->done_watch, err);
    return rc;
}

static int check_config(const struct vmm_virtio_block_config *config,
                        struct vmm_error *err)
{
    vmm_error_clear(err);
    if (config->queues < 1 || config->queues > VMM_VIRTIO_BLOCK_QUEUES_MAX)
        return vmm_error_set(err, EINVAL, "virtio-blk: %u queues, 1 to %d",
                             config->queues, VMM_VIRTIO_BLOCK_QUEUES_MAX);
    if (config->serial &&
        strlen(config->serial) > VMM_VIRTIO_BLOCK_SERIAL_BYTES)
        return vmm_error_set(err, EINVAL,
                             "virtio-blk: the serial number is longer than "
                             "%d bytes",
                             VMM_VIRTIO_BLOCK_SERIAL_BYTES);
    if (!config->backend == !config->path)
        return vmm_error_set(err, EINVAL,
                             "virtio-blk: either a path or a backend");
    if (config->backend &&
        (config->backend->size % SECTOR_BYTES || !config->listener.pending))
        return vmm_error_set(err, EINVAL,
                             "virtio-blk: a backend has a listener, and a size "
                             "that is a multiple of %u",
                             SECTOR_BYTES);
    return 0;
}

static struct block *new_block(const struct vmm_virtio_block_config *config)
{
    struct block *block = calloc(1, sizeof(*block));

    if (!block)
        return NULL;
    block->done_fd = block->file.fd = -1;
    block->write_back = true;
    block->listener = config->listener;
    SLIST_INIT(&block->faults);
    TAILQ_INIT(&block->asked);
    TAILQ_INIT(&block->deciding);
    TAILQ_INIT(&block->delayed);
    TAILQ_INIT(&block->waiting);
    TAILQ_INIT(&block->taken);
    block->limit_set = config->limit;
    limit_set(&block->limit, &config->limit, vmm_now_ns());
    return block;
}

int vmm_virtio_block_new(const struct vmm_virtio_block_config *config,
                         struct vmm_virtio **virtio, struct vmm_error *err)
{
    uint16_t sizes[VMM_VIRTIO_BLOCK_QUEUES_MAX];

    *virtio = NULL;
    int rc = check_config(config, err);
    if (rc)
        return rc;
    struct block *block = new_block(config);
    if (!block)
        return vmm_error_set(err, ENOMEM, "virtio-blk: out of memory");
    for (unsigned i = 0; i < config->queues; i++)
        sizes[i] = BLOCK_QUEUE_SIZE;
    const struct vmm_virtio_config core = {.memory = config->memory,
                                           .loop = config->loop,
                                           .features = block_features(config),
                                           .queue_count = config->queues,
                                           .queue_sizes = sizes,
                                           .config_bytes = BLOCK_CONFIG_BYTES};
    rc = prepare(block, config, err);
    if (rc == 0)
        rc = vmm_virtio_init(&block->virtio, &block_ops, &core, err);
    if (rc) {
        block_ops.destroy(&block->virtio);
        return rc;
    }
    rc = connect_loop(block, config->loop, err);
    if (rc) {
        block->listener = (struct vmm_block_listener){0}; /* it knows by this */
        vmm_virtio_unref(&block->virtio);
        return rc;
    }
    *virtio = &block->virtio;
    return 0;
}
