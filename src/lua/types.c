/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A kernel's types in Lua: core.types(btf). */
#include <errno.h>
#include <string.h>

#include <vmm/types.h>

#include "lua/classes.h"

#define TYPES_CLASS "vmm.types"

struct types_box {
    struct vmm_types *types;
};

/* core.types(bytes) -> types, or nil, message, code */
static int types_new(lua_State *L)
{
    struct vmm_error err;
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);

    struct types_box *box = box_new(L, sizeof(*box), TYPES_CLASS);
    if (vmm_types_new(bytes, size, &box->types, &err))
        return push_error(L, &err);
    return 1;
}

static const struct vmm_types *check_types(lua_State *L)
{
    struct types_box *box = luaL_checkudata(L, 1, TYPES_CLASS);

    luaL_argcheck(L, box->types, 1, "the types are closed");
    return box->types;
}

/* The type that argument 2 names or whose id it is: 0, or push_error's 3. */
static int get_type(lua_State *L, const struct vmm_types *types,
                    struct vmm_type *type)
{
    if (lua_isinteger(L, 2)) {
        lua_Integer id = lua_tointeger(L, 2);
        if (id < 0 || id > UINT32_MAX ||
            vmm_types_get(types, (uint32_t)id, type))
            return push_errno(L, ENOENT, "there is no type %I",
                              (LUAI_UACINT)id);
        return 0;
    }
    const char *name = luaL_checkstring(L, 2);
    if (strncmp(name, "struct ", 7) == 0)
        name += 7;
    else if (strncmp(name, "union ", 6) == 0)
        name += 6;
    if (vmm_types_find(types, name, type))
        return push_errno(L, ENOENT, "the kernel has no type \"%s\"", name);
    return 0;
}

static void set_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

static int push_type(lua_State *L, const struct vmm_type *type)
{
    lua_createtable(L, 0, 10);
    box_set_integer(L, "id", type->id);
    box_set_integer(L, "size", type->size);
    lua_pushstring(L, vmm_type_kind_name(type->kind));
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, type->name);
    lua_setfield(L, -2, "name");
    set_boolean(L, "signed", type->is_signed);
    set_boolean(L, "char", type->is_char);
    if (type->kind == VMM_TYPE_ARRAY || type->kind == VMM_TYPE_POINTER)
        box_set_integer(L, "target", type->target);
    if (type->kind == VMM_TYPE_ARRAY)
        box_set_integer(L, "count", type->count);
    return 1;
}

static void push_field(lua_State *L, const struct vmm_type_field *field)
{
    push_type(L, &field->type);
    box_set_integer(L, "offset", field->bit_offset / 8);
    if (field->bits) {
        box_set_integer(L, "bits", field->bits);
        box_set_integer(L, "shift", field->bit_offset % 8);
    }
}

/* types:type(name or id) -> { id =, kind =, size =, ... } */
static int types_type(lua_State *L)
{
    struct vmm_type type;
    int failed = get_type(L, check_types(L), &type);

    return failed ? failed : push_type(L, &type);
}

/* types:size(name or id) -> bytes */
static int types_size(lua_State *L)
{
    struct vmm_type type;
    int failed = get_type(L, check_types(L), &type);

    if (failed)
        return failed;
    lua_pushinteger(L, (lua_Integer)type.size);
    return 1;
}

/* The field of methods' arguments (name or id, path): 0, or how many values
 * say why there is none. */
static int get_field(lua_State *L, struct vmm_type_field *field)
{
    const struct vmm_types *types = check_types(L);
    const char *path = luaL_checkstring(L, 3);
    struct vmm_type type;
    struct vmm_error err;
    int failed = get_type(L, types, &type);

    if (failed)
        return failed;
    return vmm_types_field(types, &type, path, field, &err)
               ? push_error(L, &err)
               : 0;
}

/* types:field(name or id, path) -> the type, with offset, bits, shift */
static int types_field(lua_State *L)
{
    struct vmm_type_field field;
    int failed = get_field(L, &field);

    if (failed)
        return failed;
    push_field(L, &field);
    return 1;
}

/* types:offset(name or id, path) -> bytes [, bits from there, of a bit-field:
 * the first, and how many] */
static int types_offset(lua_State *L)
{
    struct vmm_type_field field;
    int failed = get_field(L, &field);

    if (failed)
        return failed;
    lua_pushinteger(L, (lua_Integer)(field.bit_offset / 8));
    if (!field.bits)
        return 1;
    lua_pushinteger(L, (lua_Integer)(field.bit_offset % 8));
    lua_pushinteger(L, field.bits);
    return 3;
}

/* types:members(name or id) -> { "pid", "tgid", ... }; "" is anonymous */
static int types_members(lua_State *L)
{
    const struct vmm_types *types = check_types(L);
    struct vmm_type_field field;
    struct vmm_type type;
    const char *name;
    int failed = get_type(L, types, &type);

    if (failed)
        return failed;
    lua_newtable(L);
    for (uint32_t i = 0; !vmm_types_member(types, &type, i, &name, &field);
         i++) {
        lua_pushstring(L, name);
        lua_seti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int types_close(lua_State *L)
{
    struct types_box *box = luaL_checkudata(L, 1, TYPES_CLASS);

    vmm_types_free(box->types);
    box->types = NULL;
    return 0;
}

void types_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"type", types_type},
        {"size", types_size},
        {"field", types_field},
        {"offset", types_offset},
        {"members", types_members},
        {"close", types_close},
        {"__gc", types_close},
        {"__close", types_close},
        {NULL, NULL},
    };
    static const struct class class = {.name = TYPES_CLASS, .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, types_new);
    lua_setfield(L, -2, "types");
}
