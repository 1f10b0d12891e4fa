/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The payload formats: their magic numbers, and who unpacks them. */
#include "vmm_features.h"

#include "boot/boot.h"

/* A library that wants more, though nothing is wrong with what it had. */
enum boot_unpack_result boot_unpack_starved(const struct boot_unpack *unpack)
{
    return unpack->out_used == unpack->room ? BOOT_UNPACK_TOO_BIG
                                            : BOOT_UNPACK_CUT_SHORT;
}

/* Not compressed at all; the size may be appended here too. */
static enum boot_unpack_result copy_elf(struct boot_unpack *unpack)
{
    size_t bytes = unpack->in_bytes;

    if (bytes > sizeof(uint32_t) &&
        load_le32(unpack->in + bytes - sizeof(uint32_t)) ==
            bytes - sizeof(uint32_t))
        bytes -= sizeof(uint32_t);
    if (bytes > unpack->room)
        return BOOT_UNPACK_TOO_BIG;
    memcpy(unpack->out, unpack->in, bytes);
    unpack->in_used = bytes;
    unpack->out_used = bytes;
    return BOOT_UNPACK_OK;
}

/* What is not built in is known by name. */
#define BY(name, feature, unpack)                                              \
    name, (VMM_FEATURE_##feature ? (unpack) : NULL)

/* Magic numbers: boot.rst, payload_offset; lzo: the lzop file format. */
static const struct boot_format formats[] = {
    {"gzip", {0x1f, 0x8b}, 2, BY("gzip", GZIP, boot_unpack_gzip)},
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0x00}, 6, BY("xz", XZ, boot_unpack_xz)},
    {"lzma", {0x5d, 0x00, 0x00}, 3, BY("xz", XZ, boot_unpack_lzma)},
    {"bzip2", {'B', 'Z', 'h'}, 3, BY("bzip2", BZIP2, boot_unpack_bzip2)},
    {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, BY("lz4", LZ4, boot_unpack_lz4)},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, BY("zstd", ZSTD, boot_unpack_zstd)},
    {"lzo", {0x89, 'L', 'Z', 'O', 0x00}, 5, NULL, NULL},
    {"elf", {0x7f, 'E', 'L', 'F'}, 4, NULL, copy_elf},
};

const struct boot_format *boot_format_of(const uint8_t *bytes,
                                         uint64_t size_bytes)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        const struct boot_format *format = &formats[i];

        if (size_bytes >= format->magic_bytes &&
            !memcmp(bytes, format->magic, format->magic_bytes))
            return format;
    }
    return NULL;
}

const char *vmm_bzimage_unpack_format(size_t index)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        if (formats[i].unpack && index-- == 0)
            return formats[i].name;
    }
    return NULL;
}
