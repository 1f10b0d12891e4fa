/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Block devices in Lua. */
#include "lua/virtio.h"

#include <vmm/virtio_block.h>

/* vmm.virtio_block{ vm =, path =, readonly =, serial =, direct =, queues =,
 * io_uring = } -> virtio */
static int virtio_block_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_block",
                  "vm path readonly serial direct queues io_uring");
    struct vmm_virtio_block_config config = {
        .path = option_string(L, 1, "path", NULL),
        .read_only = option_boolean(L, 1, "readonly", false),
        .serial = option_string(L, 1, "serial", NULL),
        .direct = option_boolean(L, 1, "direct", false),
        .queues = (unsigned)option_integer(L, 1, "queues", 1, 1,
                                           VMM_VIRTIO_BLOCK_QUEUES_MAX),
        .threads = !option_boolean(L, 1, "io_uring", true)};
    if (!config.path)
        return luaL_error(L, "vmm.virtio_block: path is missing");
    struct virtio_box *box = virtio_box_new(L);
    struct vmm_machine *machine = box->vm->machine;
    config.memory = vmm_vm_memory(vmm_machine_vm(machine));
    config.loop = vmm_machine_loop(machine);
    if (vmm_virtio_block_new(&config, &box->virtio, &err))
        return push_error(L, &err);
    virtio_box_keep(L, box);
    return 1;
}

static struct vmm_virtio *check_block(lua_State *L, int arg)
{
    struct vmm_virtio *virtio = check_virtio(L, arg)->virtio;

    luaL_argcheck(L, vmm_virtio_is_block(virtio), arg, "not a block device");
    return virtio;
}

/* disk:resize([bytes]) -> bytes; nil: what the file has become */
static int block_resize(lua_State *L)
{
    struct vmm_virtio *virtio = check_block(L, 1);
    struct vmm_error err;
    int rc;

    if (lua_isnoneornil(L, 2)) {
        rc = vmm_virtio_block_refresh(virtio, &err);
    } else {
        lua_Integer bytes = luaL_checkinteger(L, 2);

        luaL_argcheck(L, bytes >= 0, 2, "a size is not negative");
        rc = vmm_virtio_block_resize(virtio, (uint64_t)bytes, &err);
    }
    if (rc)
        return push_error(L, &err);
    lua_pushinteger(L, (lua_Integer)vmm_virtio_block_size(virtio));
    return 1;
}

/* disk:size() -> bytes */
static int block_size(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)vmm_virtio_block_size(check_block(L, 1)));
    return 1;
}

/* disk:engine() -> "io_uring" | "threads" */
static int block_engine(lua_State *L)
{
    lua_pushstring(L, vmm_virtio_block_engine(check_block(L, 1)));
    return 1;
}

void virtio_block_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"resize", block_resize},
                                       {"size", block_size},
                                       {"engine", block_engine},
                                       {NULL, NULL}};
    static const luaL_Reg constructors[] = {{"virtio_block", virtio_block_new},
                                            {NULL, NULL}};

    class_extend(L, VIRTIO_CLASS, methods);
    luaL_setfuncs(L, constructors, 0);
}
