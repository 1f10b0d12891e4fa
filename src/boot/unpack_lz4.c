/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* lz4 payloads (the legacy frame), by liblz4. */
#include <lz4.h>
#include <stdlib.h>

#include "boot/boot.h"

#define LZ4_LEGACY_MAGIC       0x184c2102
#define LZ4_LEGACY_BLOCK_BYTES (8u << 20) /* unpacked, at most */

/* Why a block did not unpack into less than a whole block's room: the library
 * does not say. */
static enum boot_unpack_result judge_lz4_block(const uint8_t *packed,
                                               uint32_t packed_bytes)
{
    char *scratch = malloc(LZ4_LEGACY_BLOCK_BYTES);
    int got;

    if (!scratch)
        return BOOT_UNPACK_NO_MEMORY;
    got = LZ4_decompress_safe((const char *)packed, scratch, (int)packed_bytes,
                              LZ4_LEGACY_BLOCK_BYTES);
    free(scratch);
    return got < 0 ? BOOT_UNPACK_CORRUPT : BOOT_UNPACK_TOO_BIG;
}

/* One block: its packed size (32 bits), then that many bytes. */
static enum boot_unpack_result unpack_lz4_block(struct boot_unpack *unpack,
                                                uint32_t packed_bytes)
{
    const uint8_t *packed = unpack->in + unpack->in_used;
    size_t room = unpack->room - unpack->out_used;
    size_t cap = room < LZ4_LEGACY_BLOCK_BYTES ? room : LZ4_LEGACY_BLOCK_BYTES;
    int got;

    if (packed_bytes > (uint32_t)LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK_BYTES))
        return BOOT_UNPACK_CORRUPT;
    if (packed_bytes > unpack->in_bytes - unpack->in_used)
        return BOOT_UNPACK_CUT_SHORT;
    got = LZ4_decompress_safe((const char *)packed,
                              (char *)unpack->out + unpack->out_used,
                              (int)packed_bytes, (int)cap);
    if (got < 0)
        return cap < LZ4_LEGACY_BLOCK_BYTES
                   ? judge_lz4_block(packed, packed_bytes)
                   : BOOT_UNPACK_CORRUPT;
    unpack->in_used += packed_bytes;
    unpack->out_used += (size_t)got;
    return BOOT_UNPACK_OK;
}

/*
 * LZ4's legacy frame has no end mark: it lasts until fewer bytes are left than
 * a block needs.  The size that the build appends is such a rest.  The magic
 * may come again where frames were concatenated.
 */
enum boot_unpack_result boot_unpack_lz4(struct boot_unpack *unpack)
{
    while (unpack->in_bytes - unpack->in_used > sizeof(uint32_t)) {
        enum boot_unpack_result result;
        uint32_t word = load_le32(unpack->in + unpack->in_used);

        unpack->in_used += sizeof(word);
        if (word == LZ4_LEGACY_MAGIC)
            continue;
        result = unpack_lz4_block(unpack, word);
        if (result != BOOT_UNPACK_OK)
            return result;
    }
    return BOOT_UNPACK_OK;
}
