/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The Lua library from C: one call for a front end, or parts for a host. */
#ifndef VMM_LUA_H
#define VMM_LUA_H

#include <vmm/export.h>

struct lua_State;

/*
 * The whole program as a function: what `vmm-reference argv[1] ...` does, with
 * its exit code (0 ok, 1 error, 2 usage, 3 guest panic, 124 timeout, 130
 * interrupted).  Messages go to standard error.  Unlike the program it leaves
 * the terminal and signals as they are: on stdio there is no raw mode and no
 * Ctrl-A, and a signal does what the caller has made it do.
 * A C front end boots Linux by
 *   vmm_lua_main(3, (char *[]){"frontend", "--kernel", "path=vmlinuz", NULL});
 */
VMM_API int vmm_lua_main(int argc, char **argv);

/* The opener of the C core: require "vmm.core". */
VMM_API int luaopen_vmm_core(struct lua_State *L);

/*
 * Make `require "vmm"` and its kin find the library embedded in the program.
 * A directory in the environment variable VMM_LUA_PATH (the source tree's lua/)
 * comes first: edit the library without a compiler.
 */
VMM_API void vmm_lua_preload(struct lua_State *L);

#endif
