/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The program behind one call: a Lua interpreter that starts vmm.cli. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include <vmm/lua.h>

#include "lua/box.h"
#include "lua/terminal.h"

static void preload(lua_State *L, const struct vmm_lua_module *modules)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    for (; modules && modules->name; modules++) {
        lua_pushcfunction(L, modules->open);
        lua_setfield(L, -2, modules->name);
    }
    lua_pop(L, 1);
}

/* require("vmm.cli").main(argv) -> exit code; arg as the lua program sets it */
static int run(lua_State *L)
{
    int argc = (int)lua_tointeger(L, 1);
    char **argv = lua_touserdata(L, 2);

    luaL_openlibs(L);
    vmm_lua_preload(L);
    preload(L, lua_touserdata(L, 3));
    lua_getglobal(L, "require");
    lua_pushliteral(L, "vmm.cli");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "main");
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_seti(L, -2, i);
    }
    lua_call(L, 1, 1);
    return 1;
}

int program_main(int argc, char **argv, const struct vmm_lua_module *modules,
                 struct vmm_terminal *terminal)
{
    lua_State *L = luaL_newstate();
    int status = EXIT_FAILURE;

    if (!L) {
        fprintf(stderr, "%s: no memory for Lua\n", argv[0]);
        return status;
    }
    terminal_set(L, terminal);
    lua_pushcfunction(L, box_traceback);
    lua_pushcfunction(L, run);
    lua_pushinteger(L, argc);
    lua_pushlightuserdata(L, argv);
    lua_pushlightuserdata(L, (void *)(uintptr_t)modules); /* not written to */
    if (lua_pcall(L, 3, 1, 1) == LUA_OK)
        status = (int)lua_tointeger(L, -1);
    else
        fprintf(stderr, "%s: %s\n", argv[0], lua_tostring(L, -1));
    lua_close(L);
    return status;
}

int vmm_lua_main(int argc, char **argv)
{
    return program_main(argc, argv, NULL, NULL);
}

int vmm_lua_main_with(int argc, char **argv,
                      const struct vmm_lua_module *modules)
{
    return program_main(argc, argv, modules, NULL);
}
