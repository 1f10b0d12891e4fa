/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The event trace in Lua: start, stop, and events in pieces as tables. */
#include "lua/classes.h"
#include "lua/ranges.h"
#include <vmm/metrics.h>

/* vm:trace_begin(events) -> true */
int trace_begin(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    lua_Integer events = luaL_checkinteger(L, 2);
    struct vmm_error err;

    luaL_argcheck(L, events >= 1 && events <= VMM_TRACE_EVENTS_MAX, 2,
                  "1 to 1048576 events");
    int rc = vmm_machine_trace_start(box->machine, (size_t)events, &err);
    return push_result(L, rc, &err);
}

/* vm:trace_end() */
int trace_end(lua_State *L)
{
    vmm_machine_trace_stop(check_vm(L, 1)->machine);
    return 0;
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void push_event(lua_State *L, const struct ranges *ranges,
                       const struct vmm_trace_event *event)
{
    static const char *const kinds[] = {
        [VMM_TRACE_EXIT] = "exit",
        [VMM_TRACE_KICK] = "kick",
        [VMM_TRACE_PAUSE] = "pause",
        [VMM_TRACE_RESUME] = "resume",
    };

    lua_createtable(L, 0, 9);
    set_string(L, "kind", kinds[event->kind]);
    box_set_integer(L, "time_ns", event->time_ns);
    if (event->kind != VMM_TRACE_EXIT)
        return;
    box_set_integer(L, "duration_ns", event->duration_ns);
    set_string(L, "type", vmm_exit_name(event->type));
    if (event->access == VMM_ACCESS_NONE) {
        box_set_integer(L, "number", event->address);
        return;
    }
    set_string(L, "access", vmm_access_kind_name(event->access));
    set_string(L, "device", /* NULL: nil */
               ranges_name(ranges, event->access, event->address));
    box_set_integer(L, "address", event->address);
    box_set_integer(L, "size", event->size);
    box_set_integer(L, "count", event->count);
    box_set_integer(L, "value", event->value);
}

/*
 * vm:trace_take(vcpu_index, next, lost) -> events, next, lost: an array of some
 * events on from a place (0 at first), empty at the end, and the place behind.
 */
int trace_take(lua_State *L)
{
    struct vmm_trace_event events[256];
    struct vm_box *box = check_vm(L, 1);
    lua_Integer index = luaL_checkinteger(L, 2);
    struct vmm_trace_cursor cursor = {
        .next = (uint64_t)luaL_checkinteger(L, 3),
        .lost = (uint64_t)luaL_checkinteger(L, 4),
    };

    luaL_argcheck(
        L, index >= 1 && (size_t)index <= vmm_machine_vcpu_count(box->machine),
        2, "no such vCPU");
    size_t count =
        vmm_machine_trace_read(box->machine, (size_t)index - 1, &cursor, events,
                               sizeof(events) / sizeof(*events));
    const struct ranges *ranges = ranges_push(L, box->machine);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_event(L, ranges, &events[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(L, (lua_Integer)cursor.next);
    lua_pushinteger(L, (lua_Integer)cursor.lost);
    return 3;
}
