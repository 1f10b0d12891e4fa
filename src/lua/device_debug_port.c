/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Debug ports in Lua: vmm.debug_port{...}. */
#include "lua/device.h"

/* vmm.debug_port{ name =, value = } -> device */
static int debug_port_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.debug_port", "name value");
    const char *name = option_string(L, 1, "name", "debug");
    uint8_t value = (uint8_t)option_integer(L, 1, "value", 0xff, 0, 0xff);
    struct device_box *box = device_box_new(L, 0);
    if (vmm_debug_port_new(name, value, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

void device_debug_port_open(lua_State *L)
{
    lua_pushcfunction(L, debug_port_new);
    lua_setfield(L, -2, "debug_port");
}
