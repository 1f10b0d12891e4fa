/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest memory's life: the layout checked, mapped, counted and unmapped. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/memfd.h>

#include "base/arith.h"
#include "memory/memory.h"

#define PAGE_BYTES      UINT64_C(4096)
#define HUGE_PAGE_BYTES (UINT64_C(2) << 20)
/* x86-64 has at most 52 bits of physical address (Intel SDM vol. 3, 4.1.4). */
#define GPA_LIMIT (UINT64_C(1) << 52)

static int check_range(const struct vmm_memory_config *config, size_t index,
                       struct vmm_error *err)
{
    const struct vmm_memory_range *range = &config->ranges[index];
    uint64_t unit = config->huge_pages ? HUGE_PAGE_BYTES : PAGE_BYTES;
    uint64_t end;

    if (range->size_bytes == 0)
        return vmm_error_set(err, EINVAL,
                             "memory range %zu at 0x%" PRIx64 " has size 0",
                             index, range->base);
    if (!is_aligned(range->base, unit) || !is_aligned(range->size_bytes, unit))
        return vmm_error_set(err, EINVAL,
                             "memory range %zu (base 0x%" PRIx64
                             ", size 0x%" PRIx64
                             "): both must be multiples of 0x%" PRIx64 "%s",
                             index, range->base, range->size_bytes, unit,
                             config->huge_pages ? " with huge pages" : "");
    if (!add_u64(range->base, range->size_bytes, &end) || end > GPA_LIMIT)
        return vmm_error_set(err, EINVAL,
                             "memory range %zu (base 0x%" PRIx64
                             ", size 0x%" PRIx64 ") ends beyond 0x%" PRIx64 ", "
                             "the limit of x86-64 physical addresses",
                             index, range->base, range->size_bytes, GPA_LIMIT);
    return 0;
}

static int check_layout(const struct vmm_memory_config *config,
                        struct vmm_error *err)
{
    if (config->range_count == 0 || config->range_count > VMM_MEMORY_RANGES_MAX)
        return vmm_error_set(err, EINVAL,
                             "%zu memory ranges given, 1 to %d are possible",
                             config->range_count, VMM_MEMORY_RANGES_MAX);
    for (size_t i = 0; i < config->range_count; i++) {
        int ret = check_range(config, i, err);

        if (ret)
            return ret;
        if (i == 0)
            continue;

        const struct vmm_memory_range *before = &config->ranges[i - 1];
        uint64_t end = before->base + before->size_bytes;

        if (config->ranges[i].base < end)
            return vmm_error_set(
                err, EINVAL,
                "memory range %zu starts at 0x%" PRIx64 ", before range %zu "
                "[0x%" PRIx64 ", 0x%" PRIx64 ") ends: ranges must ascend and "
                "not overlap",
                i, config->ranges[i].base, i - 1, before->base, end);
    }
    return 0;
}

/* Free 2 MiB pages of the host, or -1 when it does not tell. */
static long free_huge_pages(void)
{
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/"
                       "free_hugepages",
                       "re");
    long count;

    if (!file)
        return -1;
    if (fscanf(file, "%ld", &count) != 1)
        count = -1;
    fclose(file);
    return count;
}

static int refused(const struct vmm_memory_config *config,
                   const struct vmm_memory_region *region,
                   struct vmm_error *err)
{
    if (config->huge_pages && errno == ENOMEM)
        return vmm_error_set(
            err, ENOMEM,
            "guest memory at 0x%" PRIx64 " needs %" PRIu64 " huge pages of "
            "2 MiB, the host has %ld free (see /proc/sys/vm/nr_hugepages)",
            region->base, region->size_bytes / HUGE_PAGE_BYTES,
            free_huge_pages());
    return vmm_error_errno(err,
                           "the host refuses to map %" PRIu64 " MiB (0x%" PRIx64
                           " bytes) for guest memory at 0x%" PRIx64,
                           region->size_bytes >> 20, region->size_bytes,
                           region->base);
}

/*
 * One memfd holds all regions, one after another.  It is sealed against
 * shrinking: whoever is handed the fd cannot make our mappings raise SIGBUS.
 */
