/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The real-time clock in Lua: vmm.rtc{...}. */
#include "lua/device.h"

/* vmm.rtc{ below_4g = bytes, above_4g = bytes } -> device */
static int rtc_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.rtc", "below_4g above_4g");
    struct vmm_rtc_config config = {
        .below_4g_bytes =
            (uint64_t)option_integer(L, 1, "below_4g", 0, 0, LUA_MAXINTEGER),
        .above_4g_bytes =
            (uint64_t)option_integer(L, 1, "above_4g", 0, 0, LUA_MAXINTEGER),
    };
    struct device_box *box = device_box_new(L, 0);
    if (vmm_rtc_new(&config, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

void device_rtc_open(lua_State *L)
{
    lua_pushcfunction(L, rtc_new);
    lua_setfield(L, -2, "rtc");
}
