/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A block device's backend in Lua: requests taken and finished by
 * lua/vmm/virtio_block_backend.lua. */
#include "lua/virtio_block.h"

/* Push { offset, length, offset, length, ... }. */
static void push_ranges(lua_State *L, const struct vmm_block_work *work)
{
    lua_createtable(L, 2 * (int)work->range_count, 0);
    for (unsigned i = 0; i < work->range_count; i++) {
        lua_pushinteger(L, (lua_Integer)work->ranges[i].offset);
        lua_rawseti(L, -2, 2 * i + 1);
        lua_pushinteger(L, (lua_Integer)work->ranges[i].len);
        lua_rawseti(L, -2, 2 * i + 2);
    }
}

/*
 * disk:block_take() -> id, op, durable, offset, length; of discard and
 * write_zeroes offset is { offset, length, ... } instead; nothing: there is no
 * more
 */
static int block_take(lua_State *L)
{
    struct vmm_block_work work;

    if (!vmm_virtio_block_take(check_block(L, 1), &work))
        return 0;
    lua_pushinteger(L, (lua_Integer)work.id);
    lua_pushstring(L, virtio_block_ops[work.op]);
    lua_pushboolean(L, work.durable);
    if (work.op == VMM_BLOCK_DISCARD || work.op == VMM_BLOCK_WRITE_ZEROES) {
        push_ranges(L, &work);
        return 4;
    }
    lua_pushinteger(L, (lua_Integer)work.offset);
    lua_pushinteger(L, (lua_Integer)work.len);
    return 5;
}

/* disk:block_data(id, length) -> bytes to be written; nil: it is gone */
static int block_data(lua_State *L)
{
    struct vmm_virtio *virtio = check_block(L, 1);
    uint64_t id = (uint64_t)luaL_checkinteger(L, 2);
    lua_Integer len = luaL_checkinteger(L, 3);
    luaL_Buffer buffer;

    luaL_argcheck(L, len >= 0 && len <= VMM_BLOCK_WORK_BYTES, 3,
                  "not the length of a request");
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)len);
    if (vmm_virtio_block_data(virtio, id, bytes, (size_t)len))
        return 0;
    luaL_pushresultsize(&buffer, (size_t)len);
    return 1;
}

/* disk:block_finish(id, status [, bytes]) -> false when it is gone, or bytes
 * have another length than the read */
static int block_finish(lua_State *L)
{
    struct vmm_virtio *virtio = check_block(L, 1);
    uint64_t id = (uint64_t)luaL_checkinteger(L, 2);
    int status = luaL_checkoption(L, 3, NULL, virtio_block_statuses);
    size_t len = 0;
    const char *bytes = luaL_optlstring(L, 4, NULL, &len);

    lua_pushboolean(L, vmm_virtio_block_finish(virtio, id, (uint8_t)status,
                                               bytes, len) == 0);
    return 1;
}

void virtio_block_open_backend(lua_State *L)
{
    static const luaL_Reg methods[] = {{"block_take", block_take},
                                       {"block_data", block_data},
                                       {"block_finish", block_finish},
                                       {NULL, NULL}};

    class_extend(L, VIRTIO_CLASS, methods);
}
