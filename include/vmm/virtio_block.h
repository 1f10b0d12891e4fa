/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The block device: a disk whose bytes are those of a file. */
#ifndef VMM_VIRTIO_BLOCK_H
#define VMM_VIRTIO_BLOCK_H

#include <vmm/virtio.h>

#define VMM_VIRTIO_BLOCK_QUEUES_MAX   16
#define VMM_VIRTIO_BLOCK_SERIAL_BYTES 20

struct vmm_virtio_block_config {
    struct vmm_memory *memory; /* referenced */
    struct vmm_loop *loop;
    /* A regular file or a block device.  It is the disk, byte by byte,
     * whatever is in it: no image format is looked for.  A size that is no
     * multiple of 512 bytes is refused. */
    const char *path;
    bool read_only;
    bool direct;        /* O_DIRECT: past the host's page cache */
    bool threads;       /* no io_uring, even where the host has it */
    const char *serial; /* up to VMM_VIRTIO_BLOCK_SERIAL_BYTES; NULL: "" */
    unsigned queues;    /* 1 to VMM_VIRTIO_BLOCK_QUEUES_MAX */
};

/*
 * The file is locked for as long as the device lives: readers share it, who
 * writes has it alone.  -EBUSY: somebody else has it; -EINVAL: what the text
 * says; or what open(2) fails with.
 *
 * A driver that has negotiated VIRTIO_BLK_F_FLUSH finds on stable storage what
 * was written before a flush that has been answered; for another one, that is
 * so for each write that has been answered.
 */
VMM_API int vmm_virtio_block_new(const struct vmm_virtio_block_config *config,
                                 struct vmm_virtio **virtio,
                                 struct vmm_error *err);
/* Is it a device that vmm_virtio_block_new has made?  Only such a one is taken
 * by the next three. */
VMM_API bool vmm_virtio_is_block(const struct vmm_virtio *virtio);
/* Bytes, as the driver sees it. */
VMM_API uint64_t vmm_virtio_block_size(struct vmm_virtio *virtio);
/* Make the file this long (a multiple of its block size), and tell the driver;
 * what is cut off is lost.  -EROFS; -ENOTSUP for a block device. */
VMM_API int vmm_virtio_block_resize(struct vmm_virtio *virtio, uint64_t bytes,
                                    struct vmm_error *err);
/* Somebody else may have changed the file's length: look, and tell the driver
 * if so.  -EINVAL: it is no multiple of the block size; nothing changes. */
VMM_API int vmm_virtio_block_refresh(struct vmm_virtio *virtio,
                                     struct vmm_error *err);
/* What carries requests out: "io_uring" or "threads". */
VMM_API const char *vmm_virtio_block_engine(const struct vmm_virtio *virtio);

#endif
