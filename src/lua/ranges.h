/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Which device sits at an address now, for those who tell of accesses. */
#ifndef VMM_LUA_RANGES_H
#define VMM_LUA_RANGES_H

#include <lua.h>

#include <vmm/bus.h>
#include <vmm/metrics.h>

struct ranges;

/* What sits on a machine's buses, copied, for no Lua may run while they are
 * walked; it is on top of the stack.  Of each bus the first 256 ranges. */
const struct ranges *ranges_push(lua_State *L, struct vmm_machine *machine);
/* The device's name, or NULL: nothing sits there. */
const char *ranges_name(const struct ranges *ranges, enum vmm_access_kind kind,
                        uint64_t address);

#endif
