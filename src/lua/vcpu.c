/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU in Lua: its state as tables, and run_once with its typed exit. */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>

#include "lua/classes.h"
#include "lua/registers.h"

struct vcpu_box {
    struct vm_box *vm;
    struct vmm_vcpu *vcpu;
    struct vmm_exit exit; /* of the last run_once */
};

static struct vcpu_box *check_vcpu_box(lua_State *L)
{
    struct vcpu_box *box = luaL_checkudata(L, 1, VCPU_CLASS);

    luaL_argcheck(L, vm_is_open(box->vm), 1, "the vCPU's VM is closed");
    return box;
}

static struct vmm_vcpu *check_vcpu(lua_State *L)
{
    return check_vcpu_box(L)->vcpu;
}

struct vmm_vcpu *vcpu_at(lua_State *L, int arg)
{
    struct vcpu_box *box = luaL_checkudata(L, arg, VCPU_CLASS);

    luaL_argcheck(L, vm_is_open(box->vm), arg, "the vCPU's VM is closed");
    return box->vcpu;
}

void vcpu_push(lua_State *L, int vm_index, struct vmm_vcpu *vcpu)
{
    int vm = lua_absindex(L, vm_index);
    struct vcpu_box *box = box_new(L, sizeof(*box), VCPU_CLASS);

    box->vm = lua_touserdata(L, vm);
    box->vcpu = vcpu;
    box_anchor(L, -1, vm);
}

static int vcpu_tostring(lua_State *L)
{
    struct vcpu_box *box = luaL_checkudata(L, 1, VCPU_CLASS);

    if (vm_is_open(box->vm))
        lua_pushfstring(L, "vmm.vcpu: %d of %s", (int)vmm_vcpu_id(box->vcpu),
                        vmm_machine_name(box->vm->machine));
    else
        lua_pushliteral(L, "vmm.vcpu: closed");
    return 1;
}

static void raise_if(lua_State *L, int rc, const struct vmm_error *err)
{
    if (rc)
        luaL_error(L, "%s", err->text);
}

/* ---- properties: a state that cannot be read is a programmer's error --------
 */

static int vcpu_id(lua_State *L)
{
    lua_pushinteger(L, vmm_vcpu_id(check_vcpu(L)));
    return 1;
}

static int vcpu_state(lua_State *L)
{
    static const char *const names[] = {
        [VMM_VCPU_NO_THREAD] = "none",    [VMM_VCPU_PAUSED] = "paused",
        [VMM_VCPU_RUNNING] = "running",   [VMM_VCPU_STOPPING] = "stopping",
        [VMM_VCPU_FINISHED] = "finished",
    };

    lua_pushstring(L, names[vmm_vcpu_thread_state(check_vcpu(L))]);
    return 1;
}

static int get_regs(lua_State *L)
{
    struct kvm_regs regs;
    struct vmm_error err;

    raise_if(L, vmm_vcpu_get_regs(check_vcpu(L), &regs, &err), &err);
    push_regs(L, &regs);
    return 1;
}

static int set_regs(lua_State *L)
{
    struct vmm_vcpu *vcpu = check_vcpu(L);
    struct kvm_regs regs;
    struct vmm_error err;

    raise_if(L, vmm_vcpu_get_regs(vcpu, &regs, &err), &err);
    read_regs(L, 2, &regs);
    raise_if(L, vmm_vcpu_set_regs(vcpu, &regs, &err), &err);
    return 0;
}

static int get_sregs(lua_State *L)
{
    struct kvm_sregs sregs;
    struct vmm_error err;

    raise_if(L, vmm_vcpu_get_sregs(check_vcpu(L), &sregs, &err), &err);
    push_sregs(L, &sregs);
    return 1;
}

