/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Exits no device took, asked of Lua; events of a VM and its end, told to it.
 */
#include <string.h>

#include "lua/classes.h"

/* ---- exits -----------------------------------------------------------------
 */

enum hook {
    HOOK_PIO,
    HOOK_MMIO,
    HOOK_MSR,
    HOOK_HYPERCALL,
    HOOK_DEBUG,
    HOOK_UNKNOWN,
};

static const char *const hook_names[] = {
    [HOOK_PIO] = "unhandled_pio", [HOOK_MMIO] = "unhandled_mmio",
    [HOOK_MSR] = "msr",           [HOOK_HYPERCALL] = "hypercall",
    [HOOK_DEBUG] = "debug",       [HOOK_UNKNOWN] = "unknown",
    [HOOK_UNKNOWN + 1] = NULL,
};

static enum hook hook_of(enum vmm_exit_type type)
{
    static const uint8_t hooks[VMM_EXIT_TYPES] = {
        [VMM_EXIT_NONE] = HOOK_UNKNOWN,
        [VMM_EXIT_PIO_READ] = HOOK_PIO,
        [VMM_EXIT_PIO_WRITE] = HOOK_PIO,
        [VMM_EXIT_MMIO_READ] = HOOK_MMIO,
        [VMM_EXIT_MMIO_WRITE] = HOOK_MMIO,
        [VMM_EXIT_HALT] = HOOK_UNKNOWN,
        [VMM_EXIT_SHUTDOWN] = HOOK_UNKNOWN,
        [VMM_EXIT_SYSTEM_EVENT] = HOOK_UNKNOWN,
        [VMM_EXIT_FAIL_ENTRY] = HOOK_UNKNOWN,
        [VMM_EXIT_INTERNAL_ERROR] = HOOK_UNKNOWN,
        [VMM_EXIT_DEBUG] = HOOK_DEBUG,
        [VMM_EXIT_MSR_READ] = HOOK_MSR,
        [VMM_EXIT_MSR_WRITE] = HOOK_MSR,
        [VMM_EXIT_HYPERCALL] = HOOK_HYPERCALL,
        [VMM_EXIT_IRQ_WINDOW] = HOOK_UNKNOWN,
        [VMM_EXIT_UNKNOWN] = HOOK_UNKNOWN,
    };

    return (enum hook)hooks[type];
}

/* An exit on its way to the function and back. */
struct question {
    struct vm_box *vm;
    struct vmm_vcpu *vcpu;
    struct vmm_exit *exit;
    bool taken;
};

lua_Integer vcpu_index(const struct vm_box *vm, const struct vmm_vcpu *vcpu)
{
    size_t count = vmm_machine_vcpu_count(vm->machine);

    for (size_t i = 0; i < count; i++)
        if (vmm_machine_vcpu(vm->machine, i) == vcpu)
            return (lua_Integer)i + 1;
    return 0;
}

/* Give the result on top to a read of count times size bytes: an integer for
 * each of them, or a string for all; true leaves what is there. */
static void give_bytes(lua_State *L, uint8_t *data, size_t size, size_t count)
{
    int is_integer;
    size_t len;

    if (lua_type(L, -1) == LUA_TBOOLEAN)
        return;
    if (lua_type(L, -1) == LUA_TSTRING) {
        const char *bytes = lua_tolstring(L, -1, &len);
        if (len != size * count)
            luaL_error(L, "the hook returned %d bytes, not %d", (int)len,
                       (int)(size * count));
        memcpy(data, bytes, len);
        return;
    }
    uint64_t value = (uint64_t)lua_tointegerx(L, -1, &is_integer);
    if (!is_integer)
        luaL_error(L,
                   "the hook returned a %s, not an integer, bytes, true or nil",
                   luaL_typename(L, -1));
    for (size_t i = 0; i < count; i++)
        memcpy(data + i * size, &value, size);
}

/* Give the result on top, which is neither nil nor false, to the guest. */
static void give(lua_State *L, struct vmm_exit *exit)
{
    uint64_t value = 0;

    if (exit->type == VMM_EXIT_PIO_READ) {
        give_bytes(L, exit->u.io.data, exit->u.io.size, exit->u.io.count);
    } else if (exit->type == VMM_EXIT_MMIO_READ) {
        give_bytes(L, exit->u.mmio.data, exit->u.mmio.size, 1);
    } else if (exit->type == VMM_EXIT_MSR_READ) {
        give_bytes(L, (uint8_t *)&value, sizeof(value), 1);
        *exit->u.msr.data = value;
    } else if (exit->type == VMM_EXIT_HYPERCALL) {
        give_bytes(L, (uint8_t *)&value, sizeof(value), 1);
        *exit->u.hypercall.ret = value;
    }
}

