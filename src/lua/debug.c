/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Breakpoints and steps of a VM in Lua: the mechanisms under lua/vmm/debug.lua.
 */
#include <linux/kvm.h>
#include <string.h>

#include "lua/classes.h"
#include <vmm/debug.h>

/* ---- hits ------------------------------------------------------------------
 */

/* The registry of a VM has its function at this address: only that matters. */
static const char break_key = 'b';

/* A hit on its way to the function and back. */
struct hit {
    struct vm_box *vm;
    const struct vmm_break_hit *hit;
    lua_Integer answer;
};

static bool may_come_again(enum vmm_break_kind kind)
{
    return kind == VMM_BREAK_SOFTWARE || kind == VMM_BREAK_HARDWARE;
}

/* Call function(id, vcpu, again, rip [, old, new]); in a protected call. */
static int ask(lua_State *L)
{
    struct hit *question = lua_touserdata(L, 1);
    const struct vmm_break_hit *hit = question->hit;
    int arguments = 4;

    box_push(L, question->vm);
    if (lua_isnil(L, -1) || lua_getiuservalue(L, -1, BOX_INNER) != LUA_TTABLE ||
        lua_rawgetp(L, -1, &break_key) != LUA_TFUNCTION)
        return 0; /* the VM's object is being collected */
    lua_pushinteger(L, (lua_Integer)hit->id);
    lua_pushinteger(L, (lua_Integer)hit->vcpu + 1);
    lua_pushboolean(L, may_come_again(hit->kind));
    lua_pushinteger(L, (lua_Integer)hit->rip);
    if (hit->has_values) {
        lua_pushinteger(L, (lua_Integer)hit->old_value);
        lua_pushinteger(L, (lua_Integer)hit->new_value);
        arguments = 6;
    }
    lua_call(L, arguments, 1);
    question->answer = lua_tointeger(L, -1);
    return 0;
}

/*
 * vmm_machine_on_break's.  The pause is asked for before the script can run
 * again: a resume that it makes when it knows of the hit comes after it.
 */
static enum vmm_break_answer on_break(void *context, struct vmm_vcpu *vcpu,
                                      const struct vmm_break_hit *hit)
{
    struct vm_box *vm = context;
    struct hit question = {.vm = vm, .hit = hit, .answer = VMM_BREAK_GO_ON};

    (void)vcpu;
    if (atomic_load(&vm->closing))
        return VMM_BREAK_GO_ON;
    lua_State *co = script_enter(vm->script);
    if (!co)
        return VMM_BREAK_GO_ON;
    if (!atomic_load(&vm->closing)) {
        lua_pushcfunction(co, box_traceback);
        lua_pushcfunction(co, ask);
        lua_pushlightuserdata(co, &question);
        if (lua_pcall(co, 1, 0, -3) != LUA_OK)
            vmm_machine_stop(
                vm->machine, VMM_STOP_ERROR, "%s at 0x%llx: %s",
                may_come_again(hit->kind) ? "breakpoint" : "watchpoint",
                (unsigned long long)hit->gva, lua_tostring(co, -1));
    }
    if (question.answer == VMM_BREAK_STOP) {
        vmm_machine_pause(vm->machine, 0);
        hooks_break(vm);
    }
    script_leave(vm->script, co);
    return (enum vmm_break_answer)question.answer;
}

/* vm:hook_breaks(function(id, vcpu, again, rip [, old, new]) -> 0 go on, 1
 * stop, 2 later (again: only then)) */
static int hook_breaks(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    vm_push_kept(L, 1);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, -2, &break_key);
    vmm_machine_on_break(vm->machine, on_break, vm);
    return 0;
}

/* ---- mechanisms ------------------------------------------------------------
 */

static const char *const kinds[] = {
    [VMM_BREAK_SOFTWARE] = "software", [VMM_BREAK_HARDWARE] = "hardware",
    [VMM_WATCH_WRITE] = "write",       [VMM_WATCH_ACCESS] = "access",
    [VMM_WATCH_STEPPED] = "stepped",   [VMM_WATCH_STEPPED + 1] = NULL};

/* An index in vm.vcpus, from 0 now. */
static size_t check_index(lua_State *L, const struct vm_box *vm, int arg)
{
    lua_Integer index = luaL_checkinteger(L, arg);
    size_t count = vmm_machine_vcpu_count(vm->machine);

    if (index < 1 || (size_t)index > count)
        luaL_error(L, "the VM has no vCPU %I, but 1 to %I", (LUAI_UACINT)index,
                   (LUAI_UACINT)count);
    return (size_t)index - 1;
}

