/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The keyboard controller in Lua: vmm.i8042{...}. */
#include "lua/device.h"

/* vmm.i8042{ vm = vm } -> device */
static int i8042_new(lua_State *L)
{
    struct vmm_power_line power;
    struct vmm_error err;

    options_check(L, 1, "vmm.i8042", "vm");
    struct device_box *box = device_box_of_power(L, &power);
    if (vmm_i8042_new(&power, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

void device_i8042_open(lua_State *L)
{
    lua_pushcfunction(L, i8042_new);
    lua_setfield(L, -2, "i8042");
}
