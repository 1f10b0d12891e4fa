/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Devices whose registers are Lua functions: vm:device{...}. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lua/handlers.h"

/*
 * The bus takes no lock for it: the script's lock serves.  The bus may drop the
 * last reference on a vCPU thread, so its end touches no Lua.
 */
struct lua_device {
    struct vmm_device device;
    struct vmm_device_ops ops;
    struct handlers handlers;
};

/* What the functions remove, replace and move of a device share. */
struct placed {
    struct lua_device *device;
    struct vm_box *vm;
    struct place place;
    bool present;     /* on the bus */
    unsigned leaving; /* those who are taking it off */
};

static struct handlers *handlers_of(struct vmm_device *device)
{
    return &((struct lua_device *)device)->handlers;
}

/* ---- what the bus calls ----------------------------------------------------
 */

static void lua_device_read(struct vmm_device *device, uint64_t offset,
                            uint8_t *value, size_t size)
{
    struct handlers *handlers = handlers_of(device);
    struct handler_access access = {HANDLER_READ, offset, size, NULL};
    int is_integer;

    lua_State *co = handlers_enter(handlers, &access);
    if (!co)
        return;
    uint64_t result = (uint64_t)lua_tointegerx(co, -1, &is_integer);
    if (is_integer) {
        memcpy(value, &result, size);
    } else if (!lua_isnil(co, -1)) {
        lua_pushfstring(co, "the handler returned a %s, not an integer",
                        luaL_typename(co, -1));
        handlers_fail(handlers, co, &access);
    }
    handlers_leave(handlers, co);
}

static void lua_device_write(struct vmm_device *device, uint64_t offset,
                             const uint8_t *value, size_t size)
{
    struct handlers *handlers = handlers_of(device);
    struct handler_access access = {HANDLER_WRITE, offset, size, value};

    lua_State *co = handlers_enter(handlers, &access);
    if (co)
        handlers_leave(handlers, co);
}

static void lua_device_reset(struct vmm_device *device)
{
    struct handlers *handlers = handlers_of(device);
    struct handler_access access = {.handler = HANDLER_RESET};

    lua_State *co = handlers_enter(handlers, &access);
    if (co)
        handlers_leave(handlers, co);
}

static void lua_device_destroy(struct vmm_device *device)
{
    free(device);
}

static const struct vmm_region_ops lua_device_region = {
    .read = lua_device_read, .write = lua_device_write};

/* ---- making one ------------------------------------------------------------
 */

/* options.irq becomes an irq object.  0, or what push_error has pushed. */
static int take_irq(lua_State *L)
{
    if (lua_getfield(L, 2, "irq") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    int pushed = irq_push_from(L, 1);
    if (pushed > 1)
        return pushed;
    lua_setfield(L, 2, "irq");
    return 0;
}

/* Power on: as C devices, it is reset when it is made. */
static void power_on(lua_State *L)
{
    int type = lua_getfield(L, 2, "reset");

    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 2);
        lua_call(L, 1, 0);
    } else if (type == LUA_TNIL) {
        lua_pop(L, 1);
    } else {
        luaL_error(L, "reset must be a function, not %s",
                   lua_typename(L, type));
    }
}

/* Push the device of the options at index 2 for the VM at 1, on no bus yet. */
static struct placed *make(lua_State *L)
{
    struct placed *placed = box_new(L, sizeof(*placed), PLACED_CLASS);

    box_anchor(L, -1, 1);
    placed->vm = check_vm(L, 1);
    struct lua_device *self = calloc(1, sizeof(*self));
    if (!self)
        luaL_error(L, "no memory for a device");
    self->ops = (struct vmm_device_ops){.name = self->handlers.name,
                                        .reset = lua_device_reset,
                                        .destroy = lua_device_destroy};
    vmm_device_init(&self->device, &self->ops, &lua_device_region, 1);
    self->device.unlocked = true;
    placed->device = self;
    handlers_open(L, &self->handlers, "device");
    return placed;
}

/* dev.remove, dev.replace and dev.move, for the placed device on top; leaves
 * the options table on top. */
static void add_methods(lua_State *L);

/* Give up one that is on no bus: push_error's results. */
static int refuse(lua_State *L, struct placed *placed,
                  const struct vmm_error *err)
{
    placed->present = false;
    if (vm_is_open(placed->vm))
        handlers_close(L, &placed->device->handlers, 1);
    return push_error(L, err);
}

int lua_device_new(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    struct place place;
    struct vmm_error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    place_check(L, "vm:device", &place);
    int pushed = take_irq(L);
    if (pushed)
        return pushed;
    power_on(L);
    struct placed *placed = make(L);
    placed->place = place;
    if (place_is_free(vm, placed->device->handlers.name, &place, &err) ||
        vmm_bus_add(place_bus(vm, &place), place.base, place.len,
                    &placed->device->device, 0, &err))
        return refuse(L, placed, &err);
    placed->present = true;
    add_methods(L);
    return 1;
}