static int set_sregs(lua_State *L)
{
    struct vmm_vcpu *vcpu = check_vcpu(L);
    struct kvm_sregs sregs;
    struct vmm_error err;

    raise_if(L, vmm_vcpu_get_sregs(vcpu, &sregs, &err), &err);
    read_sregs(L, 2, &sregs);
    raise_if(L, vmm_vcpu_set_sregs(vcpu, &sregs, &err), &err);
    return 0;
}

/* Push a state's bytes, however large KVM makes it. */
static void push_state(lua_State *L, struct vmm_vcpu *vcpu, const char *name)
{
    size_t size = 4096;
    struct vmm_error err;
    void *buffer = lua_newuserdatauv(L, size, 0);

    int rc = vmm_vcpu_get_state(vcpu, name, buffer, &size, &err);
    if (rc == -ENOBUFS) {
        buffer = lua_newuserdatauv(L, size, 0);
        rc = vmm_vcpu_get_state(vcpu, name, buffer, &size, &err);
    }
    raise_if(L, rc, &err);
    lua_pushlstring(L, buffer, size);
}

static int get_cpuid(lua_State *L)
{
    push_state(L, check_vcpu(L), "cpuid");
    /* Strings are aligned for any type. */
    push_cpuid(L, (const void *)lua_tostring(L, -1));
    return 1;
}

static int set_cpuid(lua_State *L)
{
    struct vmm_vcpu *vcpu = check_vcpu(L);
    struct vmm_error err;

    raise_if(L, vmm_vcpu_set_cpuid(vcpu, read_cpuid(L, 2), &err), &err);
    return 0;
}

/* ---- methods
 * ------------------------------------------------------------------ */

/* vcpu:get_state(name) -> bytes of the kernel's structure */
static int vcpu_get_state(lua_State *L)
{
    push_state(L, check_vcpu(L), luaL_checkstring(L, 2));
    return 1;
}

/* vcpu:set_state(name, bytes) -> true */
static int vcpu_set_state(lua_State *L)
{
    struct vmm_vcpu *vcpu = check_vcpu(L);
    const char *name = luaL_checkstring(L, 2);
    size_t size;
    const char *bytes = luaL_checklstring(L, 3, &size);
    struct vmm_error err;

    return push_result(L, vmm_vcpu_set_state(vcpu, name, bytes, size, &err),
                       &err);
}

/* vcpu:get_msrs{ index, ... } -> { [index] = value, ... } */
static int vcpu_get_msrs(lua_State *L)
{
    struct vmm_vcpu *vcpu = check_vcpu(L);
    struct vmm_error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = (size_t)luaL_len(L, 2);
    struct kvm_msr_entry *entries =
        lua_newuserdatauv(L, (count + 1) * sizeof(*entries), 0);
    memset(entries, 0, (count + 1) * sizeof(*entries));
    for (size_t i = 0; i < count; i++) {
        lua_geti(L, 2, (lua_Integer)i + 1);
        entries[i].index = (uint32_t)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    if (vmm_vcpu_get_msrs(vcpu, entries, count, &err))
        return push_error(L, &err);
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        lua_pushinteger(L, (lua_Integer)entries[i].data);
        lua_seti(L, -2, entries[i].index);
    }
    return 1;
}

