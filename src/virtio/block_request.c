/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Requests to a block device, as the driver has written them: virtio 1.2,
 * section 5.2.6. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/endian.h"
#include "virtio/block.h"

#define HEADER_BYTES sizeof(struct virtio_blk_outhdr)
#define RANGE_BYTES  sizeof(struct virtio_blk_discard_write_zeroes)
/* Pieces of a request's memory: a region's end may divide a buffer. */
#define PIECES_MAX (4 * BLOCK_QUEUE_SIZE)

/* Writes are as durable as the driver believes (section 5.2.6.2). */
static bool is_durable(const struct block *block)
{
    if (vmm_virtio_has(&block->virtio, VIRTIO_BLK_F_CONFIG_WCE))
        return !block->write_back;
    return !vmm_virtio_has(&block->virtio, VIRTIO_BLK_F_FLUSH);
}

/* Are count sectors from sector on all of this disk? */
static bool is_within(const struct block *block, uint64_t sector,
                      uint64_t count)
{
    uint64_t capacity = block->file.size / SECTOR_BYTES;

    return sector <= capacity && count <= capacity - sector;
}

/* ---- read and write -------------------------------------------------------
 */

static bool make_room(struct block_io *io, int room)
{
    void *pieces = realloc(io->pieces, (size_t)room * sizeof(*io->pieces));

    if (!pieces)
        return false;
    io->pieces = pieces;
    io->room = room;
    return true;
}

/* Views of the request's data, all of it. */
static int find_pieces(struct block_io *io, const struct vmm_chain *chain)
{
    int room = chain->readable + chain->writable;
    int count;

    if (io->room < room && !make_room(io, room))
        return -ENOMEM;
    for (;;) {
        if (io->op == VMM_BLOCK_READ)
            count = vmm_chain_writable_iovec(chain, 0, io->len, io->pieces,
                                             io->room);
        else
            count = vmm_chain_readable_iovec(chain, HEADER_BYTES, io->len,
                                             io->pieces, io->room);
        if (count != -ENOBUFS)
            break;
        if (io->room >= PIECES_MAX || !make_room(io, 2 * io->room))
            return -ENOMEM;
    }
    io->first = 0;
    io->count = count;
    return count < 0 ? count : 0;
}

static uint8_t parse_data(struct block *block, struct block_request *request,
                          enum vmm_block_op op, uint64_t sector, bool *wanted)
{
    const struct vmm_chain *chain = request->chain;
    struct block_io *io = &request->io;

    io->op = op;
    io->len = op == VMM_BLOCK_READ ? chain->writable_bytes - 1
                                   : chain->readable_bytes - HEADER_BYTES;
    if (op == VMM_BLOCK_WRITE && block->file.read_only)
        return VIRTIO_BLK_S_IOERR;
    if (io->len % SECTOR_BYTES ||
        !is_within(block, sector, io->len / SECTOR_BYTES))
        return VIRTIO_BLK_S_IOERR;
    if (block->has_backend && io->len > VMM_BLOCK_WORK_BYTES)
        return VIRTIO_BLK_S_IOERR;
    io->offset = sector * SECTOR_BYTES;
    if (find_pieces(io, chain))
        return VIRTIO_BLK_S_IOERR;
    *wanted = io->len != 0;
    return VIRTIO_BLK_S_OK;
}

/* ---- discard and write zeroes ---------------------------------------------
 */

