/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* xz and lzma payloads, by liblzma. */
#include <lzma.h>

#include "boot/boot.h"

/* A dictionary of 128 MiB and what liblzma needs around it. */
#define LZMA_MEMORY_MAX (UINT64_C(192) << 20)

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
    return ret == LZMA_BUF_ERROR || ret == LZMA_OK ? boot_unpack_starved(unpack)
                                                   : BOOT_UNPACK_CORRUPT;
}

enum boot_unpack_result boot_unpack_xz(struct boot_unpack *unpack)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    if (lzma_stream_decoder(&stream, LZMA_MEMORY_MAX, 0) != LZMA_OK)
        return BOOT_UNPACK_NO_MEMORY;
    return run_lzma(unpack, &stream);
}

enum boot_unpack_result boot_unpack_lzma(struct boot_unpack *unpack)
{
    lzma_stream stream = LZMA_STREAM_INIT;

    if (lzma_alone_decoder(&stream, LZMA_MEMORY_MAX) != LZMA_OK)
        return BOOT_UNPACK_NO_MEMORY;
    return run_lzma(unpack, &stream);
}
