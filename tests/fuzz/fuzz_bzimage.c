/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the bzImage loader: the input is a file, inspected, loaded, unpacked,
 * and what came out loaded as an ELF.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/boot.h>

#include "../../src/base/endian.h"
#include "require.h"

#define INIT_SIZE     0x260
#define INIT_SIZE_MAX 0x100000 /* bounds the time of a run, not the code */

static struct vmm_memory *new_memory(void)
{
    static const struct vmm_memory_range range = {0x100000, 0x400000};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};
    struct vmm_memory *memory;

    REQUIRE(vmm_memory_new(&config, &memory, NULL) == 0);
    return memory;
}

static void check_info(const struct vmm_bzimage_info *info, size_t size)
{
    REQUIRE(info->protocol >= 0x020c);
    REQUIRE(info->setup_header_bytes <= sizeof(info->setup_header));
    REQUIRE(info->kernel_offset < size);
    REQUIRE(info->kernel_bytes <= size - info->kernel_offset);
    REQUIRE(memchr(info->payload_format, 0, sizeof(info->payload_format)));
    if (info->payload_offset) {
        REQUIRE(info->payload_offset > info->kernel_offset);
        REQUIRE(info->payload_bytes > 0 &&
                info->payload_bytes <= size - info->payload_offset);
    }
}

static void unpack(const struct vmm_image *image, struct vmm_memory *memory,
                   uint32_t init_size)
{
    struct vmm_elf_info info;
    struct vmm_image vmlinux;
    struct vmm_error err;
    int ret = vmm_bzimage_unpack(image, &vmlinux, &err);

    REQUIRE(-ret == err.code);
    if (ret < 0) {
        REQUIRE(!vmlinux.priv);
        return;
    }
    REQUIRE(vmlinux.size_bytes <= init_size);
    REQUIRE(vmm_image_kind(&vmlinux) == VMM_IMAGE_ELF);
    if (vmm_elf_load(&vmlinux, memory, 0, 0, &info, NULL) == 0)
        vmm_elf_relocate(&vmlinux, memory, 0, NULL);
    vmm_image_close(&vmlinux);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct vmm_memory *memory;
    struct vmm_bzimage_info info;
    struct vmm_image image;
    uint8_t *copy = malloc(size + 1);

    REQUIRE(copy);
    if (!memory)
        memory = new_memory();
    memcpy(copy, data, size);
    if (size >= INIT_SIZE + 4 && load_le32(copy + INIT_SIZE) > INIT_SIZE_MAX)
        store_le32(copy + INIT_SIZE, INIT_SIZE_MAX);
    vmm_image_borrow(copy, size, "fuzz", &image);
    if (vmm_bzimage_inspect(&image, &info, NULL) == 0) {
        check_info(&info, size);
        vmm_bzimage_load(&image, memory, 0x100000, &info, NULL);
        unpack(&image, memory, info.init_size);
    }
    free(copy);
    return 0;
}
