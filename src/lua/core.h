/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the program needs of the Lua binding. */
#ifndef VMM_LUA_CORE_H
#define VMM_LUA_CORE_H

#include <lua.h>

#include <vmm/export.h>

/* The module's opener: require "vmm.core". */
VMM_API int luaopen_vmm_core(lua_State *L);

/*
 * Make `require "vmm"` and its kin find the library embedded in the program;
 * a directory in the environment variable VMM_LUA_PATH (the source tree's lua/)
 * comes first, for development.
 */
VMM_API void vmm_lua_preload(lua_State *L);

#endif
