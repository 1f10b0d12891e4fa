/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Whole images into guest RAM: raw at a given address, an initrd where it
 * fits. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "boot/boot.h"

void boot_ram_text(const struct vmm_memory *memory,
                   char text[BOOT_RAM_TEXT_BYTES])
{
    size_t count = vmm_memory_region_count(memory);
    size_t shown = count < 4 ? count : 4;
    int used = 0;

    for (size_t i = 0; i < shown; i++) {
        struct vmm_memory_region region = vmm_memory_region(memory, i);

        used += snprintf(text + used, BOOT_RAM_TEXT_BYTES - (size_t)used,
                         "%s[0x%" PRIx64 ", 0x%" PRIx64 ")", i ? ", " : "",
                         region.base, region.base + region.size_bytes);
    }
    if (shown < count)
        snprintf(text + used, BOOT_RAM_TEXT_BYTES - (size_t)used, ", ...");
}

int boot_require_ram(const struct vmm_memory *memory, vmm_gpa_t gpa,
                     uint64_t len, const struct vmm_image *image,
                     const char *what, struct vmm_error *err)
{
    char ram[BOOT_RAM_TEXT_BYTES];

    if (vmm_memory_check(memory, gpa, len) == 0)
        return 0;
    boot_ram_text(memory, ram);
    return vmm_error_set(err, EFAULT,
                         "%s: %s needs 0x%" PRIx64 " bytes of RAM at 0x%" PRIx64
                         "; RAM is %s",
                         image->name, what, len, gpa, ram);
}

int vmm_raw_load(const struct vmm_image *image, struct vmm_memory *memory,
                 vmm_gpa_t gpa, struct vmm_error *err)
{
    int ret;

    vmm_error_clear(err);
    ret = boot_require_ram(memory, gpa, image->size_bytes, image, "the image",
                           err);
    if (ret < 0)
        return ret;
    return vmm_memory_write(memory, gpa, image->bytes, image->size_bytes);
}

/* The highest page in region where size bytes fit in [min, end), if any. */
static bool fit(const struct vmm_memory_region *region, uint64_t size_bytes,
                vmm_gpa_t min, vmm_gpa_t end, vmm_gpa_t *gpa)
{
    vmm_gpa_t region_end = region->base + region->size_bytes;

    end = min_u64(end, region_end);
    if (end < size_bytes)
        return false;
    *gpa = align_down(end - size_bytes, BOOT_PAGE_BYTES);
    return *gpa >= max_u64(min, region->base);
}

int vmm_initrd_load(const struct vmm_image *image, struct vmm_memory *memory,
                    vmm_gpa_t min_gpa, vmm_gpa_t max_gpa, vmm_gpa_t *gpa,
                    struct vmm_error *err)
{
    vmm_gpa_t end = max_gpa == UINT64_MAX ? max_gpa : max_gpa + 1;
    char ram[BOOT_RAM_TEXT_BYTES];

    vmm_error_clear(err);
    for (size_t i = vmm_memory_region_count(memory); i-- > 0;) {
        struct vmm_memory_region region = vmm_memory_region(memory, i);

        if (fit(&region, image->size_bytes, min_gpa, end, gpa))
            return vmm_memory_write(memory, *gpa, image->bytes,
                                    image->size_bytes);
    }
    boot_ram_text(memory, ram);
    return vmm_error_set(err, ENOSPC,
                         "%s: no room for an initrd of 0x%" PRIx64
                         " bytes in one region of RAM between 0x%" PRIx64
                         " and 0x%" PRIx64 "; RAM is %s",
                         image->name, image->size_bytes, min_gpa, max_gpa, ram);
}
