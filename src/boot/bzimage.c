/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* bzImage: the setup header (Linux boot protocol, x86/boot.rst) and the
 * protected-mode kernel. */
#include <errno.h>
#include <inttypes.h>

#include "boot/boot.h"

/* Offsets in the file, named as in boot.rst. */
#define SETUP_SECTS        0x1f1
#define SYSSIZE            0x1f4
#define BOOT_FLAG          0x1fe
#define JUMP_LENGTH        0x201
#define HEADER             0x202
#define VERSION            0x206
#define LOADFLAGS          0x211
#define INITRD_ADDR_MAX    0x22c
#define KERNEL_ALIGNMENT   0x230
#define RELOCATABLE_KERNEL 0x234
#define XLOADFLAGS         0x236
#define CMDLINE_SIZE       0x238
#define PAYLOAD_OFFSET     0x248
#define PAYLOAD_LENGTH     0x24c
#define PREF_ADDRESS       0x258
#define INIT_SIZE          0x260

#define BOOT_FLAG_MAGIC 0xaa55
#define HEADER_MAGIC    0x53726448 /* "HdrS" */
#define VERSION_MIN     0x020c
#define LOADED_HIGH     0x01
#define XLF_KERNEL_64   0x0001
#define ENTRY_64        0x200
#define SECTOR_BYTES    512
#define HEADER_END_MIN  0x268 /* after handover_offset: protocol 2.12 */
#define HEADER_END_MAX  0x290 /* edd_mbr_sig_buffer in the zero page */

static int check_magic(const struct vmm_image *image, struct vmm_error *err)
{
    const uint8_t *b = image->bytes;

    if (image->size_bytes < HEADER_END_MAX)
        return vmm_error_set(err, ENOEXEC,
                             "%s: the setup header is cut short: the file has "
                             "%" PRIu64 " bytes, a bzImage has over %d",
                             image->name, image->size_bytes, HEADER_END_MAX);
    if (load_le16(b + BOOT_FLAG) != BOOT_FLAG_MAGIC)
        return vmm_error_set(err, ENOEXEC,
                             "%s: boot_flag (offset 0x1fe) is 0x%04x, must be "
                             "0xaa55: not a bzImage",
                             image->name, load_le16(b + BOOT_FLAG));
    if (load_le32(b + HEADER) != HEADER_MAGIC)
        return vmm_error_set(err, ENOEXEC,
                             "%s: header (offset 0x202) is 0x%08x, must be "
                             "0x53726448 (\"HdrS\"): not a bzImage",
                             image->name, load_le32(b + HEADER));
    if (load_le16(b + VERSION) < VERSION_MIN)
        return vmm_error_set(err, ENOEXEC,
                             "%s: version (offset 0x206) is 0x%04x; boot "
                             "protocol 2.12 (0x020c, Linux 3.8) or later is "
                             "needed",
                             image->name, load_le16(b + VERSION));
    if (!(b[LOADFLAGS] & LOADED_HIGH))
        return vmm_error_set(err, ENOEXEC,
                             "%s: loadflags (offset 0x211) is 0x%02x without "
                             "LOADED_HIGH (0x01): a zImage, not a bzImage",
                             image->name, b[LOADFLAGS]);
    return 0;
}

static int take_setup_header(const struct vmm_image *image,
                             struct vmm_bzimage_info *info,
                             struct vmm_error *err)
{
    uint32_t end = HEADER + (uint32_t)image->bytes[JUMP_LENGTH];

    if (end < HEADER_END_MIN || end > HEADER_END_MAX)
        return vmm_error_set(err, ENOEXEC,
                             "%s: the jump at offset 0x200 ends the setup "
                             "header at 0x%x, must be 0x%x to 0x%x",
                             image->name, end, HEADER_END_MIN, HEADER_END_MAX);
    info->setup_header_bytes = end - SETUP_SECTS;
    memcpy(info->setup_header, image->bytes + SETUP_SECTS,
           info->setup_header_bytes);
    return 0;
}

static int take_kernel(const struct vmm_image *image,
                       struct vmm_bzimage_info *info, struct vmm_error *err)
{
    const uint8_t *b = image->bytes;
    uint32_t sectors = b[SETUP_SECTS] ? b[SETUP_SECTS] : 4;
    uint64_t bytes = (uint64_t)load_le32(b + SYSSIZE) * 16;
    uint64_t offset = (uint64_t)(sectors + 1) * SECTOR_BYTES;

    if (offset >= image->size_bytes)
        return vmm_error_set(err, ENOEXEC,
                             "%s: setup_sects (offset 0x1f1) is %u: the kernel "
                             "would begin at offset 0x%" PRIx64
                             ", past the end of the file (0x%" PRIx64 " bytes)",
                             image->name, b[SETUP_SECTS], offset,
                             image->size_bytes);
    if (bytes <= ENTRY_64 || bytes > image->size_bytes - offset)
        return vmm_error_set(
            err, ENOEXEC,
            "%s: syssize (offset 0x1f4) says 0x%" PRIx64
            " bytes of kernel, must be more than 0x200 and "
            "at most the 0x%" PRIx64 " bytes after offset 0x%" PRIx64,
            image->name, bytes, image->size_bytes - offset, offset);
    info->kernel_offset = offset;
    info->kernel_bytes = bytes;
    return 0;
}

