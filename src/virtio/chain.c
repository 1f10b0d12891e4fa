/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* From descriptors to a checked chain, and the doors to its bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "virtio/virtq_internal.h"

/* ---- the walk -------------------------------------------------------------
 */

/* Where descriptors come from: the queue's table, or an indirect one. */
struct table {
    vmm_gpa_t gpa; /* of an indirect one */
    bool indirect;
    uint32_t count; /* of descriptors */
};

/* Copy one descriptor.  It may change at any time: only the copy is used. */
static int load(struct vmm_virtq *queue, const struct table *table,
                uint16_t index, struct vring_desc *copy)
{
    if (table->indirect) {
        if (vmm_memory_read(queue->memory, table->gpa + 16ULL * index, copy,
                            sizeof(*copy)))
            return virtq_break(queue, "an indirect table is not RAM");
        return 0;
    }

    const struct vring_desc *from = &queue->desc[index];

    copy->addr = __atomic_load_n(&from->addr, __ATOMIC_RELAXED);
    copy->len = __atomic_load_n(&from->len, __ATOMIC_RELAXED);
    copy->flags = __atomic_load_n(&from->flags, __ATOMIC_RELAXED);
    copy->next = __atomic_load_n(&from->next, __ATOMIC_RELAXED);
    return 0;
}

/* Section 2.7.5.3: one level, no chain goes on after it. */
static int enter_indirect(struct vmm_virtq *queue, struct table *table,
                          const struct vring_desc *desc)
{
    uint64_t end;

    if (!queue->indirect)
        return virtq_break(queue, "an indirect table was not negotiated");
    if (table->indirect)
        return virtq_break(queue, "an indirect table within another");
    if (desc->flags & VRING_DESC_F_NEXT)
        return virtq_break(queue, "an indirect table with a next descriptor");
    if (desc->len == 0 || desc->len % sizeof(*desc))
        return virtq_break(queue, "an indirect table of a part of descriptors");
    if (desc->len / sizeof(*desc) > queue->size)
        return virtq_break(queue, "an indirect table larger than the queue");
    if (!add_u64(desc->addr, desc->len, &end))
        return virtq_break(queue, "an indirect table is not RAM");
    *table =
        (struct table){desc->addr, true, desc->len / (uint32_t)sizeof(*desc)};
    return 0;
}

static bool grow(struct vmm_chain *chain, uint16_t limit)
{
    uint32_t room = chain->room ? 2u * chain->room : 8;

    if (room > limit)
        room = limit;
    void *segments = realloc(chain->segments, room * sizeof(*chain->segments));
    if (!segments)
        return false;
    chain->segments = segments;
    chain->room = (uint16_t)room;
    return true;
}

static int append(struct vmm_virtq *queue, struct vmm_chain *chain,
                  const struct vring_desc *desc)
{
    uint32_t count = (uint32_t)chain->readable + chain->writable;

    if (count == queue->size)
        return virtq_break(queue, "a chain longer than the queue");
    if (count == chain->room && !grow(chain, queue->size))
        return -ENOMEM;
    if (desc->flags & VRING_DESC_F_WRITE) {
        chain->writable++;
        chain->writable_bytes += desc->len;
    } else if (chain->writable) {
        return virtq_break(queue, "a readable buffer after a writable one");
    } else {
        chain->readable++;
        chain->readable_bytes += desc->len;
    }
    /* Section 2.7.5.2. */
    if (chain->readable_bytes + chain->writable_bytes > UINT64_C(1) << 32)
        return virtq_break(queue, "a chain of more than 2^32 bytes");
    chain->segments[count] = (struct vmm_segment){desc->addr, desc->len};
    return 0;
}

int virtq_walk(struct vmm_virtq *queue, uint16_t head, struct vmm_chain *chain)
{
    struct table table = {0, false, queue->size};
    struct vring_desc desc;
    uint16_t index = head;
    int r;

    chain->head = head;
    chain->readable = chain->writable = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    chain->context = NULL;
    /* Each turn enters the one indirect table or appends, which ends. */
    for (;;) {
        if (index >= table.count)
            return virtq_break(queue, "a descriptor outside its table");
        if ((r = load(queue, &table, index, &desc)) < 0)
            return r;
        if (desc.flags & VRING_DESC_F_INDIRECT) {
            if ((r = enter_indirect(queue, &table, &desc)) < 0)
                return r;
            index = 0;
            continue;
        }
        if ((r = append(queue, chain, &desc)) < 0)
            return r;
        if (!(desc.flags & VRING_DESC_F_NEXT))
            return 0;
        index = desc.next;
    }
}

