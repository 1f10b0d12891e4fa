/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the Lua faces of a block device share. */
#ifndef VMM_LUA_VIRTIO_BLOCK_H
#define VMM_LUA_VIRTIO_BLOCK_H

#include "lua/virtio.h"

#include <vmm/virtio_block.h>

/* Raises when it is no block device, or closed. */
struct vmm_virtio *check_block(lua_State *L, int arg);

/* Each adds its methods to the class of virtio devices. */
void virtio_block_open_faults(lua_State *L);
void virtio_block_open_backend(lua_State *L);

/* "read", "write", ...: by enum vmm_block_op. */
extern const char *const virtio_block_ops[VMM_BLOCK_OPS + 1];
/* "ok", "ioerr", "unsupp": by VIRTIO_BLK_S_*. */
extern const char *const virtio_block_statuses[];

#endif
