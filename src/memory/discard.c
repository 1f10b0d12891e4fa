/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest memory given back to the host. */
#include <errno.h>
#include <sys/mman.h>

#include "base/arith.h"
#include "memory/memory.h"

#define PAGE_BYTES 4096

int vmm_memory_discard(struct vmm_memory *memory, vmm_gpa_t gpa, uint64_t len)
{
    struct iovec pieces[VMM_MEMORY_RANGES_MAX];

    if (memory->huge_pages)
        return -ENOTSUP;
    if (!is_aligned(gpa, PAGE_BYTES) || !is_aligned(len, PAGE_BYTES))
        return -EINVAL;
    int count =
        vmm_memory_iovec(memory, gpa, len, pieces, VMM_MEMORY_RANGES_MAX);
    for (int i = 0; i < count; i++)
        /* Of a memfd the pages themselves have to go, not our mapping. */
        if (madvise(pieces[i].iov_base, pieces[i].iov_len,
                    memory->fd >= 0 ? MADV_REMOVE : MADV_DONTNEED))
            return -errno;
    return count < 0 ? count : 0;
}
