/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Network backends in Lua. */
#ifndef VMM_LUA_NET_H
#define VMM_LUA_NET_H

#include "lua/classes.h"

#include <vmm/net.h>
#include <vmm/net_fault.h>

#define NET_CLASS       "vmm.net"
#define NET_FAULT_CLASS "vmm.net_fault"

/* What a backend's userdata holds. */
struct net_box {
    /* One for each of its queues, then NULL; none: it was taken over. */
    struct vmm_net *nets[VMM_NET_PAIRS_MAX + 1];
};

/* Push one that has none yet. */
struct net_box *net_box_new(lua_State *L);

/* An argument that is a fault; nil: NULL. */
struct vmm_net_fault *check_net_fault(lua_State *L, int arg);

/* Each adds its constructors to the table on top. */
void net_open(lua_State *L);
void net_fault_open(lua_State *L);
void net_station_open(lua_State *L);
void net_user_open(lua_State *L);

#endif
