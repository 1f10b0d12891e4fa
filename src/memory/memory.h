/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the files of src/memory share: the object behind vmm/memory.h. */
#ifndef VMM_MEMORY_MEMORY_H
#define VMM_MEMORY_MEMORY_H

#include <stdatomic.h>

#include <vmm/memory.h>

/*
 * Where a region lives in the host's address space:
 *
 *   reserved                                 reserved + reserved_bytes
 *   | guard (no access) |   the region   | guard (no access) |
 *                       ^ host, congruent to base modulo 2 MiB
 *
 * A stray host pointer just outside a region faults instead of reaching a
 * neighbour.  The congruence lets KVM map 2 MiB of the guest by one entry.
 */
struct memory_mapping {
    void *reserved;
    uint64_t reserved_bytes;
};

/* Immutable after vmm_memory_new but for the count of references: looking up
 * takes no lock. */
struct vmm_memory {
    atomic_size_t references;
    uint64_t size_bytes;
    int fd; /* of the memfd, or -1 */
    bool huge_pages;
    size_t count;
    struct vmm_memory_region regions[VMM_MEMORY_RANGES_MAX];
    struct memory_mapping mappings[VMM_MEMORY_RANGES_MAX];
};

#endif