/* Where no byte of RAM is: for buffers that wrap. */
#define NO_RAM UINT64_MAX

/* ---- the doors ------------------------------------------------------------
 */

/* What is left to visit of one part of a chain. */
struct cursor {
    const struct vmm_segment *segment;
    const struct vmm_segment *end;
    uint64_t offset; /* into the segment */
    uint64_t left;
};

/* Begin to visit [offset, offset + len) of count segments with a sum of bytes;
 * false when it is not all there. */
static bool cursor_begin(struct cursor *cursor,
                         const struct vmm_segment *segments, uint16_t count,
                         uint64_t bytes, uint64_t offset, uint64_t len)
{
    if (offset > bytes || len > bytes - offset)
        return false;
    *cursor = (struct cursor){segments, segments + count, offset, len};
    while (cursor->segment < cursor->end &&
           cursor->offset >= cursor->segment->len) {
        cursor->offset -= cursor->segment->len;
        cursor->segment++;
    }
    return true;
}

/* The next piece that is not empty; false at the end. */
static bool cursor_next(struct cursor *cursor, struct vmm_segment *piece)
{
    uint64_t end;

    while (cursor->left) {
        uint64_t len =
            min_u64(cursor->segment->len - cursor->offset, cursor->left);

        *piece = (struct vmm_segment){NO_RAM, (uint32_t)len};
        if (add_u64(cursor->segment->gpa, cursor->segment->len, &end))
            piece->gpa = cursor->segment->gpa + cursor->offset;
        cursor->left -= len;
        cursor->offset = 0;
        cursor->segment++;
        if (len)
            return true;
    }
    return false;
}

static bool begin_readable(struct cursor *cursor, const struct vmm_chain *chain,
                           uint64_t offset, uint64_t len)
{
    return cursor_begin(cursor, chain->segments, chain->readable,
                        chain->readable_bytes, offset, len);
}

static bool begin_writable(struct cursor *cursor, const struct vmm_chain *chain,
                           uint64_t offset, uint64_t len)
{
    return cursor_begin(cursor, chain->segments + chain->readable,
                        chain->writable, chain->writable_bytes, offset, len);
}

int vmm_chain_read(const struct vmm_chain *chain, uint64_t offset, void *buffer,
                   size_t len)
{
    struct cursor cursor;
    struct vmm_segment piece;
    uint8_t *to = buffer;

    if (!begin_readable(&cursor, chain, offset, len))
        return -ENODATA;
    for (; cursor_next(&cursor, &piece); to += piece.len)
        if (vmm_memory_read(chain->queue->memory, piece.gpa, to, piece.len))
            return -EFAULT;
    return 0;
}

int vmm_chain_write(struct vmm_chain *chain, uint64_t offset,
                    const void *buffer, size_t len)
{
    struct cursor cursor;
    struct vmm_segment piece;
    const uint8_t *from = buffer;

    if (!begin_writable(&cursor, chain, offset, len))
        return -ENOSPC;
    for (; cursor_next(&cursor, &piece); from += piece.len)
        if (vmm_memory_write(chain->queue->memory, piece.gpa, from, piece.len))
            return -EFAULT;
    return 0;
}

static int to_iovec(const struct vmm_chain *chain, struct cursor *cursor,
                    struct iovec *pieces, int max)
{
    struct vmm_segment piece;
    int used = 0;

    while (cursor_next(cursor, &piece)) {
        int r = vmm_memory_iovec(chain->queue->memory, piece.gpa, piece.len,
                                 pieces + used, max - used);
        if (r < 0)
            return r;
        used += r;
    }
    return used;
}

int vmm_chain_readable_iovec(const struct vmm_chain *chain, uint64_t offset,
                             uint64_t len, struct iovec *pieces, int max)
{
    struct cursor cursor;

    if (!begin_readable(&cursor, chain, offset, len))
        return -ENODATA;
    return to_iovec(chain, &cursor, pieces, max);
}

int vmm_chain_writable_iovec(const struct vmm_chain *chain, uint64_t offset,
                             uint64_t len, struct iovec *pieces, int max)
{
    struct cursor cursor;

    if (!begin_writable(&cursor, chain, offset, len))
        return -ENOSPC;
    return to_iovec(chain, &cursor, pieces, max);
}