static int take_payload(const struct vmm_image *image,
                        struct vmm_bzimage_info *info, struct vmm_error *err)
{
    const struct boot_format *format;
    uint32_t offset = load_le32(image->bytes + PAYLOAD_OFFSET);
    uint32_t bytes = load_le32(image->bytes + PAYLOAD_LENGTH);

    if (offset == 0)
        return 0;
    if (bytes == 0 || !boot_within(offset, bytes, info->kernel_bytes))
        return vmm_error_set(err, ENOEXEC,
                             "%s: payload_offset (offset 0x248) 0x%x and "
                             "payload_length (offset 0x24c) 0x%x do not lie "
                             "within the 0x%" PRIx64 " bytes of kernel",
                             image->name, offset, bytes, info->kernel_bytes);
    info->payload_offset = info->kernel_offset + offset;
    info->payload_bytes = bytes;
    format = boot_format_of(image->bytes + info->payload_offset, bytes);
    if (format)
        memcpy(info->payload_format, format->name, strlen(format->name) + 1);
    return 0;
}

static int take_addresses(const struct vmm_image *image,
                          struct vmm_bzimage_info *info, struct vmm_error *err)
{
    const uint8_t *b = image->bytes;
    uint64_t end;

    info->protocol = load_le16(b + VERSION);
    info->loadable_64 = load_le16(b + XLOADFLAGS) & XLF_KERNEL_64;
    info->relocatable = b[RELOCATABLE_KERNEL] != 0;
    info->preferred_gpa = load_le64(b + PREF_ADDRESS);
    info->alignment = load_le32(b + KERNEL_ALIGNMENT);
    info->init_size = load_le32(b + INIT_SIZE);
    info->initrd_addr_max = load_le32(b + INITRD_ADDR_MAX);
    info->cmdline_size_max = load_le32(b + CMDLINE_SIZE);
    if (info->alignment == 0 || (info->alignment & (info->alignment - 1)))
        return vmm_error_set(err, ENOEXEC,
                             "%s: kernel_alignment (offset 0x230) is 0x%x, "
                             "must be a power of two",
                             image->name, info->alignment);
    if (info->init_size == 0)
        return vmm_error_set(err, ENOEXEC, "%s: init_size (offset 0x260) is 0",
                             image->name);
    if (!add_u64(info->preferred_gpa, info->init_size, &end))
        return vmm_error_set(err, ENOEXEC,
                             "%s: pref_address (offset 0x258) 0x%" PRIx64
                             " + init_size (offset 0x260) 0x%x wraps around",
                             image->name, info->preferred_gpa, info->init_size);
    return 0;
}

int vmm_bzimage_inspect(const struct vmm_image *image,
                        struct vmm_bzimage_info *info, struct vmm_error *err)
{
    int ret;

    vmm_error_clear(err);
    memset(info, 0, sizeof(*info));
    ret = check_magic(image, err);
    if (ret == 0)
        ret = take_setup_header(image, info, err);
    if (ret == 0)
        ret = take_kernel(image, info, err);
    if (ret == 0)
        ret = take_addresses(image, info, err);
    if (ret == 0)
        ret = take_payload(image, info, err);
    return ret;
}

/*
 * Where the kernel will run when loaded at gpa: as boot.rst says of init_size,
 * and a relocatable Linux goes up to its preferred address when it finds itself
 * below (arch/x86/boot/compressed/head_64.S).
 */
static int runtime_start(const struct vmm_image *image,
                         const struct vmm_bzimage_info *info, vmm_gpa_t gpa,
                         vmm_gpa_t *start, struct vmm_error *err)
{
    vmm_gpa_t aligned;

    *start = info->preferred_gpa;
    if (!info->relocatable)
        return 0;
    if (!align_up(gpa, info->alignment, &aligned))
        return vmm_error_set(err, EINVAL,
                             "%s: load address 0x%" PRIx64
                             " aligned to 0x%x wraps around",
                             image->name, gpa, info->alignment);
    *start = max_u64(aligned, info->preferred_gpa);
    return 0;
}

int vmm_bzimage_load(const struct vmm_image *image, struct vmm_memory *memory,
                     vmm_gpa_t gpa, struct vmm_bzimage_info *info,
                     struct vmm_error *err)
{
    vmm_gpa_t start = 0;
    int ret = vmm_bzimage_inspect(image, info, err);

    if (ret == 0)
        ret = runtime_start(image, info, gpa, &start, err);
    if (ret == 0)
        ret = boot_require_ram(memory, gpa, info->kernel_bytes, image,
                               "the protected-mode kernel", err);
    if (ret == 0)
        ret = boot_require_ram(memory, start, info->init_size, image,
                               "the kernel (init_size)", err);
    if (ret < 0)
        return ret;
    return vmm_memory_write(memory, gpa, image->bytes + info->kernel_offset,
                            info->kernel_bytes);
}