/* ---- its methods: upvalue 1 is what is placed ------------------------------
 */

static struct placed *self_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* Put its VM at index 1 and what is at `index` at index 2. */
static void place_vm(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    lua_getiuservalue(L, lua_upvalueindex(1), 1);
    lua_replace(L, 1);
    lua_replace(L, 2);
    lua_settop(L, 2);
}

/*
 * dev:remove() -> true; idempotent.  Other handlers run while it waits for
 * those of this device to return; none of its own does in which it is called.
 */
static int placed_remove(lua_State *L)
{
    struct placed *self = self_of(L);
    struct vm_box *vm = self->vm;
    struct vmm_error err;

    lua_pushboolean(L, 1);
    if (!self->present || !vm_is_open(vm)) {
        handlers_await_removal(vm, &self->leaving);
        return 1;
    }
    self->present = false;
    lua_getiuservalue(L, lua_upvalueindex(1), 1);
    handlers_close(L, &self->device->handlers, -1);
    lua_pop(L, 1);
    self->leaving++;
    bool was_handler = script_begin_use(vm->script, &vm->users);
    int rc =
        vmm_bus_remove(place_bus(vm, &self->place), self->place.base, &err);
    script_end_use(vm->script, &vm->users, was_handler);
    self->leaving--;
    return rc ? push_error(L, &err) : 1;
}

/* Whether it is still there to be changed; else push_errno's results. */
static bool is_present(const struct placed *self)
{
    return self->present && vm_is_open(self->vm);
}

static int push_removed(lua_State *L, const struct placed *self)
{
    return push_errno(L, ENOENT, "device %s has been removed",
                      self->device->handlers.name);
}

/* It takes over the range; options that say another one are a mistake. */
static void check_no_place(lua_State *L)
{
    if (lua_getfield(L, 2, "pio") != LUA_TNIL ||
        lua_getfield(L, 2, "mmio") != LUA_TNIL)
        luaL_error(L, "replace keeps the range: give no pio or mmio");
    lua_pop(L, 2);
}

/* dev:replace{ name =, read =, write =, reset =, irq = } -> the new device */
static int placed_replace(lua_State *L)
{
    struct placed *self = self_of(L);
    struct vm_box *vm = self->vm;
    struct vmm_error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    if (!is_present(self))
        return push_removed(L, self);
    place_vm(L, 2);
    check_no_place(L);
    int pushed = take_irq(L);
    if (pushed)
        return pushed;
    power_on(L);
    if (!is_present(self)) /* reset may do anything */
        return push_removed(L, self);
    struct placed *next = make(L);
    next->place = self->place;
    self->present = false;
    next->present = true;
    bool was_handler = script_begin_use(vm->script, &vm->users);
    int rc = vmm_bus_replace(place_bus(vm, &next->place), next->place.base,
                             &next->device->device, 0, &err);
    script_end_use(vm->script, &vm->users, was_handler);
    self->present = rc != 0;
    if (rc)
        return refuse(L, next, &err);
    if (vm_is_open(vm))
        handlers_close(L, &self->device->handlers, 1);
    add_methods(L);
    return 1;
}

/* dev:move(base) -> true */
static int placed_move(lua_State *L)
{
    struct placed *self = self_of(L);
    struct place place = self->place;
    struct vmm_error err;

    place.base = (uint64_t)luaL_checkinteger(L, 2);
    if (!is_present(self))
        return push_removed(L, self);
    int rc = place_is_free(self->vm, self->device->handlers.name, &place, &err);
    if (!rc)
        rc = vmm_bus_move(place_bus(self->vm, &place), self->place.base,
                          place.base, &err);
    if (!rc)
        self->place = place;
    return push_result(L, rc, &err);
}

static void add_methods(lua_State *L)
{
    static const luaL_Reg methods[] = {{"remove", placed_remove},
                                       {"replace", placed_replace},
                                       {"move", placed_move},
                                       {NULL, NULL}};

    lua_pushvalue(L, 2);
    lua_insert(L, -2);
    luaL_setfuncs(L, methods, 1);
}

static int placed_gc(lua_State *L)
{
    struct placed *self = luaL_checkudata(L, 1, PLACED_CLASS);

    if (self->device)
        vmm_device_unref(&self->device->device);
    self->device = NULL;
    return 0;
}

void lua_device_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__gc", placed_gc}, {NULL, NULL}};
    static const struct class class = {.name = PLACED_CLASS,
                                       .methods = methods};

    class_open(L, &class);
}
