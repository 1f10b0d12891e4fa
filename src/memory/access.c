/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * The doors to guest memory: every access names a length, is checked whole
 * before a byte moves, and may span adjoining regions.
 *
 * The guest, and other threads of ours, may access the same bytes meanwhile;
 * nothing here can prevent it.  What was read is a copy and may mix old and
 * new bytes: check the copy, use the copy, never read again.  Aligned integers
 * do not tear.  Where order matters (ring indices) there are an acquiring load
 * and a releasing store.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/arith.h"
#include "base/endian.h"
#include "memory/memory.h"

/* What is left to visit of a checked range. */
struct span {
    const struct vmm_memory_region *region; /* of the next byte */
    uint64_t offset;                        /* of the next byte in it */
    uint64_t left;
};

/* The last region that starts at or below gpa, or NULL. */
static const struct vmm_memory_region *find(const struct vmm_memory *memory,
                                            vmm_gpa_t gpa)
{
    size_t low = 0, high = memory->count;

    /* Regions below low start at or below gpa, those from high on above. */
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memory->regions[middle].base <= gpa)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &memory->regions[low - 1] : NULL;
}

/* Begin to visit [gpa, gpa + len): 0, or -EFAULT when not all of it is RAM.
 * No sum of guest numbers is formed, so none can wrap. */
static int span_begin(const struct vmm_memory *memory, vmm_gpa_t gpa,
                      uint64_t len, struct span *span)
{
    const struct vmm_memory_region *region = find(memory, gpa);
    const struct vmm_memory_region *end = memory->regions + memory->count;

    if (!region || gpa - region->base > region->size_bytes)
        return -EFAULT;
    *span = (struct span){region, gpa - region->base, len};

    uint64_t room = region->size_bytes - span->offset;

    while (len > room) {
        vmm_gpa_t next = region->base + region->size_bytes;

        len -= room;
        /* One past the end, and in a hole: there is no first byte. */
        if (++region == end || region->base != next)
            return -EFAULT;
        room = region->size_bytes;
    }
    return 0;
}

/* The next piece in host memory; false when all have been visited. */
static bool span_next(struct span *span, uint8_t **host, size_t *len)
{
    if (span->left == 0)
        return false;
    *len = min_u64(span->left, span->region->size_bytes - span->offset);
    *host = (uint8_t *)span->region->host + span->offset;
    span->left -= *len;
    span->region++;
    span->offset = 0;
    return true;
}

int vmm_memory_check(const struct vmm_memory *memory, vmm_gpa_t gpa,
                     uint64_t len)
{
    struct span span;

    return span_begin(memory, gpa, len, &span);
}

int vmm_memory_read(const struct vmm_memory *memory, vmm_gpa_t gpa,
                    void *buffer, size_t len)
{
    struct span span;
    uint8_t *to = buffer, *host;
    size_t piece;

    if (span_begin(memory, gpa, len, &span))
        return -EFAULT;
    for (; span_next(&span, &host, &piece); to += piece)
        memcpy(to, host, piece);
    return 0;
}

int vmm_memory_write(struct vmm_memory *memory, vmm_gpa_t gpa,
                     const void *buffer, size_t len)
{
    struct span span;
    const uint8_t *from = buffer;
    uint8_t *host;
    size_t piece;

    if (span_begin(memory, gpa, len, &span))
        return -EFAULT;
    for (; span_next(&span, &host, &piece); from += piece)
        memcpy(host, from, piece);
    return 0;
}

int vmm_memory_fill(struct vmm_memory *memory, vmm_gpa_t gpa, uint8_t byte,
                    uint64_t len)
{
    struct span span;
    uint8_t *host;
    size_t piece;

    if (span_begin(memory, gpa, len, &span))
        return -EFAULT;
    while (span_next(&span, &host, &piece))
        memset(host, byte, piece);
    return 0;
}

