/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* C devices in Lua: what all have in common, irq lines, vm:attach. */
#include "lua/device.h"
#include "lua/handlers.h"

/* ---- irq lines -------------------------------------------------------------
 */

int irq_push(lua_State *L, int vm_index, uint32_t gsi)
{
    int vm = lua_absindex(L, vm_index);
    struct irq_box *box = box_new(L, sizeof(*box), IRQ_CLASS);
    struct vmm_error err;

    box->vm = lua_touserdata(L, vm);
    box_anchor(L, -1, vm);
    if (vmm_vm_irq_line(vmm_machine_vm(box->vm->machine), gsi, &box->line,
                        &err))
        return push_error(L, &err);
    return 1;
}

struct irq_box *check_irq(lua_State *L, int arg)
{
    struct irq_box *box = luaL_checkudata(L, arg, IRQ_CLASS);

    luaL_argcheck(L, vm_is_open(box->vm), arg, "the irq's VM is closed");
    return box;
}

int irq_push_from(lua_State *L, int vm_index)
{
    struct vm_box *vm = lua_touserdata(L, vm_index);
    int is_integer;
    lua_Integer gsi = lua_tointegerx(L, -1, &is_integer);

    if (!is_integer) {
        struct irq_box *box = luaL_testudata(L, -1, IRQ_CLASS);
        if (!box)
            return luaL_error(L, "irq must be a gsi or an irq, not %s",
                              luaL_typename(L, -1));
        if (box->vm != vm)
            return luaL_error(L, "the irq is of another VM");
        return 1;
    }
    if (gsi < 0 || gsi > 1023)
        return luaL_error(L, "irq: a gsi is 0 to 1023");
    lua_pop(L, 1);
    return irq_push(L, vm_index, (uint32_t)gsi);
}

static int irq_assert(lua_State *L)
{
    vmm_irq_set(&check_irq(L, 1)->line, true);
    return 0;
}

static int irq_deassert(lua_State *L)
{
    vmm_irq_set(&check_irq(L, 1)->line, false);
    return 0;
}

static int irq_pulse(lua_State *L)
{
    struct irq_box *box = check_irq(L, 1);

    vmm_irq_set(&box->line, true);
    vmm_irq_set(&box->line, false);
    return 0;
}

/* ---- devices ---------------------------------------------------------------
 */

struct vmm_device *check_device(lua_State *L, int arg)
{
    struct device_box *box = luaL_checkudata(L, arg, DEVICE_CLASS);

    luaL_argcheck(L, box->device, arg, "the device is closed");
    return box->device;
}

/* A console may outlive its serial port: it wakes it no more. */
static void disconnect(struct device_box *box)
{
    struct console_box *console = box->console;

    if (!console || console->port != box->device)
        return;
    console->port = NULL;
    if (console->console)
        vmm_console_connect(console->console, NULL);
}

static int device_gc(lua_State *L)
{
    struct device_box *box = luaL_checkudata(L, 1, DEVICE_CLASS);

    disconnect(box);
    vmm_device_unref(box->device);
    box->device = NULL;
    return 0;
}

static int device_name(lua_State *L)
{
    lua_pushstring(L, check_device(L, 1)->ops->name);
    return 1;
}

static int device_tostring(lua_State *L)
{
    lua_pushfstring(L, "vmm.device: %s", check_device(L, 1)->ops->name);
    return 1;
}

struct device_box *device_box_new(lua_State *L, int vm_index)
{
    int vm = vm_index ? lua_absindex(L, vm_index) : 0;
    struct device_box *box = box_new(L, sizeof(*box), DEVICE_CLASS);

    if (vm) {
        box->vm = lua_touserdata(L, vm);
        box_anchor(L, -1, vm);
    }
    return box;
}

struct device_box *device_box_of_power(lua_State *L,
                                       struct vmm_power_line *line)
{
    lua_getfield(L, 1, "vm");
    vmm_machine_power_line(check_vm(L, -1)->machine, line);
    return device_box_new(L, -1);
}

/*
 * What is on a VM's bus lives as long as the VM's object, which nothing in C
 * keeps alive: both are collected together.
 */
static void keep_device(lua_State *L, struct device_box *box)
{
    vm_push_kept(L, 1);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, box);
    lua_pop(L, 1);
    if (box->console)
        box->console->kept = true;
}

/* vm:attach(device, { pio = base | mmio = base [, region = 0] [, len =] }) */
int device_attach(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_device *device = check_device(L, 2);
    struct device_box *made = lua_touserdata(L, 2);
    struct vmm_error err;

    luaL_argcheck(L, !made->vm || made->vm == box, 2,
                  "the device was made for another VM");
    options_check(L, 3, "attach", "pio mmio region len");
    lua_Integer pio = option_integer(L, 3, "pio", -1, 0, 0xffff);
    lua_Integer mmio = option_integer(L, 3, "mmio", -1, 0, LUA_MAXINTEGER);
    lua_Integer region = option_integer(L, 3, "region", 0, 0,
                                        (lua_Integer)device->region_count - 1);
    uint64_t length = device->regions[region].length;
    lua_Integer len = option_integer(
        L, 3, "len", length ? (lua_Integer)length : 1, 1, LUA_MAXINTEGER);
    if ((pio < 0) == (mmio < 0))
        return luaL_error(L, "attach: give either pio or mmio");
    keep_device(L, made);
    struct place place = {.pio = pio >= 0,
                          .base = (uint64_t)(pio >= 0 ? pio : mmio),
                          .len = (uint64_t)len};
    int rc = place_is_free(box, device->ops->name, &place, &err);
    if (!rc)
        rc = vmm_bus_add(place_bus(box, &place), place.base, place.len, device,
                         (size_t)region, &err);
    return push_result(L, rc, &err);
}

void device_open(lua_State *L)
{
    static const luaL_Reg irq_methods[] = {{"assert", irq_assert},
                                           {"deassert", irq_deassert},
                                           {"pulse", irq_pulse},
                                           {NULL, NULL}};
    static const struct class irq_class = {.name = IRQ_CLASS,
                                           .methods = irq_methods};
    static const luaL_Reg methods[] = {
        {"__gc", device_gc}, {"__tostring", device_tostring}, {NULL, NULL}};
    static const luaL_Reg getters[] = {{"name", device_name}, {NULL, NULL}};
    static const struct class class = {
        .name = DEVICE_CLASS, .methods = methods, .getters = getters};

    class_open(L, &irq_class);
    class_open(L, &class);
}
