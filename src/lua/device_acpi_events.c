/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Events of the ACPI platform in Lua: vmm.acpi_events{...}, device:raise(). */
#include "lua/device.h"

/* vmm.acpi_events{ irq = line } -> device */
static int acpi_events_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.acpi_events", "irq");
    lua_getfield(L, 1, "irq");
    struct irq_box *irq = check_irq(L, -1);
    struct device_box *box = device_box_new(L, 0);
    box->vm = irq->vm;
    box_anchor(L, -1, lua_absindex(L, -2)); /* the line, and that, its VM */
    if (vmm_acpi_events_new(&irq->line, &box->device, &err))
        return push_error(L, &err);
    return 1;
}

/* device:raise(bits): events of vmm.acpi_events{...} */
static int device_raise(lua_State *L)
{
    struct vmm_device *device = check_device(L, 1);
    lua_Integer events = luaL_checkinteger(L, 2);
    struct device_box *box = lua_touserdata(L, 1);

    luaL_argcheck(L, events > 0 && events <= 0xff, 2, "events are 1 to 255");
    luaL_argcheck(L, !box->vm || vm_is_open(box->vm), 1,
                  "the device's VM is closed");
    if (vmm_acpi_events_raise(device, (uint8_t)events))
        return luaL_error(L, "%s has no events to raise", device->ops->name);
    return 0;
}

void device_acpi_events_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"raise", device_raise}, {NULL, NULL}};

    lua_pushcfunction(L, acpi_events_new);
    lua_setfield(L, -2, "acpi_events");
    class_extend(L, DEVICE_CLASS, methods);
}
