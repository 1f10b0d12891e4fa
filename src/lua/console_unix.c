/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A console on a unix socket, in Lua: console:attach_unix(path). */
#include "lua/classes.h"

/* console:attach_unix(path) -> true */
static int console_attach_unix(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    const char *path = luaL_checkstring(L, 2);
    struct vmm_error err;

    return push_result(L, vmm_console_attach_unix(box->console, path, &err),
                       &err);
}

void console_unix_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"attach_unix", console_attach_unix},
                                       {NULL, NULL}};

    class_extend(L, CONSOLE_CLASS, methods);
}
