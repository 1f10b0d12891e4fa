/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Classes of userdata, option tables, and the one way to return errors. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "lua/box.h"

#define FIELDS 2 /* the user value that holds an object's fields */

/* upvalues: 1 getters, 2 methods */
static int class_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 1);
        return 1;
    }
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL)
        return 1;
    if (lua_getiuservalue(L, 1, FIELDS) != LUA_TTABLE)
        return 0;
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

/* upvalues: 1 getters, 2 setters */
static int class_newindex(lua_State *L)
{
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) {
        lua_pushvalue(L, 1);
        lua_pushvalue(L, 3);
        lua_call(L, 2, 0);
        return 0;
    }
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return luaL_error(L, "%s is read-only", luaL_tolstring(L, 2, NULL));
    if (lua_getiuservalue(L, 1, FIELDS) != LUA_TTABLE) {
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, FIELDS);
    }
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3);
    lua_rawset(L, -3);
    return 0;
}

static void push_functions(lua_State *L, const luaL_Reg *functions)
{
    lua_newtable(L);
    if (functions)
        luaL_setfuncs(L, functions, 0);
}

/* Metamethods are listed among the methods; they belong in the metatable. */
static void move_metamethods(lua_State *L, const luaL_Reg *methods,
                             int metatable, int table)
{
    for (const luaL_Reg *method = methods; method->name; method++) {
        if (strncmp(method->name, "__", 2) != 0)
            continue;
        lua_getfield(L, table, method->name);
        lua_setfield(L, metatable, method->name);
        lua_pushnil(L);
        lua_setfield(L, table, method->name);
    }
}

void class_open(lua_State *L, const struct class *class)
{
    luaL_newmetatable(L, class->name);
    int metatable = lua_gettop(L);
    push_functions(L, class->getters);
    push_functions(L, class->methods);
    push_functions(L, class->setters);
    move_metamethods(L, class->methods, metatable, metatable + 2);

    lua_pushvalue(L, metatable + 1);
    lua_pushvalue(L, metatable + 2);
    lua_pushcclosure(L, class_index, 2);
    lua_setfield(L, metatable, "__index");
    lua_pushvalue(L, metatable + 1);
    lua_pushvalue(L, metatable + 3);
    lua_pushcclosure(L, class_newindex, 2);
    lua_setfield(L, metatable, "__newindex");
    lua_pushliteral(L, "locked");
    lua_setfield(L, metatable, "__metatable");

    luaL_getsubtable(L, LUA_REGISTRYINDEX, "vmm.classes");
    lua_pushvalue(L, metatable + 2);
    lua_setfield(L, -2, class->name);
    lua_settop(L, metatable - 1);
}

void class_extend(lua_State *L, const char *name, const luaL_Reg *methods)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "vmm.classes");
    lua_getfield(L, -1, name);
    luaL_setfuncs(L, methods, 0);
    lua_pop(L, 2);
}

/* The registry's weak table of objects by their C parts. */
static void push_objects(lua_State *L)
{
    static const char key = 'o';

    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TTABLE)
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

void *box_new(lua_State *L, size_t size, const char *class_name)
{
    void *object = lua_newuserdatauv(L, size, 3);

    memset(object, 0, size);
    luaL_setmetatable(L, class_name);
    box_register(L, -1);
    return object;
}

void box_register(lua_State *L, int index)
{
    int object = lua_absindex(L, index);

    push_objects(L);
    lua_pushvalue(L, object);
    lua_rawsetp(L, -2, lua_touserdata(L, object));
    lua_pop(L, 1);
}

void box_push(lua_State *L, const void *object)
{
    push_objects(L);
    lua_rawgetp(L, -1, object);
    lua_remove(L, -2);
}

void box_anchor(lua_State *L, int index, int parent)
{
    int object = lua_absindex(L, index);

    lua_pushvalue(L, parent);
    lua_setiuservalue(L, object, 1);
}

int push_errno(lua_State *L, int code, const char *format, ...)
{
    /* Linux gives one number to two names; ours is the documented one. */
    const char *name = code == ENOTSUP ? "ENOTSUP" : strerrorname_np(code);
    va_list args;

    luaL_pushfail(L);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_pushstring(L, name ? name : "EUNKNOWN");
    return 3;
}

int push_error(lua_State *L, const struct vmm_error *err)
{
    return push_errno(L, err->code, "%s", err->text);
}

void box_set_integer(lua_State *L, const char *name, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

void box_set_boolean(lua_State *L, const char *name, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, name);
}

int box_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

int push_result(lua_State *L, int rc, const struct vmm_error *err)
{
    if (rc < 0)
        return push_error(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

/* True when the space-separated list has the word. */
static bool listed(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = list; (at = strstr(at, word)); at += length)
        if ((at == list || at[-1] == ' ') &&
            (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

void options_check(lua_State *L, int index, const char *what, const char *valid)
{
    int table = lua_absindex(L, index);

    luaL_checktype(L, table, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (lua_type(L, -2) == LUA_TSTRING &&
            !listed(valid, lua_tostring(L, -2)))
            luaL_error(L, "%s: unknown option '%s'; valid are: %s", what,
                       lua_tostring(L, -2), valid);
        lua_pop(L, 1);
    }
}

lua_Integer option_integer(lua_State *L, int index, const char *name,
                           lua_Integer fallback, lua_Integer min,
                           lua_Integer max)
{
    int is_integer;

    if (lua_getfield(L, index, name) == LUA_TNIL) {
        lua_pop(L, 1);
        return fallback;
    }
    lua_Integer value = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer)
        luaL_error(L, "%s must be an integer, not %s", name,
                   luaL_typename(L, -1));
    if (value < min || value > max)
        luaL_error(L, "%s = %I is out of range: %I to %I", name,
                   (LUAI_UACINT)value, (LUAI_UACINT)min, (LUAI_UACINT)max);
    lua_pop(L, 1);
    return value;
}

bool option_boolean(lua_State *L, int index, const char *name, bool fallback)
{
    int type = lua_getfield(L, index, name);
    bool value = type == LUA_TNIL ? fallback : lua_toboolean(L, -1);

    if (type != LUA_TNIL && type != LUA_TBOOLEAN)
        luaL_error(L, "%s must be true or false, not %s", name,
                   lua_typename(L, type));
    lua_pop(L, 1);
    return value;
}

const char *option_string(lua_State *L, int index, const char *name,
                          const char *fallback)
{
    int type = lua_getfield(L, index, name);
    const char *value = type == LUA_TNIL ? fallback : lua_tostring(L, -1);

    if (type != LUA_TNIL && type != LUA_TSTRING)
        luaL_error(L, "%s must be a string, not %s", name,
                   lua_typename(L, type));
    lua_pop(L, 1);
    return value;
}

int64_t check_timeout_ns(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return -1;
    lua_Number seconds = luaL_checknumber(L, arg);
    luaL_argcheck(L, seconds >= 0, arg, "a time is not negative");
    return seconds > 9e9 ? -1 : (int64_t)(seconds * 1e9);
}
