/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The payload formats, each by its library, straight into the output. */
#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "boot/boot.h"

/* A dictionary of 128 MiB and what liblzma needs around it. */
#define LZMA_MEMORY_MAX (UINT64_C(192) << 20)

#define LZ4_LEGACY_MAGIC       0x184c2102
#define LZ4_LEGACY_BLOCK_BYTES (8u << 20) /* unpacked, at most */

/* A library that wants more, though nothing is wrong with what it had. */
static enum boot_unpack_result starved(const struct boot_unpack *unpack)
{
    return unpack->out_used == unpack->room ? BOOT_UNPACK_TOO_BIG
                                            : BOOT_UNPACK_CUT_SHORT;
}

static enum boot_unpack_result unpack_gzip(struct boot_unpack *unpack)
{
    z_stream stream = {
        .next_in = (Bytef *)(uintptr_t)unpack->in, /* not written to */
        .avail_in = (uInt)unpack->in_bytes,
        .next_out = unpack->out,
        .avail_out = (uInt)unpack->room,
    };
    int ret;

    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return BOOT_UNPACK_NO_MEMORY;
    ret = inflate(&stream, Z_FINISH);
    unpack->in_used = unpack->in_bytes - stream.avail_in;
    unpack->out_used = unpack->room - stream.avail_out;
    inflateEnd(&stream);
    if (ret == Z_STREAM_END)
        return BOOT_UNPACK_OK;
    if (ret == Z_MEM_ERROR)
        return BOOT_UNPACK_NO_MEMORY;
    return ret == Z_BUF_ERROR || ret == Z_OK ? starved(unpack)
                                             : BOOT_UNPACK_CORRUPT;
}

static enum boot_unpack_result run_lzma(struct boot_unpack *unpack,
                                        lzma_stream *stream)
{
    lzma_ret ret;

    stream->next_in = unpack->in;
    stream->avail_in = unpack->in_bytes;
    stream->next_out = unpack->out;
    stream->avail_out = unpack->room;
    ret = lzma_code(stream, LZMA_FINISH);
    unpack->in_used = unpack->in_bytes - stream->avail_in;
    unpack->out_used = unpack->room - stream->avail_out;
    lzma_end(stream);
    if (ret == LZMA_STREAM_END)
        return BOOT_UNPACK_OK;
    if (ret == LZMA_MEM_ERROR || ret == LZMA_MEMLIMIT_ERROR)
        return BOOT_UNPACK_NO_MEMORY;
    return ret == LZMA_BUF_ERROR || ret == LZMA_OK ? starved(unpack)
                                                   : BOOT_UNPACK_CORRUPT;
}

static enum boot_unpack_result unpack_xz(struct boot_unpack *unpack)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    if (lzma_stream_decoder(&stream, LZMA_MEMORY_MAX, 0) != LZMA_OK)
        return BOOT_UNPACK_NO_MEMORY;
    return run_lzma(unpack, &stream);
}

static enum boot_unpack_result unpack_lzma(struct boot_unpack *unpack)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    if (lzma_alone_decoder(&stream, LZMA_MEMORY_MAX) != LZMA_OK)
        return BOOT_UNPACK_NO_MEMORY;
    return run_lzma(unpack, &stream);
}

static enum boot_unpack_result unpack_bzip2(struct boot_unpack *unpack)
{
    bz_stream stream = {
        .next_in = (char *)(uintptr_t)unpack->in, /* not written to */
        .avail_in = (unsigned)unpack->in_bytes,
        .next_out = (char *)unpack->out,
        .avail_out = (unsigned)unpack->room,
    };
    int ret;

    if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK)
        return BOOT_UNPACK_NO_MEMORY;
    ret = BZ2_bzDecompress(&stream);
    unpack->in_used = unpack->in_bytes - stream.avail_in;
    unpack->out_used = unpack->room - stream.avail_out;
    BZ2_bzDecompressEnd(&stream);
    if (ret == BZ_STREAM_END)
        return BOOT_UNPACK_OK;
    if (ret == BZ_MEM_ERROR)
        return BOOT_UNPACK_NO_MEMORY;
    return ret == BZ_OK ? starved(unpack) : BOOT_UNPACK_CORRUPT;
}

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
static enum boot_unpack_result unpack_lz4(struct boot_unpack *unpack)
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

/* Frame by one call: no window buffer, and the frame's end is known. */
static enum boot_unpack_result unpack_zstd(struct boot_unpack *unpack)
{
    size_t frame = ZSTD_findFrameCompressedSize(unpack->in, unpack->in_bytes);
    ZSTD_ErrorCode code;
    size_t got;

    if (ZSTD_isError(frame))
        return ZSTD_getErrorCode(frame) == ZSTD_error_srcSize_wrong
                   ? BOOT_UNPACK_CUT_SHORT
                   : BOOT_UNPACK_CORRUPT;
    got = ZSTD_decompress(unpack->out, unpack->room, unpack->in, frame);
    if (!ZSTD_isError(got)) {
        unpack->in_used = frame;
        unpack->out_used = got;
        return BOOT_UNPACK_OK;
    }
    code = ZSTD_getErrorCode(got);
    if (code == ZSTD_error_dstSize_tooSmall)
        return BOOT_UNPACK_TOO_BIG;
    return code == ZSTD_error_memory_allocation ? BOOT_UNPACK_NO_MEMORY
                                                : BOOT_UNPACK_CORRUPT;
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

/* Magic numbers: boot.rst, payload_offset; lzo: the lzop file format. */
static const struct boot_format formats[] = {
    {"gzip", {0x1f, 0x8b}, 2, unpack_gzip},
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0x00}, 6, unpack_xz},
    {"lzma", {0x5d, 0x00, 0x00}, 3, unpack_lzma},
    {"bzip2", {'B', 'Z', 'h'}, 3, unpack_bzip2},
    {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
    {"lzo", {0x89, 'L', 'Z', 'O', 0x00}, 5, NULL},
    {"elf", {0x7f, 'E', 'L', 'F'}, 4, copy_elf},
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
