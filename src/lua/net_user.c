/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* User-mode networking in Lua. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "lua/net.h"
#include "lua/virtio.h"

#define FORWARDS_MAX 256

static struct in_addr address(lua_State *L, const char *name)
{
    struct in_addr parsed = {0};
    const char *text = option_string(L, -1, name, "0.0.0.0");

    if (inet_pton(AF_INET, text, &parsed) != 1)
        luaL_error(L, "%s: '%s' is no IPv4 address", name, text);
    return parsed;
}

/* The table on top. */
static void read_forward(lua_State *L, struct vmm_net_forward *forward)
{
    options_check(L, -1, "forward", "udp host host_port guest guest_port");
    forward->udp = option_boolean(L, -1, "udp", false);
    forward->host = address(L, "host");
    forward->guest = address(L, "guest");
    forward->host_port =
        (uint16_t)option_integer(L, -1, "host_port", 0, 1, UINT16_MAX);
    forward->guest_port =
        (uint16_t)option_integer(L, -1, "guest_port", 0, 1, UINT16_MAX);
}

/* vmm.net_user{ forwards = { { udp =, host =, host_port =, guest =,
 * guest_port = }, ... }, restrict =, mtu = } -> net */
static int net_user_new(lua_State *L)
{
    struct vmm_net_forward forwards[FORWARDS_MAX];
    struct vmm_net_user_config config = {.forwards = forwards};
    struct vmm_error err;

    options_check(L, 1, "vmm.net_user", "forwards restrict mtu");
    config.restricted = option_boolean(L, 1, "restrict", false);
    config.mtu = (uint16_t)option_integer(L, 1, "mtu", 0, 0, UINT16_MAX);
    if (lua_getfield(L, 1, "forwards") != LUA_TNIL) {
        luaL_checktype(L, -1, LUA_TTABLE);
        lua_Integer count = luaL_len(L, -1);
        if (count > FORWARDS_MAX)
            return luaL_error(L, "forwards: up to %d", FORWARDS_MAX);
        for (; config.forward_count < count; config.forward_count++) {
            lua_geti(L, -1, (lua_Integer)config.forward_count + 1);
            read_forward(L, &forwards[config.forward_count]);
            lua_pop(L, 1);
        }
    }
    struct net_box *box = net_box_new(L);
    if (vmm_net_user_new(&config, &box->nets[0], &err))
        return push_error(L, &err);
    return 1;
}

void net_user_open(lua_State *L)
{
    lua_pushcfunction(L, net_user_new);
    lua_setfield(L, -2, "net_user");
}
