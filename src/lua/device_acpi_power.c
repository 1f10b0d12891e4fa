/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The ACPI sleep and reset registers in Lua: vmm.acpi_power{...}. */
#include "lua/device.h"

/* vmm.acpi_power{ vm = vm } -> device */
static int acpi_power_new(lua_State *L)
{
    struct vmm_power_line power;
    struct vmm_error err;

    options_check(L, 1, "vmm.acpi_power", "vm");
    struct device_box *box = device_box_of_power(L, &power);
    if (vmm_acpi_power_new(&power, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

void device_acpi_power_open(lua_State *L)
{
    lua_pushcfunction(L, acpi_power_new);
    lua_setfield(L, -2, "acpi_power");
}