/* The registry of a VM has its function at this address: only that matters. */
static const char hook_key = 'h';

/* Call the VM's function(event, vcpu_index, exit); in a protected call. */
static int ask(lua_State *L)
{
    struct question *question = lua_touserdata(L, 1);
    struct vm_box *vm = question->vm;

    box_push(L, vm);
    if (lua_isnil(L, -1) || lua_getiuservalue(L, -1, BOX_INNER) != LUA_TTABLE ||
        lua_rawgetp(L, -1, &hook_key) != LUA_TFUNCTION)
        return 0; /* the VM's object is being collected */
    lua_pushstring(L, hook_names[hook_of(question->exit->type)]);
    lua_pushinteger(L, vcpu_index(vm, question->vcpu));
    exit_push(L, question->exit);
    lua_call(L, 3, 1);
    question->taken = lua_toboolean(L, -1);
    if (question->taken)
        give(L, question->exit);
    return 0;
}

static void fail(struct vm_box *vm, const struct vmm_exit *exit,
                 const char *text)
{
    const char *hook = hook_names[hook_of(exit->type)];
    const char *name = vmm_exit_name(exit->type);

    if (hook_of(exit->type) == HOOK_PIO)
        vmm_machine_stop(vm->machine, VMM_STOP_ERROR,
                         "hook %s: %s of %d bytes at port 0x%x: %s", hook, name,
                         exit->u.io.size, exit->u.io.port, text);
    else if (hook_of(exit->type) == HOOK_MMIO)
        vmm_machine_stop(vm->machine, VMM_STOP_ERROR,
                         "hook %s: %s of %d bytes at 0x%llx: %s", hook, name,
                         exit->u.mmio.size,
                         (unsigned long long)exit->u.mmio.gpa, text);
    else
        vmm_machine_stop(vm->machine, VMM_STOP_ERROR, "hook %s: %s: %s", hook,
                         name, text);
}

/* vmm_machine_set_hook's: on the vCPU thread, no lock held. */
static int on_exit_of(void *context, struct vmm_vcpu *vcpu,
                      struct vmm_exit *exit)
{
    struct vm_box *vm = context;
    struct question question = {.vm = vm, .vcpu = vcpu, .exit = exit};
    struct handler_timer timer;

    if (!(atomic_load(&vm->hooked) & 1u << hook_of(exit->type)) ||
        atomic_load(&vm->closing))
        return 1;
    lua_State *co = handler_begin(vm, &timer);
    if (!co)
        return 1;
    if (!atomic_load(&vm->closing)) {
        lua_pushcfunction(co, box_traceback);
        lua_pushcfunction(co, ask);
        lua_pushlightuserdata(co, &question);
        if (lua_pcall(co, 1, 0, -3) != LUA_OK) {
            question.taken = false;
            fail(vm, exit, lua_tostring(co, -1));
        }
    }
    handler_returned(vm, &timer);
    script_leave(vm->script, co);
    return question.taken ? 0 : 1;
}

/*
 * vm:hook_exits({ name, ... }, function(name, vcpu_index, exit)): from now on
 * the function is asked about the exits of these names that no device took.
 * One function a VM; the last one counts.
 */
int hook_exits(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    unsigned hooked = 0;

    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TFUNCTION);
    for (lua_Integer i = luaL_len(L, 2); i > 0; i--) {
        lua_geti(L, 2, i);
        hooked |= 1u << luaL_checkoption(L, -1, NULL, hook_names);
        lua_pop(L, 1);
    }
    vm_push_kept(L, 1);
    lua_pushvalue(L, 3);
    lua_rawsetp(L, -2, &hook_key);
    atomic_store(&vm->hooked, hooked);
    return 0;
}

/* vm:trap_msrs(on) -> true: MSRs that KVM does not know exit, too */
int hook_trap_msrs(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    struct vmm_error err;

    int rc = vmm_vm_trap_msrs(vmm_machine_vm(vm->machine), lua_toboolean(L, 2),
                              &err);
    return push_result(L, rc, &err);
}

/* vm:trap_hypercalls(on) -> true: those that user space may serve exit */
int hook_trap_hypercalls(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    struct vmm_error err;

    int rc = vmm_vm_trap_hypercalls(vmm_machine_vm(vm->machine),
                                    lua_toboolean(L, 2), &err);
    return push_result(L, rc, &err);
}

/* ---- events ----------------------------------------------------------------
 */

enum { EVENT_CRASH_LOADED = 1 << 0, EVENT_BREAK = 1 << 1 };

