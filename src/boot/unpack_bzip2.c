/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* bzip2 payloads, by libbz2. */
#include <bzlib.h>

#include "boot/boot.h"

enum boot_unpack_result boot_unpack_bzip2(struct boot_unpack *unpack)
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
    return ret == BZ_OK ? boot_unpack_starved(unpack) : BOOT_UNPACK_CORRUPT;
}
