/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A VM in Lua: kvm:create_vm{...}, its parts and its life. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "lua/handlers.h"

/* A handler runs while the script waits for the threads of the VM it closes:
 * to it that VM is closed already. */
bool vm_is_open(const struct vm_box *box)
{
    return box->machine && !atomic_load(&box->closing);
}

struct vm_box *check_vm(lua_State *L, int arg)
{
    struct vm_box *box = luaL_checkudata(L, arg, VM_CLASS);

    luaL_argcheck(L, vm_is_open(box), arg, "the VM is closed");
    return box;
}

void vm_push_kept(lua_State *L, int index)
{
    int vm = lua_absindex(L, index);

    if (lua_getiuservalue(L, vm, BOX_INNER) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, vm, BOX_INNER);
}

/* kvm:create_vm{ name = } -> vm */
int vm_new(lua_State *L)
{
    struct vmm_kvm *kvm = check_kvm(L, 1);
    const char *name = "vm";
    struct vmm_error err;

    if (!lua_isnoneornil(L, 2)) {
        options_check(L, 2, "create_vm", "name");
        name = option_string(L, 2, "name", name);
    }
    struct vm_box *box = box_new(L, sizeof(*box), VM_CLASS);
    box_anchor(L, -1, 1);
    box->script = script_of(L);
    if (vmm_machine_new(kvm, name, &box->machine, &err))
        return push_error(L, &err);
    hooks_open(L, -1, box);
    return 1;
}

/* The script's watch of the end goes before the fd that it watches. */
static void drop_end_watch(lua_State *L)
{
    if (lua_getfield(L, 1, "end_watch") == LUA_TUSERDATA)
        luaL_callmeta(L, -1, "__close");
    lua_settop(L, 1);
}

/*
 * vm:close(): stop, join, free; idempotent.  The lock is released while vCPU
 * threads are joined, for one of them may wait for it; the mark makes their
 * handlers return without running Lua.  Those of other VMs do run meanwhile, so
 * what Lua can reach is taken from it under the lock, before it is freed.
 */
static int vm_close(lua_State *L)
{
    struct vm_box *box = luaL_checkudata(L, 1, VM_CLASS);
    int waiting = hooks_before_close(L, box); /* which may close it */
    struct vmm_machine *machine = box->machine;
    struct vmm_stop stop;

    if (!machine || atomic_exchange(&box->closing, true))
        return 0;
    if (script_in_handler(box->script)) {
        /* Its threads may wait for this one: no more than a stop. */
        atomic_store(&box->closing, false);
        vmm_machine_stop(machine, VMM_STOP_CLOSED, "closed by a handler");
        return 0;
    }
    drop_end_watch(L);
    vmm_machine_stop(machine, VMM_STOP_CLOSED, "closed by its owner");
    bool was_handler = script_release(box->script);
    vmm_machine_wait(machine, -1);
    script_acquire(box->script, was_handler);
    script_await_unused(box->script, &box->users);
    if (box->close_virtios) /* their last output is for consoles */
        box->close_virtios(box);
    console_close_all(box);
    if (box->close_doorbells)
        box->close_doorbells(box);
    notifier_close(&box->notifier);
    vmm_machine_stopped(machine, &stop);
    box->machine = NULL;
    was_handler = script_release(box->script);
    vmm_machine_free(machine);
    script_acquire(box->script, was_handler);
    hooks_after_close(L, &stop, waiting);
    return 0;
}

/*
 * A handler in which the collector finds another VM may not wait for that
 * one's threads, only stop them: the script's next step frees it, or else the
 * state's close, for which it is marked for finalization once more.
 */
static int vm_gc(lua_State *L)
{
    struct vm_box *box = luaL_checkudata(L, 1, VM_CLASS);

    vm_close(L);
    if (box->machine) {
        luaL_setmetatable(L, VM_CLASS);
        script_close_later(L, 1);
    }
    return 0;
}

static int vm_tostring(lua_State *L)
{
    struct vm_box *box = luaL_checkudata(L, 1, VM_CLASS);
    struct vmm_stop stop;

    if (!vm_is_open(box)) {
        lua_pushliteral(L, "vmm.vm: closed");
        return 1;
    }
    vmm_machine_stopped(box->machine, &stop);
    lua_pushfstring(L, "vmm.vm: %s, %s", vmm_machine_name(box->machine),
                    stop.reason == VMM_STOP_NONE
                        ? "alive"
                        : vmm_stop_reason_name(stop.reason));
    return 1;
}

