/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a block device does to its file, one thing at a time, to its end. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/block.h"

/* What is moved at a time through a buffer of our own. */
#define BOUNCE_BYTES (256u << 10)

/* ---- reading and writing --------------------------------------------------
 */

bool block_io_advance(struct block_io *io, uint64_t bytes)
{
    io->offset += bytes;
    io->len -= bytes;
    while (io->first < io->count) {
        struct iovec *piece = &io->pieces[io->first];
        size_t part = (size_t)min_u64(piece->iov_len, bytes);

        piece->iov_base = (char *)piece->iov_base + part;
        piece->iov_len -= part;
        bytes -= part;
        if (piece->iov_len)
            break;
        io->first++;
    }
    return io->len == 0;
}

bool block_io_is_aligned(const struct block_file *file,
                         const struct block_io *io)
{
    if (!file->direct)
        return true;
    for (int i = io->first; i < io->count; i++)
        if (!is_aligned((uintptr_t)io->pieces[i].iov_base |
                            io->pieces[i].iov_len,
                        file->logical_bytes))
            return false;
    return true;
}

/* preadv2 or pwritev2, once: bytes moved, more than 0, or -errno. */
static ssize_t move(const struct block_file *file, const struct block_io *io,
                    const struct iovec *pieces, int count)
{
    off_t offset = (off_t)io->offset;
    ssize_t moved;

    do {
        if (io->op == VMM_BLOCK_READ)
            moved = preadv2(file->fd, pieces, count, offset, 0);
        else
            moved = pwritev2(file->fd, pieces, count, offset,
                             io->durable ? RWF_DSYNC : 0);
    } while (moved < 0 && errno == EINTR);
    if (moved < 0)
        return -errno;
    return moved ? moved : -ENODATA; /* the file has become shorter */
}

/* The next bytes of the pieces into a buffer, or out of it. */
static void copy(const struct block_io *io, uint8_t *buffer, size_t len)
{
    for (int i = io->first; len; i++) {
        size_t part = (size_t)min_u64(io->pieces[i].iov_len, len);

        if (io->op == VMM_BLOCK_READ)
            memcpy(io->pieces[i].iov_base, buffer, part);
        else
            memcpy(buffer, io->pieces[i].iov_base, part);
        buffer += part;
        len -= part;
    }
}

/* Direct I/O with buffers that are not aligned. */
static int bounce(const struct block_file *file, struct block_io *io)
{
    void *buffer;
    int rc = 0;

    if (posix_memalign(&buffer, 4096, BOUNCE_BYTES))
        return -ENOMEM;
    while (io->len) {
        struct iovec piece = {buffer, (size_t)min_u64(io->len, BOUNCE_BYTES)};

        if (io->op == VMM_BLOCK_WRITE)
            copy(io, buffer, piece.iov_len);
        ssize_t moved = move(file, io, &piece, 1);
        if (moved < 0) {
            rc = (int)moved;
            break;
        }
        if (io->op == VMM_BLOCK_READ)
            copy(io, buffer, (size_t)moved);
        block_io_advance(io, (uint64_t)moved);
    }
    free(buffer);
    return rc;
}

static int read_or_write(const struct block_file *file, struct block_io *io)
{
    if (!block_io_is_aligned(file, io))
        return bounce(file, io);
    while (io->len) {
        int count = (int)min_u64((uint64_t)(io->count - io->first), IOV_MAX);
        ssize_t moved = move(file, io, io->pieces + io->first, count);

        if (moved < 0)
            return (int)moved;
        block_io_advance(io, (uint64_t)moved);
    }
    return 0;
}

/* ---- the others -----------------------------------------------------------
 */

static int flush(const struct block_file *file)
{
    return fdatasync(file->fd) ? -errno : 0;
}

static int allocate(const struct block_file *file, int mode,
                    const struct vmm_block_range *range)
{
    int rc;

    do
        rc = fallocate(file->fd, mode | FALLOC_FL_KEEP_SIZE,
                       (off_t)range->offset, (off_t)range->len);
    while (rc && errno == EINTR);
    return rc ? -errno : 0;
}

static bool is_not_supported(int rc)
{
    return rc == -EOPNOTSUPP || rc == -ENOTTY || rc == -ENOSYS;
}

/* A driver that discards gives up what was there.  A host that cannot take it
 * keeps it: that is no failure. */
static int discard(const struct block_file *file,
                   const struct vmm_block_range *range)
{
    uint64_t bounds[] = {range->offset, range->len};
    int rc;

    if (file->block_device)
        rc = ioctl(file->fd, BLKDISCARD, bounds) ? -errno : 0;
    else
        rc = allocate(file, FALLOC_FL_PUNCH_HOLE, range);
    return is_not_supported(rc) ? 0 : rc;
}

/* Zeroes by hand. */
static int overwrite(const struct block_file *file,
                     const struct vmm_block_range *range)
{
    void *zeroes;
    int rc = 0;

    if (posix_memalign(&zeroes, 4096, BOUNCE_BYTES))
        return -ENOMEM;
    memset(zeroes, 0, BOUNCE_BYTES);
    struct block_io io = {
        .op = VMM_BLOCK_WRITE, .offset = range->offset, .len = range->len};
    while (io.len && rc == 0) {
        struct iovec piece = {zeroes, (size_t)min_u64(io.len, BOUNCE_BYTES)};
        ssize_t moved = move(file, &io, &piece, 1);

        if (moved < 0)
            rc = (int)moved;
        else
            block_io_advance(&io, (uint64_t)moved);
    }
    free(zeroes);
    return rc;
}

static int write_zeroes(const struct block_file *file,
                        const struct vmm_block_range *range)
{
    int rc = -EOPNOTSUPP;

    if (range->unmap)
        rc = allocate(file, FALLOC_FL_PUNCH_HOLE, range);
    if (is_not_supported(rc))
        rc = allocate(file, FALLOC_FL_ZERO_RANGE, range);
    if (is_not_supported(rc))
        rc = overwrite(file, range);
    return rc;
}

int block_io_perform(const struct block_file *file, struct block_io *io)
{
    int rc = 0;

    switch (io->op) {
    case VMM_BLOCK_READ:
    case VMM_BLOCK_WRITE:
        return read_or_write(file, io);
    case VMM_BLOCK_FLUSH:
        return flush(file);
    case VMM_BLOCK_DISCARD:
    case VMM_BLOCK_WRITE_ZEROES:
        for (unsigned i = 0; i < io->range_count && rc == 0; i++)
            rc = io->op == VMM_BLOCK_DISCARD
                     ? discard(file, &io->ranges[i])
                     : write_zeroes(file, &io->ranges[i]);
        return rc == 0 && io->durable ? flush(file) : rc;
    }
    return -EINVAL;
}