/* vm:add_break(kind, address, len, vcpu, by_port) -> id */
static int add_break(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    struct vmm_break_config config = {
        .kind = (enum vmm_break_kind)luaL_checkoption(L, 2, NULL, kinds),
        .gva = (uint64_t)luaL_checkinteger(L, 3),
        .len = (uint8_t)luaL_checkinteger(L, 4),
        .vcpu = check_index(L, vm, 5),
        .by_port = lua_toboolean(L, 6)};
    struct vmm_error err;
    uint64_t id;

    bool was_handler = script_begin_use(vm->script, &vm->users);
    int rc = vmm_machine_add_break(vm->machine, &config, &id, &err);
    script_end_use(vm->script, &vm->users, was_handler);
    if (rc)
        return push_error(L, &err);
    lua_pushinteger(L, (lua_Integer)id);
    return 1;
}

/* vm:remove_break(id) */
static int remove_break(lua_State *L)
{
    vmm_machine_remove_break(check_vm(L, 1)->machine,
                             (uint64_t)luaL_checkinteger(L, 2));
    return 0;
}

/* vm:step_vcpu(index, count, timeout) -> steps made, rip */
static int step_vcpu(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    size_t index = check_index(L, vm, 2);
    uint64_t count = (uint64_t)luaL_checkinteger(L, 3);
    int64_t timeout_ns = check_timeout_ns(L, 4);
    struct vmm_error err;
    struct kvm_regs regs = {0};
    uint64_t steps;

    if (script_in_handler(vm->script))
        return luaL_error(L, "a handler may not wait");
    bool was_handler = script_begin_use(vm->script, &vm->users);
    int rc =
        vmm_machine_step(vm->machine, index, count, timeout_ns, &steps, &err);
    if (rc == 0)
        rc = vmm_vcpu_get_regs(vmm_machine_vcpu(vm->machine, index), &regs,
                               &err);
    script_end_use(vm->script, &vm->users, was_handler);
    if (rc)
        return push_error(L, &err);
    lua_pushinteger(L, (lua_Integer)steps);
    lua_pushinteger(L, (lua_Integer)regs.rip);
    return 2;
}

/* vm:without_breakpoints(bytes, gpa) -> bytes, the originals for INT3s of ours
 */
static int without_breakpoints(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    uint64_t gpa = (uint64_t)luaL_checkinteger(L, 3);
    luaL_Buffer buffer;
    size_t len;

    const char *bytes = luaL_checklstring(L, 2, &len);
    char *copy = luaL_buffinitsize(L, &buffer, len);
    memcpy(copy, bytes, len);
    vmm_machine_hide_breaks(vm->machine, gpa, copy, len);
    luaL_pushresultsize(&buffer, len);
    return 1;
}

/* vm:probe_debug() -> { software_breakpoints =, ..., reasons = {name = text} }
 */
static int probe_debug(lua_State *L)
{
    static const char *const names[VMM_DEBUG_FEATURES] = {
        [VMM_DEBUG_SOFTWARE_BREAKPOINTS] = "software_breakpoints",
        [VMM_DEBUG_HARDWARE_BREAKPOINTS] = "hardware_breakpoints",
        [VMM_DEBUG_WATCHPOINTS] = "watchpoints",
        [VMM_DEBUG_SINGLE_STEP] = "single_step"};
    struct vm_box *vm = check_vm(L, 1);
    struct vmm_debug_support support;
    struct vmm_error err;

    bool was_handler = script_begin_use(vm->script, &vm->users);
    int rc = vmm_debug_probe(vmm_vm_kvm(vmm_machine_vm(vm->machine)), &support,
                             &err);
    script_end_use(vm->script, &vm->users, was_handler);
    if (rc)
        return push_error(L, &err);
    lua_createtable(L, 0, VMM_DEBUG_FEATURES + 1);
    lua_pushboolean(L, support.by_port);
    lua_setfield(L, -2, "by_port");
    lua_newtable(L);
    for (int i = 0; i < VMM_DEBUG_FEATURES; i++) {
        lua_pushboolean(L, support.works[i]);
        lua_setfield(L, -3, names[i]);
        if (!support.reasons[i][0])
            continue;
        lua_pushstring(L, support.reasons[i]);
        lua_setfield(L, -2, names[i]);
    }
    lua_setfield(L, -2, "reasons");
    return 1;
}

void debug_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"hook_breaks", hook_breaks},
        {"add_break", add_break},
        {"remove_break", remove_break},
        {"step_vcpu", step_vcpu},
        {"without_breakpoints", without_breakpoints},
        {"probe_debug", probe_debug},
        {NULL, NULL},
    };

    class_extend(L, VM_CLASS, methods);
}
