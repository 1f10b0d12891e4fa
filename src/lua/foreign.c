/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The doors for C modules of others: their devices into Lua, our objects out.
 */
#include "lua/device.h"

#include <vmm/lua.h>

struct vmm_device **vmm_lua_new_device(lua_State *L, int vm_index)
{
    if (vm_index)
        check_vm(L, vm_index);
    return &device_box_new(L, vm_index)->device;
}

struct vmm_machine *vmm_lua_check_machine(lua_State *L, int arg)
{
    return check_vm(L, arg)->machine;
}

struct vmm_memory *vmm_lua_check_memory(lua_State *L, int arg)
{
    return check_memory(L, arg);
}

void vmm_lua_check_irq(lua_State *L, int arg, struct vmm_irq_line *line)
{
    *line = check_irq(L, arg)->line;
}

int vmm_lua_push_error(lua_State *L, const struct vmm_error *err)
{
    return push_error(L, err);
}
