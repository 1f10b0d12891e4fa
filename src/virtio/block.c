/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The block device: virtio 1.2, section 5.2. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/block.h"

#define BIT(number) (UINT64_C(1) << (number))

/* ---- requests: lock held --------------------------------------------------
 */

static struct block_request *request_of(struct block_io *io)
{
    return (struct block_request *)io;
}

static struct block_request *take_request(struct block *block)
{
    struct block_io *io = block->free;

    if (!io)
        return calloc(1, sizeof(struct block_request));
    block->free = io->next;
    return request_of(io);
}

static void give_request(struct block *block, struct block_request *request)
{
    request->io.next = block->free;
    block->free = &request->io;
}

static void begin(struct block *block, struct block_request *request)
{
    bool wanted;
    uint8_t status = block_request_parse(block, request, &wanted);

    if (!wanted) {
        block_request_answer(block, request, status);
        give_request(block, request);
    } else if (!block->uring ||
               !block_uring_submit(block->uring, &request->io)) {
        block_threads_submit(block->threads, &request->io);
    }
}

/* Answer a list; returns a bit for each queue in which there is news. */
static uint64_t finish(struct block *block, struct block_io *list)
{
    uint64_t queues = 0;

    while (list) {
        struct block_request *request = request_of(list);

        list = list->next;
        if (request->io.rest) {
            request->io.rest = false;
            block_threads_submit(block->threads, &request->io);
            continue;
        }
        block_request_answer(block, request,
                             request->io.result ? VIRTIO_BLK_S_IOERR
                                                : VIRTIO_BLK_S_OK);
        queues |= BIT(request->queue);
        give_request(block, request);
    }
    return queues;
}

static uint64_t reap(struct block *block)
{
    uint64_t queues = 0;

    if (block->uring)
        queues = finish(block, block_uring_reap(block->uring));
    return queues | finish(block, block_threads_reap(block->threads));
}

static void signal_queues(struct block *block, uint64_t queues)
{
    for (unsigned i = 0; queues >> i; i++)
        if (queues >> i & 1)
            vmm_virtio_signal(&block->virtio, i);
}

static void on_done(void *context, uint32_t events)
{
    struct block *block = context;
    eventfd_t count;

    (void)events;
    eventfd_read(block->done_fd, &count);
    vmm_virtio_enter(&block->virtio);
    signal_queues(block, reap(block));
    vmm_virtio_leave(&block->virtio);
}

/* ---- ops ------------------------------------------------------------------
 */

/* What the page cache has is read at once; a wake-up for it would be idle. */
static uint64_t flush_and_reap(struct block *block, bool *all)
{
    eventfd_t count;

    *all = !block->uring || block_uring_flush(block->uring);
    uint64_t queues = reap(block);
    if (block->uring && block_uring_in_flight(block->uring) == 0 && queues)
        eventfd_read(block->done_fd, &count);
    return queues;
}

static bool block_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, queue);
    struct block *block = block_of(virtio);
    unsigned served = 0;
    bool all;

    vmm_virtq_suppress(ring);
    for (; served < BLOCK_QUEUE_SIZE; served++) {
        struct block_request *request = take_request(block);

        if (!request)
            break;
        if (vmm_virtq_pop(ring, &request->chain) <= 0) {
            give_request(block, request);
            break;
        }
        request->queue = queue;
        begin(block, request);
    }
    signal_queues(block, flush_and_reap(block, &all) | BIT(queue));
    return served == BLOCK_QUEUE_SIZE || !all || vmm_virtq_arm(ring);
}

/* Of requests that the driver has given up. */
static void forget(struct block *block, struct block_io *list)
{
    while (list) {
        struct block_request *request = request_of(list);

        list = list->next;
        request->io.rest = false;
        vmm_virtq_push(request->chain, 0);
        give_request(block, request);
    }
}

/* Their buffers are the guest's again when a reset is done: wait, and let what
 * is complete come to nothing. */
static void block_stop(struct vmm_virtio *virtio)
{
    struct block *block = block_of(virtio);

    if (!block->threads)
        return; /* it is closed */
    if (block->uring)
        block_uring_drain(block->uring);
    block_threads_drain(block->threads);
    for (unsigned i = 0; i < virtio->queue_count; i++)
        if (vmm_virtio_queue(virtio, i))
            vmm_virtq_disable(vmm_virtio_queue(virtio, i));
    if (block->uring)
        forget(block, block_uring_reap(block->uring));
    forget(block, block_threads_reap(block->threads));
    block->write_back = true;
}

