/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A console on a pseudo-terminal, in Lua: console:attach_pty(). */
#include "lua/classes.h"

/* console:attach_pty() -> path */
static int console_attach_pty(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    char path[128];
    struct vmm_error err;

    if (vmm_console_attach_pty(box->console, path, sizeof(path), &err))
        return push_error(L, &err);
    lua_pushstring(L, path);
    return 1;
}

void console_pty_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"attach_pty", console_attach_pty},
                                       {NULL, NULL}};

    class_extend(L, CONSOLE_CLASS, methods);
}