/* vcpu:set_msrs{ [index] = value, ... } -> true */
static int vcpu_set_msrs(lua_State *L)
{
    struct vmm_vcpu *vcpu = check_vcpu(L);
    struct vmm_error err;

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, 2)) {
        struct kvm_msr_entry entry = {
            .index = (uint32_t)luaL_checkinteger(L, -2),
            .data = (uint64_t)luaL_checkinteger(L, -1)};
        if (vmm_vcpu_set_msrs(vcpu, &entry, 1, &err))
            return push_error(L, &err);
        lua_pop(L, 1);
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* vcpu:translate(gva) -> gpa */
static int vcpu_translate(lua_State *L)
{
    struct vmm_vcpu *vcpu = check_vcpu(L);
    uint64_t gva = (uint64_t)luaL_checkinteger(L, 2);
    vmm_gpa_t gpa;
    struct vmm_error err;

    if (vmm_vcpu_translate(vcpu, gva, &gpa, &err))
        return push_error(L, &err);
    lua_pushinteger(L, (lua_Integer)gpa);
    return 1;
}

/* vcpu:nmi() -> true */
static int vcpu_nmi(lua_State *L)
{
    struct vmm_error err;

    return push_result(L, vmm_vcpu_nmi(check_vcpu(L), &err), &err);
}

/*
 * vcpu:run_once() -> exit table.  Blocks this script's thread until the exit,
 * the lock released.  An exit that reads is answered by vcpu:answer(bytes) or
 * vcpu:dispatch() before the next run.
 */
static int vcpu_run_once(lua_State *L)
{
    struct vcpu_box *box = check_vcpu_box(L);
    struct vmm_error err;

    if (script_in_handler(box->vm->script))
        return luaL_error(L, "a handler may not wait");
    bool was_handler = script_release(box->vm->script);
    int rc = vmm_vcpu_run_once(box->vcpu, &box->exit, &err);
    script_acquire(box->vm->script, was_handler);
    if (rc) {
        box->exit.type = VMM_EXIT_NONE;
        return push_error(L, &err);
    }
    exit_push(L, &box->exit);
    return 1;
}

/* vcpu:answer(bytes): what the last exit's read returns to the guest */
static int vcpu_answer(lua_State *L)
{
    struct vcpu_box *box = check_vcpu_box(L);
    size_t len, room = 0;
    const char *bytes = luaL_checklstring(L, 2, &len);
    uint8_t *data = NULL;

    if (box->exit.type == VMM_EXIT_PIO_READ) {
        data = box->exit.u.io.data;
        room = (size_t)box->exit.u.io.size * box->exit.u.io.count;
    } else if (box->exit.type == VMM_EXIT_MMIO_READ) {
        data = box->exit.u.mmio.data;
        room = box->exit.u.mmio.size;
    }
    if (!data)
        return luaL_error(L, "the last exit reads nothing");
    if (len != room)
        return luaL_error(L, "the guest reads %d bytes, not %d", (int)room,
                          (int)len);
    memcpy(data, bytes, len);
    return 0;
}

/* vcpu:dispatch() -> true: the last exit goes to the VM's devices, as the
 * vCPU threads do it; false when it has ended the VM */
static int vcpu_dispatch(lua_State *L)
{
    struct vcpu_box *box = check_vcpu_box(L);

    /* A device in Lua takes the lock itself. */
    bool was_handler = script_release(box->vm->script);
    int end = vmm_machine_dispatch(box->vm->machine, box->vcpu, &box->exit);
    script_acquire(box->vm->script, was_handler);
    lua_pushboolean(L, !end);
    return 1;
}

void vcpu_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"get_state", vcpu_get_state},
        {"set_state", vcpu_set_state},
        {"get_msrs", vcpu_get_msrs},
        {"set_msrs", vcpu_set_msrs},
        {"translate", vcpu_translate},
        {"nmi", vcpu_nmi},
        {"run_once", vcpu_run_once},
        {"answer", vcpu_answer},
        {"dispatch", vcpu_dispatch},
        {"__tostring", vcpu_tostring},
        {NULL, NULL},
    };
    static const luaL_Reg getters[] = {
        {"id", vcpu_id},      {"state", vcpu_state}, {"regs", get_regs},
        {"sregs", get_sregs}, {"cpuid", get_cpuid},  {NULL, NULL}};
    static const luaL_Reg setters[] = {{"regs", set_regs},
                                       {"sregs", set_sregs},
                                       {"cpuid", set_cpuid},
                                       {NULL, NULL}};
    static const struct class class = {.name = VCPU_CLASS,
                                       .methods = methods,
                                       .getters = getters,
                                       .setters = setters};

    class_open(L, &class);
}