/* The file is somebody else's to lock, even if a husk of the device is kept. */
static void block_close(struct vmm_virtio *virtio)
{
    struct block *block = block_of(virtio);

    if (block->done_watch)
        vmm_watch_remove(block->done_watch);
    vmm_virtio_enter(virtio);
    struct block_uring *uring = block->uring;
    struct block_threads *threads = block->threads;
    block->done_watch = NULL;
    block->uring = NULL;
    block->threads = NULL;
    vmm_virtio_leave(virtio);
    block_uring_free(uring);
    block_threads_free(threads);
    block_file_close(&block->file);
}

static void block_destroy(struct vmm_virtio *virtio)
{
    struct block *block = block_of(virtio);

    block_uring_free(block->uring);
    block_threads_free(block->threads);
    block_file_close(&block->file);
    if (block->done_fd >= 0)
        close(block->done_fd);
    while (block->free) {
        struct block_request *request = request_of(block->free);

        block->free = block->free->next;
        free(request->io.pieces);
        free(request);
    }
    free(block);
}

static const struct vmm_virtio_ops block_ops = {
    .name = "virtio-blk",
    .id = VIRTIO_ID_BLOCK,
    .stop = block_stop,
    .serve = block_serve,
    .read_config = block_read_config,
    .write_config = block_write_config,
    .close = block_close,
    .destroy = block_destroy,
};

/* ---- new ------------------------------------------------------------------
 */

/* What must be there before the driver can come: all but the watch. */
static int prepare(struct block *block,
                   const struct vmm_virtio_block_config *config,
                   struct vmm_error *err)
{
    if (config->serial)
        memcpy(block->serial, config->serial,
               strnlen(config->serial, sizeof(block->serial)));
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
    return 0;
}

int vmm_virtio_block_new(const struct vmm_virtio_block_config *config,
                         struct vmm_virtio **virtio, struct vmm_error *err)
{
    uint16_t sizes[VMM_VIRTIO_BLOCK_QUEUES_MAX];

    *virtio = NULL;
    int rc = check_config(config, err);
    if (rc)
        return rc;
    struct block *block = calloc(1, sizeof(*block));
    if (!block)
        return vmm_error_set(err, ENOMEM, "virtio-blk: out of memory");
    block->done_fd = block->file.fd = -1;
    block->write_back = true;
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
        block_destroy(&block->virtio);
        return rc;
    }
    rc = vmm_loop_watch(config->loop, block->done_fd, EPOLLIN, on_done, block,
                        &block->done_watch, err);
    if (rc) {
        vmm_virtio_unref(&block->virtio);
        return rc;
    }
    *virtio = &block->virtio;
    return 0;
}

/* ---- size -----------------------------------------------------------------
 */

bool vmm_virtio_is_block(const struct vmm_virtio *virtio)
{
    return virtio->ops == &block_ops;
}

const char *vmm_virtio_block_engine(const struct vmm_virtio *virtio)
{
    return ((const struct block *)virtio)->uring ? "io_uring" : "threads";
}

uint64_t vmm_virtio_block_size(struct vmm_virtio *virtio)
{
    vmm_virtio_enter(virtio);
    uint64_t size = block_of(virtio)->file.size;
    vmm_virtio_leave(virtio);
    return size;
}

int vmm_virtio_block_refresh(struct vmm_virtio *virtio, struct vmm_error *err)
{
    struct block_file *file = &block_of(virtio)->file;
    uint64_t size;

    vmm_error_clear(err);
    vmm_virtio_enter(virtio);
    int rc = block_file_measure(file, &size, err);
    if (rc == 0 && size != file->size) {
        file->size = size;
        vmm_virtio_config_changed(virtio);
    }
    vmm_virtio_leave(virtio);
    return rc;
}

int vmm_virtio_block_resize(struct vmm_virtio *virtio, uint64_t bytes,
                            struct vmm_error *err)
{
    vmm_error_clear(err);
    int rc = block_file_truncate(&block_of(virtio)->file, bytes, err);
    return rc ? rc : vmm_virtio_block_refresh(virtio, err);
}
