/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the Lua faces of virtio devices share; each is a file of its own. */
#ifndef VMM_LUA_VIRTIO_H
#define VMM_LUA_VIRTIO_H

#include "lua/device.h"

#include <vmm/virtio.h>

/* What a virtio device's userdata holds.  Its VM knows it in a list, so that it
 * is closed before the VM's loop goes. */
struct virtio_box {
    struct vmm_virtio *virtio; /* NULL: closed, with its VM */
    struct vm_box *vm;
    struct virtio_box *next;
    bool kept; /* in that list */
};

/* Raises when it is closed. */
struct virtio_box *check_virtio(lua_State *L, int arg);
/* Push a closed box for a device of the VM in options.vm at index 1. */
struct virtio_box *virtio_box_new(lua_State *L);
/* Its device is made: the VM has to close it. */
void virtio_box_keep(lua_State *L, struct virtio_box *box);

/* Each adds its constructor to the table on top. */
void virtio_block_open(lua_State *L);
void virtio_net_open(lua_State *L);
void virtio_vsock_open(lua_State *L);
void vhost_user_open(lua_State *L);

#endif
