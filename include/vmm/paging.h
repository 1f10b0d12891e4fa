/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest virtual memory: x86's page tables walked, and the doors through them.
 */
#ifndef VMM_PAGING_H
#define VMM_PAGING_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/memory.h>

/*
 * An address space of the guest (Intel SDM vol. 3, chapter 4).  It is no more
 * than these numbers: it may be of a process that does not run, and is read
 * without a vCPU.
 */
struct vmm_address_space {
    uint64_t cr3;
    /* Levels of tables: 5, 4, 3 (PAE), 2 (32-bit), or 0 (paging is off: an
     * address is a physical one). */
    int levels;
};

/* The space that a vCPU with these control registers is in. */
VMM_API struct vmm_address_space vmm_address_space(uint64_t cr0, uint64_t cr3,
                                                   uint64_t cr4, uint64_t efer);

/*
 * Where gva lies; *run (may be NULL) is how many bytes from there lie in the
 * same page.  Permissions are not looked at.  -EFAULT when it is not mapped, is
 * not canonical, or a table lies outside RAM.
 */
VMM_API int vmm_paging_translate(const struct vmm_memory *memory,
                                 const struct vmm_address_space *space,
                                 uint64_t gva, vmm_gpa_t *gpa, uint64_t *run);

/*
 * Read or write all of [gva, gva + len), or -EFAULT with the first address
 * that is not mapped to RAM in *fault (may be NULL).  A write that fails has
 * written nothing, unless the guest changes its tables meanwhile.
 */
VMM_API int vmm_paging_read(const struct vmm_memory *memory,
                            const struct vmm_address_space *space, uint64_t gva,
                            void *buffer, size_t len, uint64_t *fault);
VMM_API int vmm_paging_write(struct vmm_memory *memory,
                             const struct vmm_address_space *space,
                             uint64_t gva, const void *buffer, size_t len,
                             uint64_t *fault);
/* Whether all of it is mapped to RAM: before memory for it is taken. */
VMM_API int vmm_paging_check(const struct vmm_memory *memory,
                             const struct vmm_address_space *space,
                             uint64_t gva, uint64_t len, uint64_t *fault);

#endif