static int read_all(int fd, uint64_t offset, uint8_t *host, size_t len)
{
    while (len) {
        ssize_t got = pread(fd, host, len, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ENODATA;
        host += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    return 0;
}

int vmm_memory_read_file(struct vmm_memory *memory, vmm_gpa_t gpa, int fd,
                         uint64_t offset, uint64_t len)
{
    struct span span;
    uint64_t end;
    uint8_t *host;
    size_t piece;
    int ret = 0;

    if (!add_u64(offset, len, &end) || end > INT64_MAX)
        return -EINVAL;
    if (span_begin(memory, gpa, len, &span))
        return -EFAULT;
    for (; !ret && span_next(&span, &host, &piece); offset += piece)
        ret = read_all(fd, offset, host, piece);
    return ret;
}

int vmm_memory_iovec(struct vmm_memory *memory, vmm_gpa_t gpa, uint64_t len,
                     struct iovec *pieces, int max)
{
    struct span span;
    uint8_t *host;
    size_t piece;
    int used = 0;

    if (span_begin(memory, gpa, len, &span))
        return -EFAULT;
    while (span_next(&span, &host, &piece)) {
        if (used >= max)
            return -ENOBUFS;
        pieces[used++] = (struct iovec){host, piece};
    }
    return used;
}

/*
 * The host address of a naturally aligned integer, NULL when unaligned.  It
 * cannot leave its region, whose ends are multiples of the page size, and host
 * addresses are aligned as guest addresses are.
 */
static int aligned_host(const struct vmm_memory *memory, vmm_gpa_t gpa,
                        size_t size, void **host)
{
    struct span span;
    uint8_t *bytes = NULL;
    size_t piece;

    if (span_begin(memory, gpa, size, &span))
        return -EFAULT;
    if (is_aligned(gpa, size))
        span_next(&span, &bytes, &piece);
    *host = bytes;
    return 0;
}

int vmm_memory_load_u8(const struct vmm_memory *memory, vmm_gpa_t gpa,
                       uint8_t *value)
{
    return vmm_memory_read(memory, gpa, value, sizeof(*value));
}

int vmm_memory_store_u8(struct vmm_memory *memory, vmm_gpa_t gpa, uint8_t value)
{
    return vmm_memory_write(memory, gpa, &value, sizeof(value));
}

/* One access when aligned: memcpy promises nothing of the kind, and the C
 * library's copies two bytes one by one. */
#define DEFINE_LOAD_AND_STORE(bits)                                            \
    int vmm_memory_load_u##bits(const struct vmm_memory *memory,               \
                                vmm_gpa_t gpa, uint##bits##_t *value)          \
    {                                                                          \
        uint8_t bytes[sizeof(*value)];                                         \
        void *host;                                                            \
                                                                               \
        if (aligned_host(memory, gpa, sizeof(*value), &host))                  \
            return -EFAULT;                                                    \
        if (host) {                                                            \
            uint##bits##_t *at = host;                                         \
                                                                               \
            *value = le##bits##toh(__atomic_load_n(at, __ATOMIC_RELAXED));     \
            return 0;                                                          \
        }                                                                      \
        vmm_memory_read(memory, gpa, bytes, sizeof(bytes));                    \
        *value = load_le##bits(bytes);                                         \
        return 0;                                                              \
    }                                                                          \
                                                                               \
    int vmm_memory_store_u##bits(struct vmm_memory *memory, vmm_gpa_t gpa,     \
                                 uint##bits##_t value)                         \
    {                                                                          \
        uint8_t bytes[sizeof(value)];                                          \
        void *host;                                                            \
                                                                               \
        if (aligned_host(memory, gpa, sizeof(value), &host))                   \
            return -EFAULT;                                                    \
        if (host) {                                                            \
            uint##bits##_t *at = host;                                         \
                                                                               \
            __atomic_store_n(at, htole##bits(value), __ATOMIC_RELAXED);        \
            return 0;                                                          \
        }                                                                      \
        store_le##bits(bytes, value);                                          \
        return vmm_memory_write(memory, gpa, bytes, sizeof(bytes));            \
    }

DEFINE_LOAD_AND_STORE(16)
DEFINE_LOAD_AND_STORE(32)
DEFINE_LOAD_AND_STORE(64)

int vmm_memory_load_acquire_u16(const struct vmm_memory *memory, vmm_gpa_t gpa,
                                uint16_t *value)
{
    void *host;

    if (!is_aligned(gpa, sizeof(*value)))
        return -EINVAL;
    if (aligned_host(memory, gpa, sizeof(*value), &host))
        return -EFAULT;

    uint16_t *at = host;

    *value = le16toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
    return 0;
}

int vmm_memory_store_release_u16(struct vmm_memory *memory, vmm_gpa_t gpa,
                                 uint16_t value)
{
    void *host;

    if (!is_aligned(gpa, sizeof(value)))
        return -EINVAL;
    if (aligned_host(memory, gpa, sizeof(value), &host))
        return -EFAULT;

    uint16_t *at = host;

    __atomic_store_n(at, htole16(value), __ATOMIC_RELEASE);
    return 0;
}
