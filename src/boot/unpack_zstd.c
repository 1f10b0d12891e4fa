/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* zstd payloads, by libzstd. */
#include <zstd.h>
#include <zstd_errors.h>

#include "boot/boot.h"

/* Frame by one call: no window buffer, and the frame's end is known. */
enum boot_unpack_result boot_unpack_zstd(struct boot_unpack *unpack)
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
