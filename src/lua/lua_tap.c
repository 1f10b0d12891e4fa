/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Lua functions beside a device: vm:tap{...} sees and rewrites accesses. */
#include <stdlib.h>
#include <string.h>

#include "lua/handlers.h"

struct lua_tap {
    struct handlers handlers;
    struct vmm_tap_ops ops;
};

/* What its function remove has. */
struct tap_box {
    struct lua_tap *tap;
    bool given; /* the tap is the bus's, which frees it */
    struct vm_box *vm;
    struct place place;
    struct vmm_bus_tap *tapped; /* NULL: on no bus */
    unsigned leaving;           /* those who are taking it off */
};

/* ---- what the bus calls ----------------------------------------------------
 */

/* An integer on top rewrites value; nil leaves it. */
static bool rewrite(struct handlers *handlers, lua_State *co,
                    const struct handler_access *access, uint8_t *value)
{
    int is_integer;
    uint64_t result = (uint64_t)lua_tointegerx(co, -1, &is_integer);

    if (is_integer) {
        memcpy(value, &result, access->size);
    } else if (!lua_isnil(co, -1)) {
        lua_pushfstring(co, "the handler returned a %s, not an integer",
                        luaL_typename(co, -1));
        handlers_fail(handlers, co, access);
    }
    return is_integer;
}

static bool tap_read(void *context, uint64_t offset, uint8_t *value,
                     size_t size)
{
    struct handlers *handlers = &((struct lua_tap *)context)->handlers;
    struct handler_access access = {HANDLER_READ, offset, size, value};

    lua_State *co = handlers_enter(handlers, &access);
    if (!co)
        return false;
    bool rewritten = rewrite(handlers, co, &access, value);
    handlers_leave(handlers, co);
    return rewritten;
}

static bool tap_write(void *context, uint64_t offset, uint8_t *value,
                      size_t size)
{
    struct handlers *handlers = &((struct lua_tap *)context)->handlers;
    struct handler_access access = {HANDLER_WRITE, offset, size, value};

    lua_State *co = handlers_enter(handlers, &access);
    if (!co)
        return true;
    bool swallowed = lua_isboolean(co, -1) && !lua_toboolean(co, -1);
    if (!swallowed)
        rewrite(handlers, co, &access, value);
    handlers_leave(handlers, co);
    return !swallowed;
}

static void tap_destroy(void *context)
{
    free(context);
}

/* ---- making and removing one -----------------------------------------------
 */

/* tap:remove() -> true; idempotent.  Upvalue 1 is its box. */
static int tap_remove(lua_State *L)
{
    struct tap_box *box = lua_touserdata(L, lua_upvalueindex(1));
    struct vm_box *vm = box->vm;
    struct vmm_bus_tap *tapped = box->tapped;
    struct vmm_error err;

    lua_pushboolean(L, 1);
    if (!tapped || !vm_is_open(vm)) {
        handlers_await_removal(vm, &box->leaving);
        return 1;
    }
    box->tapped = NULL;
    lua_getiuservalue(L, lua_upvalueindex(1), 1);
    handlers_close(L, &box->tap->handlers, -1);
    lua_pop(L, 1);
    box->leaving++;
    bool was_handler = script_begin_use(vm->script, &vm->users);
    int rc = vmm_bus_tap_remove(place_bus(vm, &box->place), tapped, &err);
    script_end_use(vm->script, &vm->users, was_handler);
    box->leaving--;
    return rc ? push_error(L, &err) : 1;
}

static int tap_gc(lua_State *L)
{
    struct tap_box *box = luaL_checkudata(L, 1, TAP_CLASS);

    if (!box->given)
        free(box->tap);
    box->tap = NULL;
    return 0;
}

/* Push the box of a tap of the options at index 2 for the VM at 1. */
static struct tap_box *make(lua_State *L)
{
    struct tap_box *box = box_new(L, sizeof(*box), TAP_CLASS);

    box_anchor(L, -1, 1);
    box->vm = check_vm(L, 1);
    box->tap = calloc(1, sizeof(*box->tap));
    if (!box->tap)
        luaL_error(L, "no memory for a tap");
    box->tap->ops = (struct vmm_tap_ops){.name = box->tap->handlers.name,
                                         .read = tap_read,
                                         .write = tap_write,
                                         .destroy = tap_destroy};
    handlers_open(L, &box->tap->handlers, "tap");
    if (!box->tap->handlers.has[HANDLER_READ])
        box->tap->ops.read = NULL;
    if (!box->tap->handlers.has[HANDLER_WRITE])
        box->tap->ops.write = NULL;
    return box;
}

/*
 * vm:tap{ name =, pio = {base, len} | mmio = {base, len},
 *         read = function(tap, offset, size, value) -> value | nil,
 *         write = function(tap, offset, size, value) -> value | nil | false }
 * -> tap, which is the options table itself
 */
static int lua_tap_new(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    struct place place;
    struct vmm_error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    place_check(L, "vm:tap", &place);
    struct tap_box *box = make(L);
    box->place = place;
    if (place_is_free(vm, box->tap->handlers.name, &place, &err) ||
        vmm_bus_tap_add(place_bus(vm, &place), place.base, place.len,
                        &box->tap->ops, box->tap, &box->tapped, &err)) {
        handlers_close(L, &box->tap->handlers, 1);
        return push_error(L, &err);
    }
    box->given = true;
    lua_pushcclosure(L, tap_remove, 1);
    lua_setfield(L, 2, "remove");
    return 1;
}

void lua_tap_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__gc", tap_gc}, {NULL, NULL}};
    static const struct class class = {.name = TAP_CLASS, .methods = methods};
    static const luaL_Reg of_vm[] = {{"tap", lua_tap_new}, {NULL, NULL}};

    class_open(L, &class);
    class_extend(L, VM_CLASS, of_vm);
}
