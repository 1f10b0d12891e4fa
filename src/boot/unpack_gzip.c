/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* gzip payloads, by zlib. */
#include <zlib.h>

#include "boot/boot.h"

enum boot_unpack_result boot_unpack_gzip(struct boot_unpack *unpack)
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
    return ret == Z_BUF_ERROR || ret == Z_OK ? boot_unpack_starved(unpack)
                                             : BOOT_UNPACK_CORRUPT;
}
