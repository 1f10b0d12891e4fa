/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* How C objects appear in Lua: classes, boxes, options, results. */
#ifndef VMM_LUA_BOX_H
#define VMM_LUA_BOX_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmm/error.h>

/*
 * A class of userdata.  obj.name looks for a property, then a method, then a
 * field that Lua code has set on the object; assignment likewise.
 */
struct class
{
    const char *name;        /* "vmm.memory": __name */
    const luaL_Reg *methods; /* and __gc, __tostring, __close, ... */
    const luaL_Reg *getters; /* properties; each gets (obj); may be NULL */
    const luaL_Reg *setters; /* each gets (obj, value); may be NULL */
};

/* Register a class; leaves nothing on the stack.  Its methods table becomes
 * core.classes[name], so that the Lua library can add to it. */
void class_open(lua_State *L, const struct class *class);
/* Add methods to a class that class_open has registered. */
void class_extend(lua_State *L, const char *name, const luaL_Reg *methods);

/*
 * A new object of size bytes, zeroed: the closed state.  Pushes it.
 * User value 1 anchors its parent (nil), user value 2 holds its fields, user
 * value BOX_INNER is its class's own.
 */
#define BOX_INNER 3
void *box_new(lua_State *L, size_t size, const char *class_name);
/* Have box_push find the userdata at index, too, that box_new has not made. */
void box_register(lua_State *L, int index);
/* Push the object whose C part this is; nil when it has been collected.  What C
 * reaches by this does not keep the object alive. */
void box_push(lua_State *L, const void *object);
/* Keep the value at parent alive as long as the object at index. */
void box_anchor(lua_State *L, int index, int parent);

/* ---- results ------------------------------------------------------------- */

/* Push nil, text, "ENOENT" and return 3. */
int push_error(lua_State *L, const struct vmm_error *err);
/* Same for a bare errno (positive) and a text. */
int push_errno(lua_State *L, int code, const char *format, ...);
/* table[name] = value, for the table on top. */
void box_set_integer(lua_State *L, const char *name, uint64_t value);
void box_set_boolean(lua_State *L, const char *name, bool value);
/* A message handler for lua_pcall: the error's text with the traceback. */
int box_traceback(lua_State *L);
/* Push true and return 1, or push_error. */
int push_result(lua_State *L, int rc, const struct vmm_error *err);

/* ---- option tables ---------------------------------------------------------
 */

/* Raise unless every string key of the table at index is one of `valid`
 * (space separated); the message lists them. */
void options_check(lua_State *L, int index, const char *what,
                   const char *valid);
/* table[name] as an integer in [min, max], or fallback when nil. */
lua_Integer option_integer(lua_State *L, int index, const char *name,
                           lua_Integer fallback, lua_Integer min,
                           lua_Integer max);
bool option_boolean(lua_State *L, int index, const char *name, bool fallback);
/* table[name] as a string valid while the table is unchanged, or fallback. */
const char *option_string(lua_State *L, int index, const char *name,
                          const char *fallback);

/* An argument that is a time in seconds (nil: for ever), as nanoseconds. */
int64_t check_timeout_ns(lua_State *L, int arg);

#endif
