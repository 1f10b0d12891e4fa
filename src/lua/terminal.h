/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The terminal of a program, for the Lua state that runs in it. */
#ifndef VMM_LUA_TERMINAL_H
#define VMM_LUA_TERMINAL_H

#include <lua.h>

struct vmm_lua_module;
struct vmm_terminal;

/* Give the state the program's terminal, which must outlive it.  A state that
 * is given none (a library in another program) leaves terminals alone. */
void terminal_set(lua_State *L, struct vmm_terminal *terminal);
/* That terminal, or NULL. */
struct vmm_terminal *terminal_of(lua_State *L);

/* Add core.terminal to the table on top. */
void terminal_open(lua_State *L);

/* The program (include/vmm/lua.h) with the caller's modules (NULL: none), on a
 * terminal (NULL: on none). */
int program_main(int argc, char **argv, const struct vmm_lua_module *modules,
                 struct vmm_terminal *terminal);

#endif
