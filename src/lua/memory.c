/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest memory in Lua: vmm.memory{...} and its checked doors. */
#include <inttypes.h>
#include <stdio.h>

#include "lua/classes.h"

struct memory_box {
    struct vmm_memory *memory;
};

struct vmm_memory *check_memory(lua_State *L, int arg)
{
    struct memory_box *box = luaL_checkudata(L, arg, MEMORY_CLASS);

    luaL_argcheck(L, box->memory, arg, "the memory is closed");
    return box->memory;
}

/* The i-th {base, size} of the list at index. */
static struct vmm_memory_range check_range(lua_State *L, int index,
                                           lua_Integer i)
{
    struct vmm_memory_range range;

    if (lua_geti(L, index, i) != LUA_TTABLE)
        luaL_error(L, "vmm.memory: range %I is not {base, size}",
                   (LUAI_UACINT)i);
    lua_geti(L, -1, 1);
    lua_geti(L, -2, 2);
    range.base = (uint64_t)luaL_checkinteger(L, -2);
    range.size_bytes = (uint64_t)luaL_checkinteger(L, -1);
    lua_pop(L, 3);
    return range;
}

/* vmm.memory{ ranges = {{base, size}, ...}, shared =, huge_pages = } */
static int memory_new(lua_State *L)
{
    struct vmm_memory_range ranges[VMM_MEMORY_RANGES_MAX];
    struct vmm_error err;

    options_check(L, 1, "vmm.memory", "ranges shared huge_pages");
    struct vmm_memory_config config = {
        .ranges = ranges,
        .shared = option_boolean(L, 1, "shared", false),
        .huge_pages = option_boolean(L, 1, "huge_pages", false),
    };
    if (lua_getfield(L, 1, "ranges") != LUA_TTABLE)
        return luaL_error(L, "vmm.memory: ranges = {{base, size}, ...} "
                             "is missing");
    lua_Integer count = luaL_len(L, -1);
    if (count < 1 || count > VMM_MEMORY_RANGES_MAX)
        return luaL_error(L, "vmm.memory: 1 to %d ranges, not %I",
                          VMM_MEMORY_RANGES_MAX, (LUAI_UACINT)count);
    for (lua_Integer i = 1; i <= count; i++)
        ranges[i - 1] = check_range(L, -1, i);
    config.range_count = (size_t)count;

    struct memory_box *box = box_new(L, sizeof(*box), MEMORY_CLASS);
    if (vmm_memory_new(&config, &box->memory, &err))
        return push_error(L, &err);
    return 1;
}

static int memory_close(lua_State *L)
{
    struct memory_box *box = luaL_checkudata(L, 1, MEMORY_CLASS);

    vmm_memory_unref(box->memory);
    box->memory = NULL;
    return 0;
}

static int memory_tostring(lua_State *L)
{
    struct memory_box *box = luaL_checkudata(L, 1, MEMORY_CLASS);

    if (box->memory)
        lua_pushfstring(L, "vmm.memory: %I bytes in %d regions",
                        (LUAI_UACINT)vmm_memory_size_bytes(box->memory),
                        (int)vmm_memory_region_count(box->memory));
    else
        lua_pushliteral(L, "vmm.memory: closed");
    return 1;
}

static int out_of_ram(lua_State *L, int rc, vmm_gpa_t gpa, uint64_t len)
{
    char text[96];

    snprintf(text, sizeof(text),
             "%" PRIu64 " bytes at gpa 0x%" PRIx64 " are not all RAM", len,
             gpa);
    return push_errno(L, -rc, "%s", text);
}

/* mem:read(gpa, len) -> string */
static int memory_read(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    vmm_gpa_t gpa = (uint64_t)luaL_checkinteger(L, 2);
    lua_Integer len = luaL_checkinteger(L, 3);
    luaL_Buffer buffer;

    luaL_argcheck(L, len >= 0, 3, "a length is not negative");
    /* Before the buffer: a hostile length must not allocate first. */
    int rc = vmm_memory_check(memory, gpa, (uint64_t)len);
    if (rc)
        return out_of_ram(L, rc, gpa, (uint64_t)len);
    char *bytes = luaL_buffinitsize(L, &buffer, (size_t)len);
    vmm_memory_read(memory, gpa, bytes, (size_t)len);
    luaL_pushresultsize(&buffer, (size_t)len);
    return 1;
}

