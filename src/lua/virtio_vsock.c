/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device in Lua. */
#include "lua/virtio.h"

#include <vmm/virtio_vsock.h>

/* vmm.virtio_vsock{ vm =, cid =, path = } -> virtio */
static int virtio_vsock_new(lua_State *L)
{
    struct vmm_vsock_config config = {0};
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_vsock", "vm cid path");
    config.cid = (uint64_t)option_integer(L, 1, "cid", 3, 3,
                                          (lua_Integer)UINT32_MAX - 1);
    config.path = option_string(L, 1, "path", NULL);
    luaL_argcheck(L, config.path, 1, "path is missing");
    struct virtio_box *box = virtio_box_new(L);
    struct vmm_machine *machine = box->vm->machine;
    if (vmm_virtio_vsock_new(vmm_vm_memory(vmm_machine_vm(machine)),
                             vmm_machine_loop(machine), &config, &box->virtio,
                             &err))
        return push_error(L, &err);
    virtio_box_keep(L, box);
    return 1;
}

/* virtio:reset_connections() -> true */
static int virtio_vsock_reset(lua_State *L)
{
    if (vmm_virtio_vsock_reset(check_virtio(L, 1)->virtio))
        return luaL_argerror(L, 1, "not a vsock device");
    lua_pushboolean(L, 1);
    return 1;
}

void virtio_vsock_open(lua_State *L)
{
    static const luaL_Reg constructors[] = {{"virtio_vsock", virtio_vsock_new},
                                            {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"reset_connections", virtio_vsock_reset}, {NULL, NULL}};

    luaL_setfuncs(L, constructors, 0);
    class_extend(L, VIRTIO_CLASS, methods);
}
