/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* vCPU state as Lua tables, by the names of the architecture. */
#ifndef VMM_LUA_REGISTERS_H
#define VMM_LUA_REGISTERS_H

#include <lua.h>

struct kvm_cpuid2;
struct kvm_regs;
struct kvm_sregs;

/* Push a table with every field. */
void push_regs(lua_State *L, const struct kvm_regs *regs);
void push_sregs(lua_State *L, const struct kvm_sregs *sregs);
void push_cpuid(lua_State *L, const struct kvm_cpuid2 *cpuid);

/* Change the fields that the table at index names; raise for unknown ones. */
void read_regs(lua_State *L, int index, struct kvm_regs *regs);
void read_sregs(lua_State *L, int index, struct kvm_sregs *sregs);

/* A cpuid list in a new userdata (pushed, so collected) from the array of
 * tables at index; raises when it is not one or too long. */
struct kvm_cpuid2 *read_cpuid(lua_State *L, int index);

#endif