/* Call vm:happened(event) for what the bits tell, vm:tell_breaks() for a stop
 * at a breakpoint; the VM is at index. */
static void tell(lua_State *L, int index, unsigned bits)
{
    if (bits & EVENT_CRASH_LOADED &&
        lua_getfield(L, index, "happened") == LUA_TFUNCTION) {
        lua_pushvalue(L, index);
        lua_pushliteral(L, "crashloaded");
        lua_call(L, 2, 0);
    }
    if (bits & EVENT_BREAK &&
        lua_getfield(L, index, "tell_breaks") == LUA_TFUNCTION) {
        lua_pushvalue(L, index);
        lua_call(L, 1, 0);
    }
}

void hooks_break(struct vm_box *vm)
{
    notifier_raise(&vm->notifier, EVENT_BREAK);
}

/* The notifier's function(bits); upvalue 1: the VM's box. */
static int on_events(lua_State *L)
{
    unsigned bits = (unsigned)lua_tointeger(L, 1);

    box_push(L, lua_touserdata(L, lua_upvalueindex(1)));
    if (!lua_isnil(L, -1))
        tell(L, lua_gettop(L), bits);
    return 0;
}

/* vm:take_events(): tell what has happened by now, not at the next step */
int hook_take_events(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);

    tell(L, 1, atomic_exchange(&vm->notifier.bits, 0));
    return 0;
}

/*
 * The notifier is the box's, which outlives its vCPU threads; its function is
 * with an object of its own, for the VM's inner value is taken.
 */
void hooks_open(lua_State *L, int index, struct vm_box *vm)
{
    int object = lua_absindex(L, index);

    vm_push_kept(L, object);
    lua_newuserdatauv(L, 1, BOX_INNER);
    box_register(L, -1);
    lua_pushlightuserdata(L, vm);
    lua_pushcclosure(L, on_events, 1);
    notifier_open(L, &vm->notifier, lua_absindex(L, -2));
    lua_rawsetp(L, -2, &vm->notifier);
    lua_pop(L, 1);
    vmm_machine_set_hook(vm->machine, on_exit_of, vm);
}

/* ---- pvpanic ---------------------------------------------------------------
 */

static void on_panic(void *context)
{
    vmm_machine_stop(((struct vm_box *)context)->machine, VMM_STOP_PANIC,
                     "the guest told pvpanic that it has panicked");
}

static void on_crash_loaded(void *context)
{
    notifier_raise(&((struct vm_box *)context)->notifier, EVENT_CRASH_LOADED);
}

void hooks_pvpanic(struct vm_box *vm, struct vmm_pvpanic_config *config)
{
    config->panicked = on_panic;
    config->crash_loaded = on_crash_loaded;
    config->context = vm;
}

/* ---- the end ---------------------------------------------------------------
 */

static bool has_subscriptions(lua_State *L)
{
    bool has = lua_getfield(L, 1, "subscriptions") == LUA_TTABLE;

    lua_pop(L, 1);
    return has;
}

/* Call a method of the VM at index 1, with what is at index 2: LUA_NOREF, or
 * the error it raised. */
static int call_method(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        return luaL_ref(L, LUA_REGISTRYINDEX);
    return LUA_NOREF;
}

/* While the VM at index 1 is open, an end that is there already is told with
 * all that the console knows: vm:stopped() does; and vm.before_close, if there
 * is such a function, is called, with the error that closes it, if one does.
 * Their error waits. */
int hooks_before_close(lua_State *L, struct vm_box *vm)
{
    int waiting = LUA_NOREF;

    if (!vm->machine || atomic_load(&vm->closing) ||
        script_in_handler(vm->script))
        return LUA_NOREF;
    lua_settop(L, 2);
    if (has_subscriptions(L))
        waiting = call_method(L, "stopped");
    bool is_set = lua_getfield(L, 1, "before_close") == LUA_TFUNCTION;
    lua_pop(L, 1);
    if (waiting == LUA_NOREF && is_set)
        waiting = call_method(L, "before_close");
    return waiting;
}

/* The VM at index 1 is closed: vm:tell_end(stop); raise what has waited. */
void hooks_after_close(lua_State *L, const struct vmm_stop *stop, int waiting)
{
    if (waiting != LUA_NOREF) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, waiting);
        luaL_unref(L, LUA_REGISTRYINDEX, waiting);
        lua_error(L);
    }
    if (!has_subscriptions(L))
        return;
    lua_getfield(L, 1, "tell_end");
    lua_pushvalue(L, 1);
    stop_push(L, stop);
    lua_call(L, 2, 0);
}
