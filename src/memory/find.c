/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A search through guest memory that leaves untouched pages untouched: reading
 * one would have the host map it.  Private memory is asked for in
 * /proc/self/pagemap (also pages that are swapped out count), a memfd for its
 * data.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/arith.h"
#include "memory/memory.h"

#define PAGE_BYTES UINT64_C(4096)
#define BATCH      512 /* pages that are asked about at a time: 2 MiB */

/* pagemap's bits (Documentation/admin-guide/mm/pagemap.rst) */
#define PRESENT (UINT64_C(1) << 63)
#define SWAPPED (UINT64_C(1) << 62)

struct search {
    const uint8_t *pattern;
    size_t len;
    vmm_gpa_t from, to;
    uint64_t step;
    int pagemap; /* fd, or -1: the host does not tell */
};

/* A run of host memory in a region. */
struct stretch {
    uint64_t start, end; /* offsets in the region */
};

/* The pattern at the offsets of a stretch that are due. */
static bool find_in(const struct search *search,
                    const struct vmm_memory_region *region,
                    struct stretch stretch, vmm_gpa_t *gpa)
{
    const uint8_t *host = region->host;
    uint64_t at = stretch.start;

    if (search->step == 1) {
        const uint8_t *found =
            memmem(host + at, stretch.end - at, search->pattern, search->len);
        if (found)
            *gpa = region->base + (uint64_t)(found - host);
        return found != NULL;
    }

    uint64_t over = (region->base + at - search->from) % search->step;
    uint64_t ahead = over ? search->step - over : 0;
    while (ahead <= stretch.end - at) {
        at += ahead;
        if (stretch.end - at < search->len)
            return false;
        if (memcmp(host + at, search->pattern, search->len) == 0) {
            *gpa = region->base + at;
            return true;
        }
        ahead = search->step;
    }
    return false;
}

/* The pages from offset `start` on that are there, of one batch: how many
 * pages were looked at, and a bit for each in map. */
static size_t ask(const struct search *search,
                  const struct vmm_memory_region *region, uint64_t start,
                  uint64_t end, bool map[BATCH])
{
    uint64_t entries[BATCH];
    size_t count = min_u64(BATCH, (end - start + PAGE_BYTES - 1) / PAGE_BYTES);
    uint64_t first = ((uintptr_t)region->host + start) / PAGE_BYTES;
    ssize_t got = -1;

    if (search->pagemap >= 0)
        got = pread(search->pagemap, entries, count * sizeof(entries[0]),
                    (off_t)(first * sizeof(entries[0])));
    bool known = got == (ssize_t)(count * sizeof(entries[0]));
    for (size_t i = 0; i < count; i++)
        map[i] = !known || entries[i] & (PRESENT | SWAPPED);
    return count;
}

/* The next stretch of a private region that has been touched, from start on. */
static bool next_private(const struct search *search,
                         const struct vmm_memory_region *region, uint64_t limit,
                         uint64_t start, struct stretch *stretch)
{
    uint64_t page = start & ~(PAGE_BYTES - 1);
    bool map[BATCH], open = false;

    if (start >= limit)
        return false;
    while (page < limit) {
        size_t count = ask(search, region, page, limit, map);
        for (size_t i = 0; i < count; i++, page += PAGE_BYTES) {
            if (map[i] == open)
                continue;
            if (open) {
                stretch->end = page;
                return true;
            }
            stretch->start = max_u64(page, start);
            open = true;
        }
    }
    stretch->end = limit;
    return open;
}

/* The same in a memfd, which other processes may have touched as well. */
static bool next_shared(const struct vmm_memory_region *region, uint64_t limit,
                        uint64_t start, struct stretch *stretch)
{
    off_t base = (off_t)region->fd_offset;
    off_t data = lseek(region->fd, base + (off_t)start, SEEK_DATA);

    if (data < 0 && errno == ENXIO)
        return false;
    if (data < 0) { /* the host does not tell: all of it */
        *stretch = (struct stretch){start, limit};
        return start < limit;
    }
    off_t hole = lseek(region->fd, data, SEEK_HOLE);
    stretch->start = (uint64_t)(data - base);
    stretch->end = hole < 0 ? limit : min_u64((uint64_t)(hole - base), limit);
    return stretch->start < limit;
}

static bool find_in_region(const struct search *search,
                           const struct vmm_memory_region *region,
                           vmm_gpa_t *gpa)
{
    uint64_t from = max_u64(search->from, region->base) - region->base;
    uint64_t limit = min_u64(search->to - region->base, region->size_bytes);
    struct stretch stretch = {.end = from};

    while (region->fd >= 0
               ? next_shared(region, limit, stretch.end, &stretch)
               : next_private(search, region, limit, stretch.end, &stretch))
        if (find_in(search, region, stretch, gpa))
            return true;
    return false;
}

int vmm_memory_find(const struct vmm_memory *memory, const void *pattern,
                    size_t len, vmm_gpa_t from, vmm_gpa_t to, uint64_t step,
                    vmm_gpa_t *gpa)
{
    struct search search = {pattern, len, from, to, step, -1};
    bool found = false;

    if (!len || len > VMM_MEMORY_PATTERN_MAX || !step)
        return -EINVAL;
    search.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < memory->count && !found; i++) {
        const struct vmm_memory_region *region = &memory->regions[i];
        if (region->base < to && from < region->base + region->size_bytes)
            found = find_in_region(&search, region, gpa);
    }
    if (search.pagemap >= 0)
        close(search.pagemap);
    return found ? 0 : -ENOENT;
}