/* vm:map(mem) -> true */
static int vm_map(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_memory *memory = check_memory(L, 2);
    struct vmm_error err;

    int rc = place_memory(box, memory, &err);
    if (!rc)
        rc = vmm_vm_map(vmm_machine_vm(box->machine), memory, &err);
    return push_result(L, rc, &err);
}

/* vm:create_irqchip{ pit = false } -> true */
static int vm_create_irqchip(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_irqchip_config config = {0};
    struct vmm_error err;

    if (!lua_isnoneornil(L, 2)) {
        options_check(L, 2, "create_irqchip", "pit");
        config.pit = option_boolean(L, 2, "pit", false);
    }
    int rc = vmm_vm_create_irqchip(vmm_machine_vm(box->machine), &config, &err);
    return push_result(L, rc, &err);
}

/* vm:create_vcpu(id) -> vcpu */
static int vm_create_vcpu(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    lua_Integer id = luaL_checkinteger(L, 2);
    struct vmm_vcpu *vcpu;
    struct vmm_error err;

    luaL_argcheck(L, id >= 0 && id <= 4095, 2, "an id is 0 to 4095");
    if (vmm_machine_add_vcpu(box->machine, (uint32_t)id, &vcpu, &err))
        return push_error(L, &err);
    vcpu_push(L, 1, vcpu);
    return 1;
}

/* vm:irq(gsi) -> line */
static int vm_irq(lua_State *L)
{
    lua_Integer gsi = luaL_checkinteger(L, 2);

    check_vm(L, 1);
    luaL_argcheck(L, gsi >= 0 && gsi <= 1023, 2, "a gsi is 0 to 1023");
    return irq_push(L, 1, (uint32_t)gsi);
}

/* vm:signal_msi(address, data) -> true */
static int vm_signal_msi(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    lua_Integer address = luaL_checkinteger(L, 2);
    lua_Integer data = luaL_checkinteger(L, 3);

    int rc = vmm_vm_signal_msi(vmm_machine_vm(box->machine), (uint64_t)address,
                               (uint32_t)data);
    if (rc < 0)
        return push_errno(L, -rc, "KVM_SIGNAL_MSI: %s", strerror(-rc));
    lua_pushboolean(L, 1);
    return 1;
}

/* vm:start([paused]) -> true; vCPUs run on threads of their own */
static int vm_start(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_error err;

    int rc = lua_toboolean(L, 2) ? vmm_machine_start_paused(box->machine, &err)
                                 : vmm_machine_start(box->machine, &err);
    return push_result(L, rc, &err);
}

/*
 * vm:pause([timeout]) -> true
 *
 * A handler does not wait, be it of another VM: that one's handler may be about
 * to pause this one.
 */
static int vm_pause(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    int64_t timeout_ns = check_timeout_ns(L, 2);
    bool only_ask = script_in_handler(box->script);

    bool was_handler = script_begin_use(box->script, &box->users);
    int rc = vmm_machine_pause(box->machine, only_ask ? 0 : timeout_ns);
    script_end_use(box->script, &box->users, was_handler);
    if (rc < 0 && !only_ask)
        return push_errno(L, -rc, "the vCPUs did not pause: %s", strerror(-rc));
    lua_pushboolean(L, 1);
    return 1;
}

/* vm:resume() -> true */
static int vm_resume(lua_State *L)
{
    vmm_machine_resume(check_vm(L, 1)->machine);
    lua_pushboolean(L, 1);
    return 1;
}

/* vm:stop([reason [, text]]) -> true; the first reason wins */
static int vm_stop(lua_State *L)
{
    static const char *const names[] = {"reboot",       "poweroff", "panic",
                                        "triple_fault", "halt",     "error",
                                        "closed",       NULL};
    struct vm_box *box = check_vm(L, 1);
    int reason = luaL_checkoption(L, 2, "closed", names);
    const char *text = luaL_optstring(L, 3, "");

    vmm_machine_stop(box->machine,
                     (enum vmm_stop_reason)(VMM_STOP_REBOOT + reason), "%s",
                     text);
    lua_pushboolean(L, 1);
    return 1;
}

