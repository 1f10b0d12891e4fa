/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The Lua library embedded in the program, found by require. */
#include <lauxlib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/lua.h>

/* Made by src/lua/embed.sh; file is "lua/vmm/boot/init.lua", from start to end
 * lies what luac made of it, line numbers and names kept. */
struct script_file {
    const char *file;
    const char *start;
    const char *end;
};
extern const struct script_file vmm_lua_scripts[];

/* "vmm.boot" -> the file lua/vmm/boot.lua or lua/vmm/boot/init.lua. */
static const struct script_file *find(lua_State *L, const char *module)
{
    const char *path = luaL_gsub(L, module, ".", "/");
    const char *plain = lua_pushfstring(L, "lua/%s.lua", path);
    const char *init = lua_pushfstring(L, "lua/%s/init.lua", path);

    for (const struct script_file *f = vmm_lua_scripts; f->file; f++)
        if (strcmp(f->file, plain) == 0 || strcmp(f->file, init) == 0)
            return f;
    return NULL;
}

/* A package searcher (Lua 5.4 manual, section 6.3). */
static int search(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    const struct script_file *file = find(L, module);

    if (!file) {
        lua_pushfstring(L, "no embedded module '%s'", module);
        return 1;
    }
    const char *chunk = lua_pushfstring(L, "@%s", file->file);
    if (luaL_loadbufferx(L, file->start, (size_t)(file->end - file->start),
                         chunk, "b") != LUA_OK)
        return lua_error(L);
    lua_pushstring(L, file->file);
    return 2;
}

static void prepend_path(lua_State *L, const char *directory)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "path");
    lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", directory, directory,
                    lua_tostring(L, -1));
    lua_setfield(L, -3, "path");
    lua_pop(L, 2);
}

/* Insert our searcher second, after package.preload; or third, after files,
 * when a development path is given. */
static void insert_searcher(lua_State *L, lua_Integer position)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    for (lua_Integer i = luaL_len(L, -1); i >= position; i--) {
        lua_geti(L, -1, i);
        lua_seti(L, -2, i + 1);
    }
    lua_pushcfunction(L, search);
    lua_seti(L, -2, position);
    lua_pop(L, 2);
}

void vmm_lua_preload(lua_State *L)
{
    const char *directory = getenv("VMM_LUA_PATH");

    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_vmm_core);
    lua_setfield(L, -2, "vmm.core");
    lua_pop(L, 1);
    if (directory)
        prepend_path(L, directory);
    insert_searcher(L, directory ? 3 : 2);
}
