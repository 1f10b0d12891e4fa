/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Devices whose registers are Lua functions: vm:device{...}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua/classes.h"

/*
 * Its handlers run on the vCPU thread that accessed it, under the script's
 * lock, in a state of their own.  The bus takes no device lock: the script's
 * lock is the outermost one.
 */
struct lua_device {
    struct vmm_device device;
    struct vmm_device_ops ops;
    char name[64];
    struct vm_box *vm;
    bool has_read;
    bool has_write;
    struct lua_device *next;
};

/*
 * Its Lua parts are an array { object, read, write } in the VM object's table
 * of what it keeps, by the device's address: so they live as long as the VM's
 * object, which nothing in C keeps alive.
 */
enum part { PART_OBJECT = 1, PART_READ, PART_WRITE };

static struct lua_device *from_device(struct vmm_device *device)
{
    return (struct lua_device *)device;
}

static void fail(struct lua_device *self, lua_State *co, const char *verb,
                 uint64_t offset, size_t size)
{
    vmm_machine_stop(self->vm->machine, VMM_STOP_ERROR,
                     "device %s: %s of %d bytes at offset 0x%llx: %s",
                     self->name, verb, (int)size, (unsigned long long)offset,
                     lua_tostring(co, -1));
}

/* Push the array of parts; false when the VM's object is being collected. */
static bool push_parts(lua_State *co, const struct lua_device *self)
{
    box_push(co, self->vm);
    return !lua_isnil(co, -1) &&
           lua_getiuservalue(co, -1, BOX_INNER) == LUA_TTABLE &&
           lua_rawgetp(co, -1, self) == LUA_TTABLE;
}

/* Call a handler(object, offset, size [, value]); true when it has returned. */
static bool call(struct lua_device *self, lua_State *co, enum part handler,
                 uint64_t offset, size_t size, const uint64_t *value)
{
    lua_pushcfunction(co, box_traceback);
    int message_handler = lua_gettop(co);
    if (!push_parts(co, self))
        return false;
    int parts = lua_gettop(co);
    lua_rawgeti(co, parts, handler);
    lua_rawgeti(co, parts, PART_OBJECT);
    lua_pushinteger(co, (lua_Integer)offset);
    lua_pushinteger(co, (lua_Integer)size);
    if (value)
        lua_pushinteger(co, (lua_Integer)*value);
    if (lua_pcall(co, value ? 4 : 3, value ? 0 : 1, message_handler) == LUA_OK)
        return true;
    fail(self, co, value ? "write" : "read", offset, size);
    return false;
}

static void lua_device_read(struct vmm_device *device, uint64_t offset,
                            uint8_t *value, size_t size)
{
    struct lua_device *self = from_device(device);

    if (!self->has_read || atomic_load(&self->vm->closing))
        return;
    lua_State *co = script_enter(self->vm->script);
    if (!co)
        return;
    if (!atomic_load(&self->vm->closing) &&
        call(self, co, PART_READ, offset, size, NULL)) {
        int is_integer;
        uint64_t result = (uint64_t)lua_tointegerx(co, -1, &is_integer);
        if (is_integer) {
            memcpy(value, &result, size);
        } else if (!lua_isnil(co, -1)) {
            lua_pushfstring(co, "the handler returned a %s, not an integer",
                            luaL_typename(co, -1));
            fail(self, co, "read", offset, size);
        }
    }
    script_leave(self->vm->script, co);
}

static void lua_device_write(struct vmm_device *device, uint64_t offset,
                             const uint8_t *value, size_t size)
{
    struct lua_device *self = from_device(device);
    uint64_t number = 0;

    if (!self->has_write || atomic_load(&self->vm->closing))
        return;
    memcpy(&number, value, size);
    lua_State *co = script_enter(self->vm->script);
    if (!co)
        return;
    if (!atomic_load(&self->vm->closing))
        call(self, co, PART_WRITE, offset, size, &number);
    script_leave(self->vm->script, co);
}

/* Its memory belongs to the VM's box: Lua references go with it. */
static void lua_device_destroy(struct vmm_device *device)
{
    (void)device;
}

/* Put options[name] at parts[part]; false when there is none. */
static bool set_handler(lua_State *L, int options, const char *name,
                        enum part part)
{
    int type = lua_getfield(L, options, name);

    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(L, "%s must be a function, not %s", name,
                   lua_typename(L, type));
    lua_rawseti(L, -2, part);
    return type != LUA_TNIL;
}

/* Remember { object, read, write } with the VM's object at index 1. */
static void set_parts(lua_State *L, struct lua_device *self)
{
    vm_push_kept(L, 1);
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, PART_OBJECT);
    self->has_read = set_handler(L, 2, "read", PART_READ);
    self->has_write = set_handler(L, 2, "write", PART_WRITE);
    lua_rawsetp(L, -2, self);
    lua_pop(L, 1);
}

/* name = {base, len} into *base, *len; false when absent. */
static bool option_range(lua_State *L, int index, const char *name,
                         uint64_t *base, uint64_t *len)
{
    int type = lua_getfield(L, index, name);

    if (type == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    if (type != LUA_TTABLE)
        luaL_error(L, "%s must be {base, len}", name);
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    *base = (uint64_t)luaL_checkinteger(L, -2);
    *len = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 3);
    return true;
}

static const struct vmm_region_ops lua_device_region = {
    .read = lua_device_read, .write = lua_device_write};

/*
 * vm:device{ name =, pio = {base, len} | mmio = {base, len},
 *            read = function(dev, offset, size) -> integer,
 *            write = function(dev, offset, size, value) } -> dev
 * dev is the options table itself: the device's state in plain Lua.
 */
int lua_device_new(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    uint64_t base, len;
    struct vmm_error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    bool pio = option_range(L, 2, "pio", &base, &len);
    if (!pio && !option_range(L, 2, "mmio", &base, &len))
        return luaL_error(L, "vm:device: give pio = {base, len} or "
                             "mmio = {base, len}");
    const char *name = option_string(L, 2, "name", "lua");

    struct lua_device *self = calloc(1, sizeof(*self));
    if (!self)
        return luaL_error(L, "no memory for a device");
    self->next = vm->devices; /* freed with the VM, whatever happens here */
    vm->devices = self;
    snprintf(self->name, sizeof(self->name), "%s", name);
    self->ops = (struct vmm_device_ops){.name = self->name,
                                        .destroy = lua_device_destroy};
    self->vm = vm;
    set_parts(L, self);
    vmm_device_init(&self->device, &self->ops, &lua_device_region, 1);
    self->device.unlocked = true;

    struct vmm_bus *bus =
        pio ? vmm_machine_pio(vm->machine) : vmm_machine_mmio(vm->machine);
    if (vmm_bus_add(bus, base, len, &self->device, 0, &err))
        return push_error(L, &err);
    lua_pushvalue(L, 2);
    return 1;
}

void lua_device_free_all(struct vm_box *vm)
{
    while (vm->devices) {
        struct lua_device *next = vm->devices->next;
        free(vm->devices);
        vm->devices = next;
    }
}