static int create_memfd(const struct vmm_memory_config *config,
                        struct vmm_memory *memory, struct vmm_error *err)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

    if (config->huge_pages)
        flags |= MFD_HUGETLB | MFD_HUGE_2MB;
    memory->fd = memfd_create("vmm-guest-memory", flags);
    if (memory->fd < 0)
        return vmm_error_errno(err, "memfd_create for guest memory");
    if (ftruncate(memory->fd, (off_t)memory->size_bytes) < 0)
        return vmm_error_errno(err,
                               "the host refuses a memfd of 0x%" PRIx64
                               " bytes for guest memory",
                               memory->size_bytes);
    if (fcntl(memory->fd, F_ADD_SEALS,
              F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return vmm_error_errno(err, "sealing the memfd of guest memory");
    return 0;
}

/* Reserve address space for region and its guards; returns where the region
 * goes, or NULL. */
static void *reserve(const struct vmm_memory_region *region,
                     struct memory_mapping *mapping)
{
    /* Room to slide by less than 2 MiB, and a guard on both sides. */
    uint64_t bytes = region->size_bytes + HUGE_PAGE_BYTES + PAGE_BYTES;
    void *reserved = mmap(NULL, bytes, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (reserved == MAP_FAILED)
        return NULL;
    mapping->reserved = reserved;
    mapping->reserved_bytes = bytes;

    uintptr_t lowest = (uintptr_t)reserved + PAGE_BYTES;
    uint64_t slide = (region->base - lowest) & (HUGE_PAGE_BYTES - 1);

    return (uint8_t *)reserved + PAGE_BYTES + slide;
}

/*
 * Advice: a kernel that does not know it, or has no huge pages, loses nothing
 * but speed.  Huge pages make touching much memory 2.5 times and unmapping it
 * 18 times faster; but clearing one takes 0.4 ms, so the first 2 MiB, where
 * boot structures lie scattered and tiny guests live, keep small ones.
 * Children (a script's os.execute) get no copy.
 */
static void advise(const struct vmm_memory_config *config,
                   const struct vmm_memory_region *region)
{
    uint64_t skip = HUGE_PAGE_BYTES - min_u64(region->base, HUGE_PAGE_BYTES);

    if (!config->huge_pages && skip < region->size_bytes)
        madvise((uint8_t *)region->host + skip, region->size_bytes - skip,
                MADV_HUGEPAGE);
    madvise(region->host, region->size_bytes, MADV_DONTFORK);
}

static int map_region(const struct vmm_memory_config *config,
                      struct vmm_memory_region *region,
                      struct memory_mapping *mapping, struct vmm_error *err)
{
    void *at = reserve(region, mapping);
    int flags = MAP_FIXED;

    if (!at)
        return refused(config, region, err);
    flags |= config->shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    /* Huge pages are reserved now: were the pool empty later, the guest's
     * first touch would kill the process. */
    if (!config->huge_pages)
        flags |= MAP_NORESERVE;
    else if (!config->shared)
        flags |= MAP_HUGETLB | (21 << MAP_HUGE_SHIFT);
    region->host = mmap(at, region->size_bytes, PROT_READ | PROT_WRITE, flags,
                        region->fd, (off_t)region->fd_offset);
    if (region->host == MAP_FAILED)
        return refused(config, region, err);

    advise(config, region);
    return 0;
}

static void release(struct vmm_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++)
        if (memory->mappings[i].reserved)
            munmap(memory->mappings[i].reserved,
                   memory->mappings[i].reserved_bytes);
    if (memory->fd >= 0)
        close(memory->fd);
    free(memory);
}

static int map_all(const struct vmm_memory_config *config,
                   struct vmm_memory *memory, struct vmm_error *err)
{
    int ret = config->shared ? create_memfd(config, memory, err) : 0;
    uint64_t offset = 0;

    for (size_t i = 0; i < memory->count && !ret; i++) {
        struct vmm_memory_region *region = &memory->regions[i];

        region->fd = memory->fd;
        region->fd_offset = config->shared ? offset : 0;
        offset += region->size_bytes;
        ret = map_region(config, region, &memory->mappings[i], err);
    }
    return ret;
}

int vmm_memory_new(const struct vmm_memory_config *config,
                   struct vmm_memory **memory, struct vmm_error *err)
{
    vmm_error_clear(err);
    *memory = NULL;

    int ret = check_layout(config, err);

    if (ret)
        return ret;

    struct vmm_memory *new = calloc(1, sizeof(*new));

    if (!new)
        return vmm_error_set(err, ENOMEM, "no memory for struct vmm_memory");
    atomic_init(&new->references, 1);
    new->fd = -1;
    new->huge_pages = config->huge_pages;
    new->count = config->range_count;
    for (size_t i = 0; i < new->count; i++) {
        new->regions[i].base = config->ranges[i].base;
        new->regions[i].size_bytes = config->ranges[i].size_bytes;
        new->size_bytes += config->ranges[i].size_bytes;
    }
    ret = map_all(config, new, err);
    if (ret) {
        release(new);
        return ret;
    }
    *memory = new;
    return 0;
}

struct vmm_memory *vmm_memory_ref(struct vmm_memory *memory)
{
    atomic_fetch_add_explicit(&memory->references, 1, memory_order_relaxed);
    return memory;
}

void vmm_memory_unref(struct vmm_memory *memory)
{
    /* Acquire and release: the last owner sees what the others did. */
    if (memory && atomic_fetch_sub_explicit(&memory->references, 1,
                                            memory_order_acq_rel) == 1)
        release(memory);
}

size_t vmm_memory_region_count(const struct vmm_memory *memory)
{
    return memory->count;
}

struct vmm_memory_region vmm_memory_region(const struct vmm_memory *memory,
                                           size_t index)
{
    return memory->regions[index];
}

uint64_t vmm_memory_size_bytes(const struct vmm_memory *memory)
{
    return memory->size_bytes;
}
