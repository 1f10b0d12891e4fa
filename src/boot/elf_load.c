/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* ELF64 executables: what they say of their entry points, and their way into
 * guest memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "boot/boot.h"

/*
 * The entry's guest physical address.  By the ELF specification e_entry is
 * virtual; Linux's vmlinux has the physical address there instead.
 */
static int find_entry(const struct boot_elf *elf, struct vmm_elf_info *info,
                      struct vmm_error *err)
{
    info->entry = elf->entry;
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct boot_segment *segment = &elf->segments[i];
        uint64_t offset = elf->entry - segment->virtual_address;

        if (offset < segment->memory_bytes) {
            info->entry_gpa = segment->gpa + offset;
            return 0;
        }
    }
    if (!boot_elf_find(elf, elf->entry, 1))
        return vmm_error_set(err, ENOEXEC,
                             "%s: e_entry (offset 0x18) is 0x%" PRIx64
                             ": no PT_LOAD has that virtual or physical "
                             "address",
                             elf->image->name, elf->entry);
    info->entry_gpa = elf->entry;
    return 0;
}

static int inspect(const struct vmm_image *image, struct boot_elf *elf,
                   struct vmm_elf_info *info, struct vmm_error *err)
{
    const struct boot_segment *last;
    int ret;

    vmm_error_clear(err);
    memset(info, 0, sizeof(*info));
    ret = boot_elf_parse(image, elf, err);
    if (ret < 0)
        return ret;
    last = &elf->segments[elf->segment_count - 1];
    info->low = elf->segments[0].gpa;
    info->high = last->gpa + last->memory_bytes;
    ret = find_entry(elf, info, err);
    return ret < 0 ? ret : boot_elf_find_pvh(elf, info, err);
}

int vmm_elf_inspect(const struct vmm_image *image, struct vmm_elf_info *info,
                    struct vmm_error *err)
{
    struct boot_elf elf;

    return inspect(image, &elf, info, err);
}

/* Move all addresses of info; -EINVAL when one would wrap. */
static int slide_info(const struct vmm_image *image, uint64_t slide,
                      struct vmm_elf_info *info, struct vmm_error *err)
{
    if (!add_u64(info->high, slide, &info->high) ||
        !add_u64(info->entry, slide, &info->entry))
        return vmm_error_set(err, EINVAL,
                             "%s: a slide of 0x%" PRIx64
                             " makes its addresses wrap around",
                             image->name, slide);
    info->low += slide;
    info->entry_gpa += slide;
    info->pvh_entry += info->has_pvh ? slide : 0;
    if (info->pvh_entry > UINT32_MAX) {
        info->has_pvh = false; /* 32-bit code cannot run there */
        info->pvh_entry = 0;
    }
    return 0;
}

/* Refuse before the first byte is written. */
static int check_place(const struct boot_elf *elf,
                       const struct vmm_memory *memory, vmm_gpa_t min_gpa,
                       uint64_t slide, struct vmm_error *err)
{
    for (size_t i = 0; i < elf->segment_count; i++) {
        const struct boot_segment *segment = &elf->segments[i];
        vmm_gpa_t gpa = segment->gpa + slide;
        char what[40];
        int ret;

        if (gpa < min_gpa)
            return vmm_error_set(err, ERANGE,
                                 "%s: program header %u loads at 0x%" PRIx64
                                 ", below the lowest address allowed "
                                 "(0x%" PRIx64 ")",
                                 elf->image->name, segment->index, gpa,
                                 min_gpa);
        snprintf(what, sizeof(what), "program header %u", segment->index);
        ret = boot_require_ram(memory, gpa, segment->memory_bytes, elf->image,
                               what, err);
        if (ret < 0)
            return ret;
    }
    return 0;
}

static int copy(const struct boot_elf *elf, struct vmm_memory *memory,
                uint64_t slide)
{
    int ret = 0;

    for (size_t i = 0; ret == 0 && i < elf->segment_count; i++) {
        const struct boot_segment *segment = &elf->segments[i];
        vmm_gpa_t gpa = segment->gpa + slide;
        uint64_t file_bytes = segment->file_bytes;

        ret = vmm_memory_write(memory, gpa, elf->image->bytes + segment->offset,
                               file_bytes);
        if (ret == 0)
            ret = vmm_memory_fill(memory, gpa + file_bytes, 0,
                                  segment->memory_bytes - file_bytes);
    }
    return ret;
}

int vmm_elf_load(const struct vmm_image *image, struct vmm_memory *memory,
                 vmm_gpa_t min_gpa, uint64_t slide, struct vmm_elf_info *info,
                 struct vmm_error *err)
{
    struct boot_elf elf;
    int ret = inspect(image, &elf, info, err);

    if (ret == 0)
        ret = slide_info(image, slide, info, err);
    if (ret == 0)
        ret = check_place(&elf, memory, min_gpa, slide, err);
    return ret < 0 ? ret : copy(&elf, memory, slide);
}
