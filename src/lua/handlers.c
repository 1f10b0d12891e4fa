/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* From an access on a vCPU thread to a Lua function, and what it raises. */
#include <stdio.h>
#include <string.h>

#include "lua/handlers.h"

#include <vmm/metrics.h>

static const char *const names[] = {[HANDLER_READ] = "read",
                                    [HANDLER_WRITE] = "write",
                                    [HANDLER_RESET] = "reset"};

/* Put options[name] into the array on top. */
static void keep_handler(lua_State *L, struct handlers *self,
                         enum handler handler)
{
    int type = lua_getfield(L, 2, names[handler]);

    if (type != LUA_TNIL && type != LUA_TFUNCTION)
        luaL_error(L, "%s must be a function, not %s", names[handler],
                   lua_typename(L, type));
    lua_rawseti(L, -2, handler);
    self->has[handler] = type != LUA_TNIL;
}

void handlers_open(lua_State *L, struct handlers *self, const char *kind)
{
    self->vm = check_vm(L, 1);
    self->kind = kind;
    snprintf(self->name, sizeof(self->name), "%s",
             option_string(L, 2, "name", "lua"));
    vm_push_kept(L, 1);
    lua_createtable(L, HANDLER_RESET, 0);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, HANDLER_OBJECT);
    keep_handler(L, self, HANDLER_READ);
    keep_handler(L, self, HANDLER_WRITE);
    keep_handler(L, self, HANDLER_RESET);
    lua_rawsetp(L, -2, self);
    lua_pop(L, 1);
}

void handlers_close(lua_State *L, struct handlers *self, int vm)
{
    vm_push_kept(L, vm);
    lua_pushnil(L);
    lua_rawsetp(L, -2, self);
    lua_pop(L, 1);
}

void handlers_await_removal(struct vm_box *vm, const unsigned *leaving)
{
    if (*leaving && !script_in_handler(vm->script))
        script_await_unused(vm->script, leaving);
}

void handlers_fail(struct handlers *self, lua_State *co,
                   const struct handler_access *access)
{
    const char *text = lua_tostring(co, -1);

    if (access->handler == HANDLER_RESET)
        vmm_machine_stop(self->vm->machine, VMM_STOP_ERROR, "%s %s: reset: %s",
                         self->kind, self->name, text);
    else
        vmm_machine_stop(self->vm->machine, VMM_STOP_ERROR,
                         "%s %s: %s of %d bytes at offset 0x%llx: %s",
                         self->kind, self->name, names[access->handler],
                         (int)access->size, (unsigned long long)access->offset,
                         text);
}

/* Push the array; false when the VM's object is being collected, or it has
 * been removed. */
static bool push_kept_array(lua_State *co, const struct handlers *self)
{
    box_push(co, self->vm);
    return !lua_isnil(co, -1) &&
           lua_getiuservalue(co, -1, BOX_INNER) == LUA_TTABLE &&
           lua_rawgetp(co, -1, self) == LUA_TTABLE;
}

/* True when the handler has returned; its result is on top. */
static bool call(struct handlers *self, lua_State *co,
                 const struct handler_access *access)
{
    uint64_t value = 0;
    int arguments = 1;

    lua_pushcfunction(co, box_traceback);
    int message_handler = lua_gettop(co);
    if (atomic_load(&self->vm->closing) || !push_kept_array(co, self))
        return false;
    int array = lua_gettop(co);
    lua_rawgeti(co, array, access->handler);
    lua_rawgeti(co, array, HANDLER_OBJECT);
    if (access->handler != HANDLER_RESET) {
        lua_pushinteger(co, (lua_Integer)access->offset);
        lua_pushinteger(co, (lua_Integer)access->size);
        arguments = 3;
    }
    if (access->value) {
        memcpy(&value, access->value, access->size);
        lua_pushinteger(co, (lua_Integer)value);
        arguments++;
    }
    if (lua_pcall(co, arguments, 1, message_handler) == LUA_OK)
        return true;
    handlers_fail(self, co, access);
    return false;
}

lua_State *handler_begin(struct vm_box *vm, struct handler_timer *timer)
{
    timer->asked_ns = vmm_machine_measures(vm->machine) ? vmm_now_ns() : 0;
    lua_State *co = script_enter(vm->script);
    timer->entered_ns = timer->asked_ns ? vmm_now_ns() : 0;
    return co;
}

void handler_returned(struct vm_box *vm, const struct handler_timer *timer)
{
    if (!timer->asked_ns)
        return;
    vm->handlers.calls++;
    vm->handlers.wait_ns += timer->entered_ns - timer->asked_ns;
    vm->handlers.run_ns += vmm_now_ns() - timer->entered_ns;
}

lua_State *handlers_enter(struct handlers *self,
                          const struct handler_access *access)
{
    if (!self->has[access->handler] || atomic_load(&self->vm->closing))
        return NULL;
    struct handler_timer timer;
    lua_State *co = handler_begin(self->vm, &timer);
    bool returned = co && call(self, co, access);
    if (co)
        handler_returned(self->vm, &timer);
    if (co && !returned)
        script_leave(self->vm->script, co);
    return returned ? co : NULL;
}

void handlers_leave(struct handlers *self, lua_State *co)
{
    script_leave(self->vm->script, co);
}