/* mem:write(gpa, string) -> true */
static int memory_write(lua_State *L)
{
    size_t len;
    struct vmm_memory *memory = check_memory(L, 1);
    vmm_gpa_t gpa = (uint64_t)luaL_checkinteger(L, 2);
    const char *bytes = luaL_checklstring(L, 3, &len);

    int rc = vmm_memory_write(memory, gpa, bytes, len);
    if (rc)
        return out_of_ram(L, rc, gpa, len);
    lua_pushboolean(L, 1);
    return 1;
}

/* mem:fill(gpa, byte, len) -> true */
static int memory_fill(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    vmm_gpa_t gpa = (uint64_t)luaL_checkinteger(L, 2);
    lua_Integer byte = luaL_checkinteger(L, 3);
    lua_Integer len = luaL_checkinteger(L, 4);

    luaL_argcheck(L, byte >= 0 && byte <= 255, 3, "a byte is 0 to 255");
    luaL_argcheck(L, len >= 0, 4, "a length is not negative");
    int rc = vmm_memory_fill(memory, gpa, (uint8_t)byte, (uint64_t)len);
    if (rc)
        return out_of_ram(L, rc, gpa, (uint64_t)len);
    lua_pushboolean(L, 1);
    return 1;
}

/* mem:check(gpa, len) -> true | nil, text, "EFAULT" */
static int memory_check(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    vmm_gpa_t gpa = (uint64_t)luaL_checkinteger(L, 2);
    lua_Integer len = luaL_checkinteger(L, 3);

    luaL_argcheck(L, len >= 0, 3, "a length is not negative");
    int rc = vmm_memory_check(memory, gpa, (uint64_t)len);
    if (rc)
        return out_of_ram(L, rc, gpa, (uint64_t)len);
    lua_pushboolean(L, 1);
    return 1;
}

/* mem:uN(gpa) -> integer, mem:uN(gpa, value) -> true; little endian. */
static int memory_word(lua_State *L, unsigned bytes)
{
    uint8_t raw[8] = {0};
    struct vmm_memory *memory = check_memory(L, 1);
    vmm_gpa_t gpa = (uint64_t)luaL_checkinteger(L, 2);
    int rc;

    if (lua_isnoneornil(L, 3)) {
        rc = vmm_memory_read(memory, gpa, raw, bytes);
        uint64_t value = 0;
        for (unsigned i = 0; i < bytes; i++)
            value |= (uint64_t)raw[i] << (8 * i);
        lua_pushinteger(L, (lua_Integer)value);
    } else {
        uint64_t value = (uint64_t)luaL_checkinteger(L, 3);
        luaL_argcheck(L, bytes == 8 || value >> (8 * bytes) == 0, 3,
                      "the value does not fit the width");
        for (unsigned i = 0; i < bytes; i++)
            raw[i] = (uint8_t)(value >> (8 * i));
        rc = vmm_memory_write(memory, gpa, raw, bytes);
        lua_pushboolean(L, 1);
    }
    return rc ? out_of_ram(L, rc, gpa, bytes) : 1;
}

static int memory_u8(lua_State *L)
{
    return memory_word(L, 1);
}

static int memory_u16(lua_State *L)
{
    return memory_word(L, 2);
}

static int memory_u32(lua_State *L)
{
    return memory_word(L, 4);
}

static int memory_u64(lua_State *L)
{
    return memory_word(L, 8);
}

static int memory_size(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);

    lua_pushinteger(L, (lua_Integer)vmm_memory_size_bytes(memory));
    return 1;
}

/* mem:regions() -> {{base =, size =}, ...} */
static int memory_regions(lua_State *L)
{
    struct vmm_memory *memory = check_memory(L, 1);
    size_t count = vmm_memory_region_count(memory);

    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        struct vmm_memory_region region = vmm_memory_region(memory, i);
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, (lua_Integer)region.base);
        lua_setfield(L, -2, "base");
        lua_pushinteger(L, (lua_Integer)region.size_bytes);
        lua_setfield(L, -2, "size");
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void memory_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"read", memory_read},
        {"write", memory_write},
        {"fill", memory_fill},
        {"check", memory_check},
        {"u8", memory_u8},
        {"u16", memory_u16},
        {"u32", memory_u32},
        {"u64", memory_u64},
        {"size", memory_size},
        {"regions", memory_regions},
        {"close", memory_close},
        {"__gc", memory_close},
        {"__close", memory_close},
        {"__tostring", memory_tostring},
        {NULL, NULL},
    };
    static const struct class class = {.name = MEMORY_CLASS,
                                       .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, memory_new);
    lua_setfield(L, -2, "memory");
}
