/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Linux's own relocations, applied for a KASLR slide.
 *
 * A kernel built with RANDOMIZE_BASE has a table of 32-bit words after its ELF,
 * made by arch/x86/tools/relocs and used by handle_relocations() in
 * arch/x86/boot/compressed/misc.c:
 *
 *   0, addresses of 64-bit fields:          add the slide
 *   0, addresses of inverse 32-bit fields:  subtract it (kernels whose per-CPU
 *                                           symbols do not begin at zero have
 *                                           no such list)
 *   0, addresses of 32-bit fields:          add it
 *
 * An address is a kernel virtual address, sign-extended to 64 bits.
 */
#include <errno.h>
#include <inttypes.h>

#include "boot/boot.h"

#define KERNEL_MAP_BASE   UINT64_C(0xffffffff80000000) /* __START_KERNEL_map */
#define KERNEL_IMAGE_SIZE (UINT64_C(1) << 30)
#define KERNEL_ALIGN_MIN  (UINT64_C(2) << 20) /* MIN_KERNEL_ALIGN */

enum field { FIELD_64, FIELD_INVERSE_32, FIELD_32 };

struct table {
    const uint8_t *words;
    uint64_t offset; /* in the file */
    uint64_t count;
    enum field order[3]; /* what each list is for */
};

/* Every list begins with a zero and no address is zero: zeros count lists. */
static unsigned count_lists(const struct table *table)
{
    unsigned lists = 0;

    for (uint64_t i = 0; i < table->count; i++)
        lists += load_le32(table->words + i * 4) == 0;
    return lists;
}

/* The table spans from the ELF's end to the file's. */
static int find_table(const struct boot_elf *elf, struct table *table,
                      struct vmm_error *err)
{
    const struct vmm_image *image = elf->image;
    uint64_t bytes = image->size_bytes - elf->end;
    unsigned lists;

    *table = (struct table){
        .words = image->bytes + elf->end,
        .offset = elf->end,
        .count = bytes / 4,
        .order = {FIELD_64, FIELD_INVERSE_32, FIELD_32},
    };
    if (bytes == 0)
        return vmm_error_set(err, ENODATA,
                             "%s: no relocation table follows the ELF, which "
                             "ends the file at offset 0x%" PRIx64,
                             image->name, elf->end);
    if (bytes % 4 || load_le32(table->words) != 0)
        return vmm_error_set(err, ENODATA,
                             "%s: the 0x%" PRIx64 " bytes after the ELF at "
                             "offset 0x%" PRIx64 " are no relocation table",
                             image->name, bytes, elf->end);
    lists = count_lists(table);
    if (lists < 2 || lists > 3)
        return vmm_error_set(err, ENOEXEC,
                             "%s: the relocation table at offset 0x%" PRIx64
                             " has %s lists, must have 2 or 3",
                             image->name, elf->end,
                             lists < 2 ? "less than 2" : "more than 3");
    if (lists == 2)
        table->order[1] = FIELD_32;
    return 0;
}

static int add_64(struct vmm_memory *memory, vmm_gpa_t gpa, uint64_t delta)
{
    uint64_t value;
    int ret = vmm_memory_load_u64(memory, gpa, &value);

    return ret < 0 ? ret : vmm_memory_store_u64(memory, gpa, value + delta);
}

static int add_32(struct vmm_memory *memory, vmm_gpa_t gpa, uint32_t delta)
{
    uint32_t value;
    int ret = vmm_memory_load_u32(memory, gpa, &value);

    return ret < 0 ? ret : vmm_memory_store_u32(memory, gpa, value + delta);
}

/* The field's place as linked; -ENOEXEC when the kernel has none there. */
static int locate(const struct boot_elf *elf, const struct table *table,
                  uint64_t index, enum field field, vmm_gpa_t *gpa,
                  struct vmm_error *err)
{
    uint64_t address =
        (uint64_t)(int64_t)(int32_t)load_le32(table->words + index * 4);

    *gpa = address - KERNEL_MAP_BASE;
    if (!boot_elf_find(elf, *gpa, field == FIELD_64 ? 8 : 4))
        return vmm_error_set(
            err, ENOEXEC,
            "%s: the relocation at offset 0x%" PRIx64 " is for 0x%" PRIx64
            ", which is outside of the kernel",
            elf->image->name, table->offset + index * 4, address);
    return 0;
}

static int apply(const struct boot_elf *elf, const struct table *table,
                 struct vmm_memory *memory, uint64_t slide,
                 struct vmm_error *err)
{
    unsigned list = 0;

    for (uint64_t i = 1; i < table->count; i++) {
        enum field field = table->order[list];
        vmm_gpa_t gpa;
        int ret;

        if (load_le32(table->words + i * 4) == 0) {
            list++;
            continue;
        }
        ret = locate(elf, table, i, field, &gpa, err);
        if (ret < 0)
            return ret;
        if (field == FIELD_64)
            ret = add_64(memory, gpa + slide, slide);
        else
            ret = add_32(memory, gpa + slide,
                         (uint32_t)(field == FIELD_32 ? slide : -slide));
        if (ret < 0)
            return vmm_error_set(err, -ret,
                                 "%s: the field at 0x%" PRIx64
                                 " to relocate is not in RAM: load the kernel "
                                 "first",
                                 elf->image->name, gpa + slide);
    }
    return 0;
}

static int check_slide(const struct boot_elf *elf, uint64_t slide,
                       struct vmm_error *err)
{
    const struct boot_segment *last = &elf->segments[elf->segment_count - 1];
    uint64_t high = last->gpa + last->memory_bytes, end;

    if (slide % KERNEL_ALIGN_MIN)
        return vmm_error_set(err, EINVAL,
                             "%s: a slide of 0x%" PRIx64
                             " is no multiple of 0x200000",
                             elf->image->name, slide);
    if (!add_u64(high, slide, &end) || end > KERNEL_IMAGE_SIZE)
        return vmm_error_set(err, ERANGE,
                             "%s: a slide of 0x%" PRIx64
                             " moves the kernel's end from 0x%" PRIx64
                             " past 0x%" PRIx64,
                             elf->image->name, slide, high, KERNEL_IMAGE_SIZE);
    return 0;
}

int vmm_elf_relocate(const struct vmm_image *vmlinux, struct vmm_memory *memory,
                     uint64_t slide, struct vmm_error *err)
{
    struct boot_elf elf;
    struct table table = {0};
    int ret;

    vmm_error_clear(err);
    ret = boot_elf_parse(vmlinux, &elf, err);
    if (ret == 0)
        ret = find_table(&elf, &table, err);
    if (ret == 0)
        ret = check_slide(&elf, slide, err);
    return ret < 0 ? ret : apply(&elf, &table, memory, slide, err);
}