void stop_push(lua_State *L, const struct vmm_stop *stop)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, vmm_stop_reason_name(stop->reason));
    lua_setfield(L, -2, "reason");
    lua_pushstring(L, stop->text);
    lua_setfield(L, -2, "text");
}

/* vm:stopped() -> { reason =, text = } once every vCPU has finished, else nil
 */
static int vm_stopped(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    struct vmm_stop stop;

    vmm_machine_stopped(box->machine, &stop);
    if (stop.reason == VMM_STOP_NONE || vmm_machine_wait(box->machine, 0))
        return 0;
    stop_push(L, &stop);
    return 1;
}

/* vm:stopped_fd() -> fd, readable once every vCPU has finished */
static int vm_stopped_fd(lua_State *L)
{
    lua_pushinteger(L, vmm_machine_stopped_fd(check_vm(L, 1)->machine));
    return 1;
}

/* vm:exit_counts() -> { pio_read = n, ... } */
static int vm_exit_counts(lua_State *L)
{
    uint64_t counts[VMM_EXIT_TYPES];

    vmm_machine_exit_counts(check_vm(L, 1)->machine, counts);
    lua_createtable(L, 0, VMM_EXIT_TYPES);
    for (int type = 0; type < VMM_EXIT_TYPES; type++) {
        if (!counts[type])
            continue;
        lua_pushinteger(L, (lua_Integer)counts[type]);
        lua_setfield(L, -2, vmm_exit_name((enum vmm_exit_type)type));
    }
    return 1;
}

/* vm:get_state(name) -> bytes; vm:set_state(name, bytes) -> true */
static int vm_get_state(lua_State *L)
{
    uint8_t state[4096];
    size_t size = sizeof(state);
    struct vm_box *box = check_vm(L, 1);
    struct vmm_error err;

    if (vmm_vm_get_state(vmm_machine_vm(box->machine), luaL_checkstring(L, 2),
                         state, &size, &err))
        return push_error(L, &err);
    lua_pushlstring(L, (const char *)state, size);
    return 1;
}

static int vm_set_state(lua_State *L)
{
    struct vm_box *box = check_vm(L, 1);
    const char *name = luaL_checkstring(L, 2);
    size_t size;
    const char *state = luaL_checklstring(L, 3, &size);
    struct vmm_error err;

    int rc =
        vmm_vm_set_state(vmm_machine_vm(box->machine), name, state, size, &err);
    return push_result(L, rc, &err);
}

static int vm_name(lua_State *L)
{
    lua_pushstring(L, vmm_machine_name(check_vm(L, 1)->machine));
    return 1;
}

/* vm.closed: may be asked of a closed VM too */
static int vm_closed(lua_State *L)
{
    struct vm_box *box = luaL_checkudata(L, 1, VM_CLASS);

    lua_pushboolean(L, !vm_is_open(box));
    return 1;
}

void vm_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"map", vm_map},
        {"create_irqchip", vm_create_irqchip},
        {"create_vcpu", vm_create_vcpu},
        {"create_console", console_new},
        {"irq", vm_irq},
        {"signal_msi", vm_signal_msi},
        {"attach", device_attach},
        {"device", lua_device_new},
        {"start", vm_start},
        {"pause", vm_pause},
        {"resume", vm_resume},
        {"stand_still", vm_stand_still},
        {"step_time", vm_step_time},
        {"stop", vm_stop},
        {"stopped", vm_stopped},
        {"stopped_fd", vm_stopped_fd},
        {"exit_counts", vm_exit_counts},
        {"hook_exits", hook_exits},
        {"trap_msrs", hook_trap_msrs},
        {"trap_hypercalls", hook_trap_hypercalls},
        {"take_events", hook_take_events},
        {"get_state", vm_get_state},
        {"set_state", vm_set_state},
        {"close", vm_close},
        {"__gc", vm_gc},
        {"__close", vm_close},
        {"__tostring", vm_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg getters[] = {
        {"name", vm_name}, {"closed", vm_closed}, {NULL, NULL}};
    static const struct class class = {
        .name = VM_CLASS, .methods = methods, .getters = getters};

    class_open(L, &class);
}
