/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A guest's time in Lua: vm:stand_still(), vm:step_time(). */
#include "lua/classes.h"

/* vm:stand_still() -> seconds: of a paused VM, time goes on from the pause */
int vm_stand_still(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_error err;
    uint64_t by_ns;

    if (vmm_machine_stand_still(box->machine, &by_ns, &err))
        return push_error(L, &err);
    lua_pushnumber(L, (lua_Number)by_ns / 1e9);
    return 1;
}

/* vm:step_time(seconds) -> true: of a paused VM, time leaps ahead */
int vm_step_time(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    lua_Number seconds = luaL_checknumber(L, 2);
    struct vmm_error err;

    luaL_argcheck(L, seconds >= 0 && seconds <= 1e9, 2, "0 to 1e9 seconds");
    uint64_t by_ns = (uint64_t)(seconds * 1e9);
    return push_result(L, vmm_machine_step_time(box->machine, by_ns, &err),
                       &err);
}
