/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * The walk through the guest's page tables.  They are the guest's to change at
 * any time: each entry is loaded once, and no walk is longer than five.
 */
#include <errno.h>
#include <stdbool.h>

#include <vmm/paging.h>

#include "base/arith.h"

#define PRESENT   UINT64_C(1)
#define LARGE     (UINT64_C(1) << 7)
#define FRAME     UINT64_C(0x000ffffffffff000)
#define PAGE_BITS 12

#define CR0_PG     (UINT64_C(1) << 31)
#define CR4_PAE    (UINT64_C(1) << 5)
#define CR4_LA57   (UINT64_C(1) << 12)
#define EFER_LMA   (UINT64_C(1) << 10)
#define CR3_OF_PAE UINT64_C(0xffffffe0)

struct vmm_address_space vmm_address_space(uint64_t cr0, uint64_t cr3,
                                           uint64_t cr4, uint64_t efer)
{
    struct vmm_address_space space = {.cr3 = cr3, .levels = 2};

    if (!(cr0 & CR0_PG))
        space.levels = 0;
    else if (efer & EFER_LMA)
        space.levels = cr4 & CR4_LA57 ? 5 : 4;
    else if (cr4 & CR4_PAE)
        space.levels = 3;
    return space;
}

/* Bits above the highest that is translated are copies of it. */
static bool is_canonical(uint64_t gva, int levels)
{
    int unused = 64 - (levels == 5 ? 57 : 48);

    return (uint64_t)((int64_t)(gva << unused) >> unused) == gva;
}

static void found(uint64_t frame, uint64_t gva, unsigned bits, vmm_gpa_t *gpa,
                  uint64_t *run)
{
    uint64_t size = UINT64_C(1) << bits;
    uint64_t offset = gva & (size - 1);

    *gpa = (frame & ~(size - 1)) + offset;
    if (run)
        *run = size - offset;
}

/* 32-bit paging: entries of four bytes; pages of 4 MiB reach beyond 4 GiB. */
static int walk_32(const struct vmm_memory *memory, uint64_t cr3, uint64_t gva,
                   vmm_gpa_t *gpa, uint64_t *run)
{
    uint32_t entry;

    if (gva >> 32 ||
        vmm_memory_load_u32(
            memory, (cr3 & UINT64_C(0xfffff000)) + 4 * (gva >> 22), &entry) ||
        !(entry & PRESENT))
        return -EFAULT;
    if (entry & LARGE) {
        uint64_t high = (entry >> 13) & 0xff;

        found((entry & UINT32_C(0xffc00000)) | high << 32, gva, 22, gpa, run);
        return 0;
    }
    if (vmm_memory_load_u32(memory,
                            (entry & UINT32_C(0xfffff000)) +
                                4 * (gva >> PAGE_BITS & 0x3ff),
                            &entry) ||
        !(entry & PRESENT))
        return -EFAULT;
    found(entry & UINT32_C(0xfffff000), gva, PAGE_BITS, gpa, run);
    return 0;
}

/* PAE and long mode: entries of eight bytes, nine bits of the address each. */
static int walk(const struct vmm_memory *memory,
                const struct vmm_address_space *space, uint64_t gva,
                vmm_gpa_t *gpa, uint64_t *run)
{
    bool pae = space->levels == 3;
    uint64_t table = space->cr3 & (pae ? CR3_OF_PAE : FRAME);

    if (pae ? gva >> 32 != 0 : !is_canonical(gva, space->levels))
        return -EFAULT;
    for (int level = space->levels; level > 0; level--) {
        unsigned shift = PAGE_BITS + 9 * (unsigned)(level - 1);
        uint64_t entry;

        if (vmm_memory_load_u64(memory, table + 8 * (gva >> shift & 0x1ff),
                                &entry) ||
            !(entry & PRESENT))
            return -EFAULT;
        table = entry & FRAME;
        /* Pages of 2 MiB anywhere, of 1 GiB in long mode only. */
        if (level == 1 ||
            (entry & LARGE && (level == 2 || (level == 3 && !pae)))) {
            found(table, gva, shift, gpa, run);
            return 0;
        }
    }
    return -EFAULT;
}

int vmm_paging_translate(const struct vmm_memory *memory,
                         const struct vmm_address_space *space, uint64_t gva,
                         vmm_gpa_t *gpa, uint64_t *run)
{
    switch (space->levels) {
    case 0:
        found(gva & FRAME, gva, PAGE_BITS, gpa, run);
        return gva >> 52 ? -EFAULT : 0;
    case 2:
        return walk_32(memory, space->cr3, gva, gpa, run);
    case 3:
    case 4:
    case 5:
        return walk(memory, space, gva, gpa, run);
    default:
        return -EINVAL;
    }
}

/* The next piece of [gva, gva + left) that lies in one page and in RAM. */
static int next_piece(const struct vmm_memory *memory,
                      const struct vmm_address_space *space, uint64_t gva,
                      uint64_t left, vmm_gpa_t *gpa, uint64_t *piece,
                      uint64_t *fault)
{
    uint64_t page = gva & ~((UINT64_C(1) << PAGE_BITS) - 1), run;
    int ret = vmm_paging_translate(memory, space, gva, gpa, &run);

    if (!ret) {
        *piece = min_u64(left, run);
        ret = vmm_memory_check(memory, *gpa, *piece);
    }
    if (ret && fault)
        *fault = page;
    return ret;
}

int vmm_paging_check(const struct vmm_memory *memory,
                     const struct vmm_address_space *space, uint64_t gva,
                     uint64_t len, uint64_t *fault)
{
    uint64_t piece, end;
    vmm_gpa_t gpa;

    if (len && !add_u64(gva, len - 1, &end)) {
        if (fault)
            *fault = gva;
        return -EFAULT;
    }
    for (; len; gva += piece, len -= piece) {
        int ret = next_piece(memory, space, gva, len, &gpa, &piece, fault);
        if (ret)
            return ret;
    }
    return 0;
}

int vmm_paging_read(const struct vmm_memory *memory,
                    const struct vmm_address_space *space, uint64_t gva,
                    void *buffer, size_t len, uint64_t *fault)
{
    uint8_t *to = buffer;
    uint64_t piece;
    vmm_gpa_t gpa;

    for (uint64_t left = len; left; gva += piece, left -= piece, to += piece) {
        int ret = next_piece(memory, space, gva, left, &gpa, &piece, fault);
        if (!ret)
            ret = vmm_memory_read(memory, gpa, to, piece);
        if (ret)
            return ret;
    }
    return 0;
}

int vmm_paging_write(struct vmm_memory *memory,
                     const struct vmm_address_space *space, uint64_t gva,
                     const void *buffer, size_t len, uint64_t *fault)
{
    const uint8_t *from = buffer;
    uint64_t piece;
    vmm_gpa_t gpa;
    int ret = vmm_paging_check(memory, space, gva, len, fault);

    for (uint64_t left = len; left && !ret;
         gva += piece, left -= piece, from += piece) {
        ret = next_piece(memory, space, gva, left, &gpa, &piece, fault);
        if (!ret)
            ret = vmm_memory_write(memory, gpa, from, piece);
    }
    return ret;
}
