/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest virtual memory in Lua: doors through page tables, which tables a vCPU
 * uses, and a search. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>

#include <vmm/paging.h>

#include "lua/classes.h"

/* More than any structure of a kernel, its BTF included; the page tables of a
 * hostile guest may map one page as often as it likes. */
#define READ_BYTES_MAX (256 << 20)

/* The address space in the arguments (..., cr3, levels) from first on. */
static struct vmm_address_space check_space(lua_State *L, int first)
{
    lua_Integer levels = luaL_checkinteger(L, first + 1);

    luaL_argcheck(L, levels == 0 || (levels >= 2 && levels <= 5), first + 1,
                  "levels of page tables are 0 (none) or 2 to 5");
    return (struct vmm_address_space){
        .cr3 = (uint64_t)luaL_checkinteger(L, first), .levels = (int)levels};
}

static int not_mapped(lua_State *L, const struct vmm_address_space *space,
                      uint64_t fault)
{
    char text[96];

    snprintf(text, sizeof(text),
             "guest virtual address 0x%" PRIx64
             " is not mapped to RAM (cr3 0x%" PRIx64 ")",
             fault, space->cr3);
    return push_errno(L, EFAULT, "%s", text);
}

/* mem:read_virtual(gva, len, cr3, levels) -> string */
static int read_virtual(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    uint64_t gva = (uint64_t)luaL_checkinteger(L, 2), fault;
    lua_Integer len = luaL_checkinteger(L, 3);
    struct vmm_address_space space = check_space(L, 4);
    luaL_Buffer buffer;

    luaL_argcheck(L, len >= 0 && len <= READ_BYTES_MAX, 3,
                  "a length is 0 to 256 MiB");
    /* Before the buffer: a hostile length must not allocate first. */
    if (vmm_paging_check(memory, &space, gva, (uint64_t)len, &fault))
        return not_mapped(L, &space, fault);
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)len);
    /* Again, for the guest may have unmapped it meanwhile. */
    if (vmm_paging_read(memory, &space, gva, bytes, (size_t)len, &fault))
        return not_mapped(L, &space, fault);
    luaL_pushresultsize(&buffer, (size_t)len);
    return 1;
}

/* mem:write_virtual(gva, string, cr3, levels) -> true */
static int write_virtual(lua_State *L)
{
    size_t len;
    struct vmm_memory *memory = check_memory(L, 1);
    uint64_t gva = (uint64_t)luaL_checkinteger(L, 2), fault;
    const char *bytes = luaL_checklstring(L, 3, &len);
    struct vmm_address_space space = check_space(L, 4);

    if (vmm_paging_write(memory, &space, gva, bytes, len, &fault))
        return not_mapped(L, &space, fault);
    lua_pushboolean(L, 1);
    return 1;
}

/* mem:translate(gva, cr3, levels) -> gpa, bytes to the page's end */
static int translate(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    uint64_t gva = (uint64_t)luaL_checkinteger(L, 2), run;
    struct vmm_address_space space = check_space(L, 3);
    vmm_gpa_t gpa;

    if (vmm_paging_translate(memory, &space, gva, &gpa, &run))
        return not_mapped(L, &space, gva);
    lua_pushinteger(L, (lua_Integer)gpa);
    lua_pushinteger(L, (lua_Integer)run);
    return 2;
}

/* mem:find(pattern [, from [, to [, step]]]) -> gpa, or nil, text, "ENOENT" */
static int find(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    size_t len;
    const char *pattern = luaL_checklstring(L, 2, &len);
    uint64_t from = (uint64_t)luaL_optinteger(L, 3, 0);
    uint64_t to = (uint64_t)luaL_optinteger(L, 4, -1);
    lua_Integer step = luaL_optinteger(L, 5, 1);
    vmm_gpa_t gpa;

    luaL_argcheck(L, len >= 1 && len <= VMM_MEMORY_PATTERN_MAX, 2,
                  "a pattern has 1 to 4096 bytes");
    luaL_argcheck(L, step >= 1, 5, "a step is 1 or more");
    if (vmm_memory_find(memory, pattern, len, from, to, (uint64_t)step, &gpa))
        return push_errno(L, ENOENT, "the pattern is not in guest memory");
    lua_pushinteger(L, (lua_Integer)gpa);
    return 1;
}

/* vcpu:address_space() -> cr3, levels */
static int address_space(lua_State *L)
{
    struct vmm_vcpu *vcpu = vcpu_at(L, 1);
    struct kvm_sregs sregs;
    struct vmm_error err;

    if (vmm_vcpu_get_sregs(vcpu, &sregs, &err))
        return push_error(L, &err);
    struct vmm_address_space space =
        vmm_address_space(sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer);
    lua_pushinteger(L, (lua_Integer)space.cr3);
    lua_pushinteger(L, space.levels);
    return 2;
}

void virtual_open(lua_State *L)
{
    static const luaL_Reg memory_methods[] = {
        {"read_virtual", read_virtual},
        {"write_virtual", write_virtual},
        {"translate", translate},
        {"find", find},
        {NULL, NULL},
    };
    static const luaL_Reg vcpu_methods[] = {
        {"address_space", address_space},
        {NULL, NULL},
    };

    class_extend(L, MEMORY_CLASS, memory_methods);
    class_extend(L, VCPU_CLASS, vcpu_methods);
}
