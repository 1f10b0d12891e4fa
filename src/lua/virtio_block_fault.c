/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults of a block device in Lua: what lua/vmm/virtio_block_fault.lua makes
 * disk:fault of. */
#include <linux/virtio_blk.h>

#include "lua/virtio_block.h"

const char *const virtio_block_ops[VMM_BLOCK_OPS + 1] = {
    [VMM_BLOCK_READ] = "read",
    [VMM_BLOCK_WRITE] = "write",
    [VMM_BLOCK_FLUSH] = "flush",
    [VMM_BLOCK_DISCARD] = "discard",
    [VMM_BLOCK_WRITE_ZEROES] = "write_zeroes"};

const char *const virtio_block_statuses[] = {[VIRTIO_BLK_S_OK] = "ok",
                                             [VIRTIO_BLK_S_IOERR] = "ioerr",
                                             [VIRTIO_BLK_S_UNSUPP] = "unsupp",
                                             NULL};

/* The operations in the list at index; nil: all. */
static unsigned check_ops(lua_State *L, int index)
{
    unsigned ops = 0;

    if (lua_isnoneornil(L, index))
        return (1u << VMM_BLOCK_OPS) - 1;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_Integer count = luaL_len(L, index);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, index, i);
        ops |= 1u << luaL_checkoption(L, -1, NULL, virtio_block_ops);
        lua_pop(L, 1);
    }
    return ops;
}

static uint8_t check_status(lua_State *L, int index)
{
    return (uint8_t)luaL_checkoption(L, index, "ok", virtio_block_statuses);
}

static uint64_t check_count(lua_State *L, int index, lua_Integer fallback)
{
    return (uint64_t)luaL_optinteger(L, index, fallback);
}

/* disk:block_fault(ops, first, last, nth, times, status, delay in ns) -> id;
 * ops: a list of names; nil each: all, 0, -1, 1, -1, "ok", 0. */
static int block_fault(lua_State *L)
{
    struct vmm_virtio *virtio = check_block(L, 1);
    struct vmm_error err;
    unsigned id;

    const struct vmm_block_fault fault = {.ops = check_ops(L, 2),
                                          .first = check_count(L, 3, 0),
                                          .last = check_count(L, 4, -1),
                                          .nth = check_count(L, 5, 1),
                                          .times = check_count(L, 6, -1),
                                          .status = check_status(L, 7),
                                          .delay_ns = check_count(L, 8, 0)};
    if (vmm_virtio_block_fault(virtio, &fault, &id, &err))
        return push_error(L, &err);
    lua_pushinteger(L, id);
    return 1;
}

/* disk:block_fault_counts(id) -> matches, hits; nil: it is removed */
static int block_fault_counts(lua_State *L)
{
    uint64_t matches, hits;

    if (!vmm_virtio_block_fault_counts(check_block(L, 1),
                                       (unsigned)luaL_checkinteger(L, 2),
                                       &matches, &hits))
        return 0;
    lua_pushinteger(L, (lua_Integer)matches);
    lua_pushinteger(L, (lua_Integer)hits);
    return 2;
}

/* disk:block_fault_remove(id) */
static int block_fault_remove(lua_State *L)
{
    vmm_virtio_block_fault_remove(check_block(L, 1),
                                  (unsigned)luaL_checkinteger(L, 2));
    return 0;
}

/* disk:block_ask(true | false) */
static int block_ask(lua_State *L)
{
    vmm_virtio_block_ask(check_block(L, 1), lua_toboolean(L, 2));
    return 0;
}

/* disk:block_question() -> id, op, sector, sectors; nil: there is none */
static int block_question(lua_State *L)
{
    struct vmm_block_question question;

    if (!vmm_virtio_block_question(check_block(L, 1), &question))
        return 0;
    lua_pushinteger(L, (lua_Integer)question.id);
    lua_pushstring(L, virtio_block_ops[question.op]);
    lua_pushinteger(L, (lua_Integer)question.sector);
    lua_pushinteger(L, (lua_Integer)question.sectors);
    return 4;
}

/* disk:block_decide(id, status, delay in ns) -> false when it is gone */
static int block_decide(lua_State *L)
{
    struct vmm_virtio *virtio = check_block(L, 1);

    lua_pushboolean(L, vmm_virtio_block_decide(
                           virtio, (uint64_t)luaL_checkinteger(L, 2),
                           check_status(L, 3), check_count(L, 4, 0)) == 0);
    return 1;
}

void virtio_block_open_faults(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"block_fault", block_fault},
        {"block_fault_counts", block_fault_counts},
        {"block_fault_remove", block_fault_remove},
        {"block_ask", block_ask},
        {"block_question", block_question},
        {"block_decide", block_decide},
        {NULL, NULL}};

    class_extend(L, VIRTIO_CLASS, methods);
}
