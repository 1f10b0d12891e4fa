/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest memory: disjoint regions of host memory and the checked doors to it. */
#ifndef VMM_MEMORY_H
#define VMM_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <vmm/error.h>
#include <vmm/export.h>

/* A guest physical address: an integer, so that nobody can dereference it. */
typedef uint64_t vmm_gpa_t;

struct vmm_memory;

/* One range of guest physical addresses backed by RAM. */
struct vmm_memory_range {
    vmm_gpa_t base;      /* multiple of 4096 */
    uint64_t size_bytes; /* multiple of 4096, not 0 */
};

struct vmm_memory_config {
    const struct vmm_memory_range *ranges; /* ascending, disjoint */
    size_t range_count;                    /* 1 .. VMM_MEMORY_RANGES_MAX */
    bool shared;     /* back by a memfd, so that other processes can map it */
    bool huge_pages; /* hugetlb pages of 2 MiB; ranges must be multiples */
};

#define VMM_MEMORY_RANGES_MAX 32

/* A region as mapped; what a memslot or a vhost-user region is made of. */
struct vmm_memory_region {
    vmm_gpa_t base;
    uint64_t size_bytes;
    void *host;         /* valid as long as the memory is */
    int fd;             /* memfd when shared, else -1 */
    uint64_t fd_offset; /* where the region starts in fd */
};

/*
 * Reserve guest memory, zeroed and lazily backed (huge pages are set aside at
 * once).  Whether the host has as much RAM is not asked, only whether it maps
 * it.  Errors: -EINVAL for a bad layout, -ENOMEM or another errno of the host
 * when it refuses; the text has the numbers.
 * The memory starts with one reference.
 */
VMM_API int vmm_memory_new(const struct vmm_memory_config *config,
                           struct vmm_memory **memory, struct vmm_error *err);
VMM_API struct vmm_memory *vmm_memory_ref(struct vmm_memory *memory);
/* Drop a reference; the last one unmaps.  memory may be NULL. */
VMM_API void vmm_memory_unref(struct vmm_memory *memory);

VMM_API size_t vmm_memory_region_count(const struct vmm_memory *memory);
/* index < vmm_memory_region_count(); regions ascend by base. */
VMM_API struct vmm_memory_region
vmm_memory_region(const struct vmm_memory *memory, size_t index);
VMM_API uint64_t vmm_memory_size_bytes(const struct vmm_memory *memory);

/*
 * The doors.  Each takes a length, may span adjoining regions, and fails whole:
 * -EFAULT when any byte of [gpa, gpa + len) is not RAM or the sum wraps.
 * A length of 0 is fine at any address that is RAM or one past a region's end.
 * All may be called by any thread at any time.  The guest and other threads
 * write the same bytes meanwhile: what was read is a copy that may mix old and
 * new; check the copy and use the copy.
 */
VMM_API int vmm_memory_check(const struct vmm_memory *memory, vmm_gpa_t gpa,
                             uint64_t len);
VMM_API int vmm_memory_read(const struct vmm_memory *memory, vmm_gpa_t gpa,
                            void *buffer, size_t len);
VMM_API int vmm_memory_write(struct vmm_memory *memory, vmm_gpa_t gpa,
                             const void *buffer, size_t len);
VMM_API int vmm_memory_fill(struct vmm_memory *memory, vmm_gpa_t gpa,
                            uint8_t byte, uint64_t len);
/* pread() from fd at offset straight into guest memory, all of len or -errno
 * (-ENODATA when the file ends early, -EINVAL beyond 2^63): what was read
 * before a failure stays. */
VMM_API int vmm_memory_read_file(struct vmm_memory *memory, vmm_gpa_t gpa,
                                 int fd, uint64_t offset, uint64_t len);

/*
 * Give pages back to the host: they hold zeros, and cost nothing until they are
 * touched again.  gpa and len are multiples of 4096 (-EINVAL).  -EFAULT as
 * above; -ENOTSUP with huge pages; another errno when the host refuses.
 */
VMM_API int vmm_memory_discard(struct vmm_memory *memory, vmm_gpa_t gpa,
                               uint64_t len);

/*
 * The lowest address in [from, to) at which these len bytes (1 ..
 * VMM_MEMORY_PATTERN_MAX) lie, all of them below `to` and in one region; only
 * at addresses that are from plus a multiple of step (1: anywhere).
 * Pages that nobody has touched yet hold no match, and stay untouched, where
 * the host tells them apart (by /proc): much empty RAM costs little.
 * 0, -ENOENT, or -EINVAL for a bad length or a step of 0.
 */
#define VMM_MEMORY_PATTERN_MAX 4096
VMM_API int vmm_memory_find(const struct vmm_memory *memory,
                            const void *pattern, size_t len, vmm_gpa_t from,
                            vmm_gpa_t to, uint64_t step, vmm_gpa_t *gpa);

/* Little-endian loads and stores, any alignment; naturally aligned ones are
 * one access and do not tear. */
VMM_API int vmm_memory_load_u8(const struct vmm_memory *memory, vmm_gpa_t gpa,
                               uint8_t *value);
VMM_API int vmm_memory_load_u16(const struct vmm_memory *memory, vmm_gpa_t gpa,
                                uint16_t *value);
VMM_API int vmm_memory_load_u32(const struct vmm_memory *memory, vmm_gpa_t gpa,
                                uint32_t *value);
VMM_API int vmm_memory_load_u64(const struct vmm_memory *memory, vmm_gpa_t gpa,
                                uint64_t *value);
VMM_API int vmm_memory_store_u8(struct vmm_memory *memory, vmm_gpa_t gpa,
                                uint8_t value);
VMM_API int vmm_memory_store_u16(struct vmm_memory *memory, vmm_gpa_t gpa,
                                 uint16_t value);
VMM_API int vmm_memory_store_u32(struct vmm_memory *memory, vmm_gpa_t gpa,
                                 uint32_t value);
VMM_API int vmm_memory_store_u64(struct vmm_memory *memory, vmm_gpa_t gpa,
                                 uint64_t value);

/* Ring indices: atomic, naturally aligned (-EINVAL otherwise). */
VMM_API int vmm_memory_load_acquire_u16(const struct vmm_memory *memory,
                                        vmm_gpa_t gpa, uint16_t *value);
VMM_API int vmm_memory_store_release_u16(struct vmm_memory *memory,
                                         vmm_gpa_t gpa, uint16_t value);

/*
 * A bounded view of [gpa, gpa + len) as host pieces, for file I/O and rings.
 * Returns the number of pieces used (one per region touched), -EFAULT as
 * above, -ENOBUFS when max is too small.  Valid while the memory is referenced.
 */
VMM_API int vmm_memory_iovec(struct vmm_memory *memory, vmm_gpa_t gpa,
                             uint64_t len, struct iovec *pieces, int max);

#endif