/* Of one segment, as it was copied. */
static uint8_t parse_range(const struct block *block, struct block_io *io,
                           const uint8_t *bytes)
{
    uint64_t sector = load_le64(bytes);
    uint32_t count = load_le32(bytes + 8);
    uint32_t flags = load_le32(bytes + 12);
    bool discards = io->op == VMM_BLOCK_DISCARD;

    if (flags & ~(discards ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
        return VIRTIO_BLK_S_UNSUPP;
    if (count > (discards ? BLOCK_DISCARD_SECTORS : BLOCK_ZEROES_SECTORS) ||
        !is_within(block, sector, count))
        return VIRTIO_BLK_S_IOERR;
    if (count)
        io->ranges[io->range_count++] = (struct vmm_block_range){
            sector * SECTOR_BYTES, (uint64_t)count * SECTOR_BYTES, flags != 0};
    return VIRTIO_BLK_S_OK;
}

static uint8_t parse_ranges(struct block *block, struct block_request *request,
                            enum vmm_block_op op, bool *wanted)
{
    const struct vmm_chain *chain = request->chain;
    uint8_t bytes[VMM_BLOCK_RANGES_MAX * RANGE_BYTES];
    uint64_t len = chain->readable_bytes - HEADER_BYTES;
    struct block_io *io = &request->io;

    io->op = op;
    io->range_count = 0;
    if (!vmm_virtio_has(&block->virtio, op == VMM_BLOCK_DISCARD
                                            ? VIRTIO_BLK_F_DISCARD
                                            : VIRTIO_BLK_F_WRITE_ZEROES))
        return VIRTIO_BLK_S_UNSUPP;
    if (len == 0 || len % RANGE_BYTES || len > sizeof(bytes) ||
        vmm_chain_read(chain, HEADER_BYTES, bytes, (size_t)len))
        return VIRTIO_BLK_S_IOERR;
    for (size_t at = 0; at < len; at += RANGE_BYTES) {
        uint8_t status = parse_range(block, io, bytes + at);

        if (status != VIRTIO_BLK_S_OK)
            return status;
    }
    *wanted = io->range_count != 0;
    return VIRTIO_BLK_S_OK;
}

/* ---- all ------------------------------------------------------------------
 */

/* The serial number, without a NUL when it fills its place. */
static uint8_t tell_id(struct block *block, struct block_request *request)
{
    size_t len = (size_t)min_u64(request->chain->writable_bytes - 1,
                                 sizeof(block->serial));

    return vmm_chain_write(request->chain, 0, block->serial, len)
               ? VIRTIO_BLK_S_IOERR
               : VIRTIO_BLK_S_OK;
}

uint8_t block_request_parse(struct block *block, struct block_request *request,
                            bool *wanted)
{
    uint8_t header[HEADER_BYTES];

    *wanted = false;
    if (vmm_chain_read(request->chain, 0, header, sizeof(header)))
        return VIRTIO_BLK_S_IOERR;
    request->io.durable = is_durable(block);
    switch (load_le32(header)) {
    case VIRTIO_BLK_T_IN:
        return parse_data(block, request, VMM_BLOCK_READ, load_le64(header + 8),
                          wanted);
    case VIRTIO_BLK_T_OUT:
        return parse_data(block, request, VMM_BLOCK_WRITE,
                          load_le64(header + 8), wanted);
    case VIRTIO_BLK_T_FLUSH:
        request->io.op = VMM_BLOCK_FLUSH;
        *wanted = !block->file.read_only;
        return VIRTIO_BLK_S_OK;
    case VIRTIO_BLK_T_GET_ID:
        return tell_id(block, request);
    case VIRTIO_BLK_T_DISCARD:
        return parse_ranges(block, request, VMM_BLOCK_DISCARD, wanted);
    case VIRTIO_BLK_T_WRITE_ZEROES:
        return parse_ranges(block, request, VMM_BLOCK_WRITE_ZEROES, wanted);
    default:
        return VIRTIO_BLK_S_UNSUPP;
    }
}

void block_request_sectors(const struct block_request *request,
                           uint64_t *sector, uint64_t *sectors)
{
    const struct block_io *io = &request->io;
    bool moves = io->op == VMM_BLOCK_READ || io->op == VMM_BLOCK_WRITE;

    *sector = *sectors = 0;
    if (io->op == VMM_BLOCK_FLUSH)
        return;
    *sector = (moves ? io->offset : io->ranges[0].offset) / SECTOR_BYTES;
    *sectors = (moves ? io->len : io->ranges[0].len) / SECTOR_BYTES;
}

/* The status is the last byte that the driver has left for the device.  Of
 * what failed, nothing before it is sure to have been written. */
void block_request_answer(struct block *block, struct block_request *request,
                          uint8_t status)
{
    struct vmm_chain *chain = request->chain;
    uint64_t written = 0;

    if (chain->writable_bytes == 0)
        vmm_virtio_needs_reset(&block->virtio); /* it cannot be answered */
    else if (vmm_chain_write(chain, chain->writable_bytes - 1, &status, 1) == 0)
        written = status == VIRTIO_BLK_S_OK || chain->writable_bytes == 1
                      ? chain->writable_bytes
                      : 0;
    vmm_virtq_push(chain, (uint32_t)min_u64(written, UINT32_MAX));
}
