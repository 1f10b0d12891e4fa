/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A bzImage's payload, unpacked on the host: the bounds and the messages. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>

#include "boot/boot.h"

/* The build appends the unpacked size to formats that do not carry one. */
#define TRAILER_BYTES 4

/* No x86-64 kernel is larger than its virtual window (KERNEL_IMAGE_SIZE). */
#define UNPACKED_BYTES_MAX (UINT64_C(1) << 30)

static int describe(const struct vmm_image *image,
                    const struct vmm_bzimage_info *info,
                    const struct boot_unpack *unpack,
                    enum boot_unpack_result result, struct vmm_error *err)
{
    const char *format = info->payload_format;
    uint64_t start = info->payload_offset;

    switch (result) {
    case BOOT_UNPACK_OK:
        return 0;
    case BOOT_UNPACK_CORRUPT:
        return vmm_error_set(err, ENOEXEC,
                             "%s: the %s payload at offset 0x%" PRIx64
                             " is corrupt near offset 0x%" PRIx64,
                             image->name, format, start,
                             start + unpack->in_used);
    case BOOT_UNPACK_CUT_SHORT:
        return vmm_error_set(err, ENOEXEC,
                             "%s: the %s payload at offset 0x%" PRIx64
                             " is cut short: its 0x%" PRIx64
                             " bytes end amid compressed data",
                             image->name, format, start, info->payload_bytes);
    case BOOT_UNPACK_TOO_BIG:
        return vmm_error_set(err, EFBIG,
                             "%s: the %s payload at offset 0x%" PRIx64
                             " unpacks to more than 0x%" PRIx64
                             " bytes, the limit (init_size, offset 0x260, and "
                             "at most 1 GiB)",
                             image->name, format, start,
                             (uint64_t)unpack->room - 1);
    case BOOT_UNPACK_NO_MEMORY:
        break;
    }
    return vmm_error_set(err, ENOMEM,
                         "%s: not enough memory to unpack the %s payload at "
                         "offset 0x%" PRIx64,
                         image->name, format, start);
}

/* What follows the compressed data: nothing, or the right size. */
static int check_rest(const struct vmm_image *image,
                      const struct vmm_bzimage_info *info,
                      const struct boot_unpack *unpack, struct vmm_error *err)
{
    uint64_t left = unpack->in_bytes - unpack->in_used;
    uint64_t offset = info->payload_offset + unpack->in_used;
    uint32_t size;

    if (left == 0)
        return 0;
    if (left != TRAILER_BYTES)
        return vmm_error_set(err, ENOEXEC,
                             "%s: 0x%" PRIx64 " bytes follow the %s data at "
                             "offset 0x%" PRIx64
                             "; only the size (4 bytes) may",
                             image->name, left, info->payload_format, offset);
    size = load_le32(unpack->in + unpack->in_used);
    if (size != unpack->out_used)
        return vmm_error_set(err, ENOEXEC,
                             "%s: the size at offset 0x%" PRIx64
                             " says 0x%x bytes, but the %s payload unpacked "
                             "to 0x%zx",
                             image->name, offset, size, info->payload_format,
                             unpack->out_used);
    return 0;
}

static uint64_t page_up(uint64_t bytes)
{
    return align_down(bytes + BOOT_PAGE_BYTES - 1, BOOT_PAGE_BYTES);
}

/* Keep the bytes produced, give the rest of the reservation back. */
static void shrink(struct vmm_image *image, uint64_t size_bytes)
{
    uint64_t keep = page_up(size_bytes);

    if (keep < image->priv_bytes) {
        munmap((uint8_t *)image->priv + keep, image->priv_bytes - keep);
        image->priv_bytes = keep;
    }
    image->bytes = image->priv;
    image->size_bytes = size_bytes;
}

/*
 * Unpack into pages reserved for all that init_size allows: what the payload
 * says of its own size is never believed.  One byte more than allowed tells a
 * payload that fits from one that does not.
 */
static int unpack_into(const struct vmm_image *image,
                       const struct vmm_bzimage_info *info,
                       const struct boot_format *format,
                       struct vmm_image *vmlinux, struct vmm_error *err)
{
    uint64_t limit = min_u64(info->init_size, UNPACKED_BYTES_MAX);
    struct boot_unpack unpack = {
        .in = image->bytes + info->payload_offset,
        .in_bytes = info->payload_bytes,
        .room = limit + 1,
    };
    enum boot_unpack_result result;
    int ret = boot_image_reserve(vmlinux, page_up(unpack.room), err);

    if (ret < 0)
        return ret;
    unpack.out = vmlinux->priv;
    result = format->unpack(&unpack);
    if (result == BOOT_UNPACK_OK && unpack.out_used > limit)
        result = BOOT_UNPACK_TOO_BIG;
    ret = describe(image, info, &unpack, result, err);
    if (ret == 0)
        ret = check_rest(image, info, &unpack, err);
    if (ret == 0)
        shrink(vmlinux, unpack.out_used);
    return ret;
}

static int find_payload(const struct vmm_image *image,
                        struct vmm_bzimage_info *info,
                        const struct boot_format **format,
                        struct vmm_error *err)
{
    int ret = vmm_bzimage_inspect(image, info, err);

    if (ret < 0)
        return ret;
    if (info->payload_offset == 0)
        return vmm_error_set(err, ENOTSUP,
                             "%s: payload_offset (offset 0x248) is 0: no "
                             "payload to unpack",
                             image->name);
    *format = boot_format_of(image->bytes + info->payload_offset,
                             info->payload_bytes);
    if (!*format)
        return vmm_error_set(err, ENOTSUP,
                             "%s: the payload at offset 0x%" PRIx64
                             " has an unknown format",
                             image->name, info->payload_offset);
    if (!(*format)->unpack && (*format)->feature)
        return vmm_error_set(err, ENOTSUP,
                             "%s: the payload at offset 0x%" PRIx64
                             " has format %s: this build has no \"%s\" (make "
                             "FEATURES=...)",
                             image->name, info->payload_offset, (*format)->name,
                             (*format)->feature);
    if (!(*format)->unpack)
        return vmm_error_set(err, ENOTSUP,
                             "%s: the payload at offset 0x%" PRIx64
                             " has format %s, which cannot be unpacked here",
                             image->name, info->payload_offset,
                             (*format)->name);
    return 0;
}

int vmm_bzimage_unpack(const struct vmm_image *image, struct vmm_image *vmlinux,
                       struct vmm_error *err)
{
    const struct boot_format *format = NULL;
    struct vmm_bzimage_info info;
    char name[sizeof(image->name) + 16];
    int ret;

    memset(vmlinux, 0, sizeof(*vmlinux));
    ret = find_payload(image, &info, &format, err);
    if (ret < 0)
        return ret;
    snprintf(name, sizeof(name), "%s (unpacked)", image->name);
    boot_image_set_name(vmlinux, name);
    ret = unpack_into(image, &info, format, vmlinux, err);
    if (ret == 0 && vmm_image_kind(vmlinux) != VMM_IMAGE_ELF)
        ret = vmm_error_set(err, ENOEXEC,
                            "%s: the %s payload at offset 0x%" PRIx64
                            " does not hold an ELF file",
                            image->name, info.payload_format,
                            info.payload_offset);
    if (ret < 0)
        vmm_image_close(vmlinux);
    return ret;
}
