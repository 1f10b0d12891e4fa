/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the ELF loader: the input is a file, inspected, loaded as linked and
 * with a slide, and relocated.  What is refused must leave RAM as it was.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/boot.h>

#include "../../src/base/arith.h"
#include "require.h"

#define SLIDE        0x200000
#define UNTOUCHED    0x5a
#define REGION_BYTES 0x3000

/* Where the corpus's segments are, as linked and slid. */
static const struct vmm_memory_range ranges[] = {
    {0x100000, REGION_BYTES},
    {0x200000, REGION_BYTES},
    {0x300000, REGION_BYTES},
    {0x400000, REGION_BYTES},
};
#define REGIONS (sizeof(ranges) / sizeof(ranges[0]))

static struct vmm_memory *new_memory(void)
{
    struct vmm_memory_config config = {.ranges = ranges,
                                       .range_count = REGIONS};
    struct vmm_memory *memory;

    REQUIRE(vmm_memory_new(&config, &memory, NULL) == 0);
    return memory;
}

static void reset(struct vmm_memory *memory)
{
    for (size_t i = 0; i < REGIONS; i++)
        REQUIRE(vmm_memory_fill(memory, ranges[i].base, UNTOUCHED,
                                ranges[i].size_bytes) == 0);
}

/* RAM outside [low, high) is as reset() left it. */
static bool untouched_outside(const struct vmm_memory *memory, uint64_t low,
                              uint64_t high)
{
    static uint8_t bytes[REGION_BYTES], untouched[REGION_BYTES];

    memset(untouched, UNTOUCHED, REGION_BYTES);
    for (size_t i = 0; i < REGIONS; i++) {
        uint64_t base = ranges[i].base;
        uint64_t from = max_u64(low, base);
        uint64_t to = min_u64(high, base + REGION_BYTES);

        REQUIRE(vmm_memory_read(memory, base, bytes, REGION_BYTES) == 0);
        if (from < to)
            memset(bytes + (from - base), UNTOUCHED, to - from);
        if (memcmp(bytes, untouched, REGION_BYTES))
            return false;
    }
    return true;
}

static void check_info(const struct vmm_elf_info *info)
{
    REQUIRE(info->low < info->high);
    REQUIRE(info->entry_gpa >= info->low && info->entry_gpa < info->high);
    if (info->has_pvh)
        REQUIRE(info->pvh_entry >= info->low && info->pvh_entry < info->high &&
                info->pvh_entry <= UINT32_MAX);
}

static void load(const struct vmm_image *image, struct vmm_memory *memory,
                 uint64_t slide)
{
    struct vmm_elf_info info;
    struct vmm_error err;
    int ret;

    reset(memory);
    ret = vmm_elf_load(image, memory, 0, slide, &info, &err);
    REQUIRE((ret == 0) == (err.code == 0) && -ret == err.code);
    if (ret < 0) {
        REQUIRE(untouched_outside(memory, 0, 0));
        return;
    }
    check_info(&info);
    REQUIRE(vmm_memory_check(memory, info.entry_gpa, 1) == 0);
    ret = vmm_elf_relocate(image, memory, slide, &err);
    REQUIRE(-ret == err.code);
    REQUIRE(untouched_outside(memory, info.low, info.high));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vmm_memory *memory;
    struct vmm_elf_info info;
    struct vmm_image image;

    if (!memory)
        memory = new_memory();
    vmm_image_borrow(data, size, "fuzz", &image);
    if (vmm_elf_inspect(&image, &info, NULL) < 0)
        return 0;
    check_info(&info);
    load(&image, memory, 0);
    load(&image, memory, SLIDE);
    return 0;
}
