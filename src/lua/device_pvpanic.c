/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* pvpanic in Lua: vmm.pvpanic{...}. */
#include "lua/device.h"

/* vmm.pvpanic{ vm = vm } -> device */
static int pvpanic_new(lua_State *L)
{
    struct vmm_pvpanic_config config;
    struct vmm_error err;

    options_check(L, 1, "vmm.pvpanic", "vm");
    lua_getfield(L, 1, "vm");
    hooks_pvpanic(check_vm(L, -1), &config);
    struct device_box *box = device_box_new(L, -1);
    if (vmm_pvpanic_new(&config, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

void device_pvpanic_open(lua_State *L)
{
    lua_pushcfunction(L, pvpanic_new);
    lua_setfield(L, -2, "pvpanic");
}
