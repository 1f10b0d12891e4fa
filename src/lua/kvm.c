/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The KVM system object in Lua: vmm.kvm([path]). */
#include <linux/kvm.h>

#include "lua/classes.h"
#include "lua/registers.h"

struct kvm_box {
    struct vmm_kvm *kvm;
};

struct vmm_kvm *check_kvm(lua_State *L, int arg)
{
    struct kvm_box *box = luaL_checkudata(L, arg, KVM_CLASS);

    luaL_argcheck(L, box->kvm, arg, "the kvm object is closed");
    return box->kvm;
}

/* vmm.kvm([path]) -> kvm */
static int kvm_new(lua_State *L)
{
    const char *path = luaL_optstring(L, 1, NULL);
    struct kvm_box *box = box_new(L, sizeof(*box), KVM_CLASS);
    struct vmm_error err;

    if (vmm_kvm_open(path, &box->kvm, &err))
        return push_error(L, &err);
    return 1;
}

/* VMs anchor it: by the time it is collected none is left. */
static int kvm_gc(lua_State *L)
{
    struct kvm_box *box = luaL_checkudata(L, 1, KVM_CLASS);

    vmm_kvm_close(box->kvm);
    box->kvm = NULL;
    return 0;
}

static int kvm_tostring(lua_State *L)
{
    struct kvm_box *box = luaL_checkudata(L, 1, KVM_CLASS);

    lua_pushfstring(L, "vmm.kvm: %s", box->kvm ? "open" : "closed");
    return 1;
}

/* kvm:capability(name or number) -> integer, 0 when absent */
static int kvm_capability(lua_State *L)
{
    struct vmm_kvm *kvm = check_kvm(L, 1);
    int number;

    if (lua_isinteger(L, 2))
        number = (int)lua_tointeger(L, 2);
    else
        number = vmm_kvm_capability_number(luaL_checkstring(L, 2));
    luaL_argcheck(L, number >= 0, 2, "no capability has this name");
    lua_pushinteger(L, vmm_kvm_capability(kvm, number));
    return 1;
}

/* kvm:hardware() -> true when this CPU offers VMX or SVM */
static int kvm_hardware(lua_State *L)
{
    check_kvm(L, 1);
    lua_pushboolean(L, vmm_kvm_hardware());
    return 1;
}

/* kvm:supported_cpuid() -> {{function_ =, index =, flags =, eax = ...}, ...} */
static int kvm_supported_cpuid(lua_State *L)
{
    const struct kvm_cpuid2 *cpuid;
    struct vmm_error err;

    if (vmm_kvm_supported_cpuid(check_kvm(L, 1), &cpuid, &err))
        return push_error(L, &err);
    push_cpuid(L, cpuid);
    return 1;
}

/* kvm:msr_list() -> {index, ...} */
static int kvm_msr_list(lua_State *L)
{
    uint32_t indices[1024];
    size_t count = sizeof(indices) / sizeof(*indices);
    struct vmm_error err;

    if (vmm_kvm_msr_list(check_kvm(L, 1), indices, &count, &err))
        return push_error(L, &err);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushinteger(L, indices[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* vmm.host_hardware() -> true when this CPU offers VMX or SVM */
static int host_hardware(lua_State *L)
{
    lua_pushboolean(L, vmm_kvm_hardware());
    return 1;
}

void kvm_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"capability", kvm_capability},
        {"hardware", kvm_hardware},
        {"supported_cpuid", kvm_supported_cpuid},
        {"msr_list", kvm_msr_list},
        {"create_vm", vm_new},
        {"__gc", kvm_gc},
        {"__tostring", kvm_tostring},
        {NULL, NULL},
    };
    static const struct class class = {.name = KVM_CLASS, .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, kvm_new);
    lua_setfield(L, -2, "kvm");
    lua_pushcfunction(L, host_hardware);
    lua_setfield(L, -2, "host_hardware");
}
