/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A device of our own: it adds up what a guest writes to it. */
#ifndef ABACUS_H
#define ABACUS_H

#include <lua.h>

/* require "abacus" -> { new = function() -> device } */
int luaopen_abacus(lua_State *L);

#endif
