/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A typed exit as a Lua table: { type = "pio_write", port =, data =, ... }. */
#include "lua/classes.h"

static void set_bytes(lua_State *L, const char *name, const uint8_t *bytes,
                      size_t len)
{
    lua_pushlstring(L, (const char *)bytes, len);
    lua_setfield(L, -2, name);
}

static void push_io(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "port", exit->u.io.port);
    box_set_integer(L, "size", exit->u.io.size);
    box_set_integer(L, "count", exit->u.io.count);
    if (exit->type == VMM_EXIT_PIO_WRITE)
        set_bytes(L, "data", exit->u.io.data,
                  (size_t)exit->u.io.size * exit->u.io.count);
}

static void push_mmio(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "gpa", exit->u.mmio.gpa);
    box_set_integer(L, "size", exit->u.mmio.size);
    if (exit->type == VMM_EXIT_MMIO_WRITE)
        set_bytes(L, "data", exit->u.mmio.data, exit->u.mmio.size);
}

static void push_system_event(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "event", exit->u.system_event.type);
}

static void push_fail_entry(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "reason", exit->u.fail_entry.reason);
    box_set_integer(L, "cpu", exit->u.fail_entry.cpu);
}

static void push_internal(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "suberror", exit->u.internal.suberror);
    set_bytes(L, "bytes", exit->u.internal.bytes, exit->u.internal.byte_count);
}

static void push_debug(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "exception", exit->u.debug.exception);
    box_set_integer(L, "pc", exit->u.debug.pc);
    box_set_integer(L, "dr6", exit->u.debug.dr6);
    box_set_integer(L, "dr7", exit->u.debug.dr7);
}

static void push_msr(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "index", exit->u.msr.index);
    box_set_integer(L, "reason", exit->u.msr.reason);
    box_set_integer(L, "value", *exit->u.msr.data);
}

static void push_hypercall(lua_State *L, const struct vmm_exit *exit)
{
    box_set_integer(L, "nr", exit->u.hypercall.nr);
    lua_createtable(L, 6, 0);
    for (int i = 0; i < 6; i++) {
        lua_pushinteger(L, (lua_Integer)exit->u.hypercall.args[i]);
        lua_seti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "args");
}

void exit_push(lua_State *L, const struct vmm_exit *exit)
{
    typedef void (*push_function)(lua_State *, const struct vmm_exit *);
    static const push_function details[VMM_EXIT_TYPES] = {
        [VMM_EXIT_PIO_READ] = push_io,
        [VMM_EXIT_PIO_WRITE] = push_io,
        [VMM_EXIT_MMIO_READ] = push_mmio,
        [VMM_EXIT_MMIO_WRITE] = push_mmio,
        [VMM_EXIT_SYSTEM_EVENT] = push_system_event,
        [VMM_EXIT_FAIL_ENTRY] = push_fail_entry,
        [VMM_EXIT_INTERNAL_ERROR] = push_internal,
        [VMM_EXIT_DEBUG] = push_debug,
        [VMM_EXIT_MSR_READ] = push_msr,
        [VMM_EXIT_MSR_WRITE] = push_msr,
        [VMM_EXIT_HYPERCALL] = push_hypercall,
    };

    lua_createtable(L, 0, 6);
    lua_pushstring(L, vmm_exit_name(exit->type));
    lua_setfield(L, -2, "type");
    box_set_integer(L, "number", exit->number);
    if (details[exit->type])
        details[exit->type](L, exit);
}
