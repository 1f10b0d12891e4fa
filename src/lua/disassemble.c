/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* core.disassemble: bytes to instructions. */
#include <vmm/disassemble.h>

#include "lua/classes.h"

#define COUNT_MAX 4096

static void push_instruction(lua_State *L, const struct vmm_instruction *from)
{
    lua_createtable(L, 0, 5);
    box_set_integer(L, "address", from->address);
    box_set_integer(L, "size", from->size);
    lua_pushstring(L, from->text);
    lua_setfield(L, -2, "text");
    if (!from->has_target)
        return;
    box_set_integer(L, "target", from->target);
    lua_pushboolean(L, from->is_branch);
    lua_setfield(L, -2, "branch");
}

/* core.disassemble{ bytes =, address =, count =, bits =, att = } ->
 * { { address =, size =, text =, target =, branch = }, ... } */
static int disassemble(lua_State *L)
{
    struct vmm_disassembly how;
    struct vmm_error err;
    size_t size;

    options_check(L, 1, "disassemble", "bytes address count bits att");
    how.bits = (int)option_integer(L, 1, "bits", 64, 16, 64);
    how.att = option_boolean(L, 1, "att", false);
    lua_Integer max = option_integer(L, 1, "count", 1, 0, COUNT_MAX);
    lua_getfield(L, 1, "address");
    uint64_t address = (uint64_t)luaL_checkinteger(L, -1);
    lua_getfield(L, 1, "bytes");
    const uint8_t *bytes = (const uint8_t *)luaL_checklstring(L, -1, &size);

    struct vmm_instruction *instructions =
        lua_newuserdatauv(L, (size_t)(max + 1) * sizeof(*instructions), 0);
    int count = vmm_disassemble(&how, bytes, size, address, instructions,
                                (size_t)max, &err);
    if (count < 0)
        return push_error(L, &err);
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        push_instruction(L, &instructions[i]);
        lua_seti(L, -2, i + 1);
    }
    return 1;
}

void disassemble_open(lua_State *L)
{
    lua_pushcfunction(L, disassemble);
    lua_setfield(L, -2, "disassemble");
}
