/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Network backends in Lua: taps, and links between VMs. */
#include "lua/net.h"
#include "lua/virtio.h"

#include <vmm/pcap.h>

#define LINK_CLASS "vmm.link"

/* What a link's userdata holds. */
struct link_box {
    struct vmm_link *link; /* NULL: closed */
};

struct net_box *net_box_new(lua_State *L)
{
    return box_new(L, sizeof(struct net_box), NET_CLASS);
}

static int net_gc(lua_State *L)
{
    struct net_box *box = luaL_checkudata(L, 1, NET_CLASS);

    for (int i = 0; box->nets[i]; i++) {
        vmm_net_free(box->nets[i]);
        box->nets[i] = NULL;
    }
    return 0;
}

/* vmm.net_tap{ name =, queues = } -> net, the interface's name */
static int net_tap_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.net_tap", "name queues");
    const char *name = option_string(L, 1, "name", "");
    unsigned queues =
        (unsigned)option_integer(L, 1, "queues", 1, 1, VMM_NET_PAIRS_MAX);
    struct net_box *box = net_box_new(L);
    if (vmm_net_tap_new(name, queues, box->nets, &err))
        return push_error(L, &err);
    lua_pushstring(L, vmm_net_tap_name(box->nets[0]));
    return 2;
}

/* ---- links ----------------------------------------------------------------
 */

static struct vmm_link *check_link(lua_State *L)
{
    struct link_box *box = luaL_checkudata(L, 1, LINK_CLASS);

    luaL_argcheck(L, box->link, 1, "the link is closed");
    return box->link;
}

/* vmm.link_new{ pcap = path, pcap_bytes = } -> link */
static int link_new(lua_State *L)
{
    struct vmm_pcap *capture = NULL;
    struct vmm_error err;

    options_check(L, 1, "vmm.link", "pcap pcap_bytes");
    const char *path = option_string(L, 1, "pcap", NULL);
    uint64_t bytes =
        (uint64_t)option_integer(L, 1, "pcap_bytes", 0, 0, LUA_MAXINTEGER);
    struct link_box *box = box_new(L, sizeof(*box), LINK_CLASS);
    if (path && vmm_pcap_open(path, bytes, &capture, &err))
        return push_error(L, &err);
    if (vmm_link_new(capture, &box->link, &err))
        return push_error(L, &err);
    return 1;
}

/* link:port() -> net */
static int link_port(lua_State *L)
{
    struct vmm_link *link = check_link(L);
    struct vmm_error err;

    struct net_box *box = net_box_new(L);
    if (vmm_link_port(link, &box->nets[0], &err))
        return push_error(L, &err);
    return 1;
}

/* link:stats() -> { ports =, frames =, bytes =, dropped = } */
static int link_stats(lua_State *L)
{
    struct vmm_link_stats stats;

    vmm_link_stats(check_link(L), &stats);
    lua_newtable(L);
    box_set_integer(L, "ports", stats.ports);
    box_set_integer(L, "frames", stats.frames);
    box_set_integer(L, "bytes", stats.bytes);
    box_set_integer(L, "dropped", stats.dropped);
    return 1;
}

/* link:set_fault(fault or nil) */
static int link_set_fault(lua_State *L)
{
    vmm_link_set_fault(check_link(L), check_net_fault(L, 2));
    return 0;
}

/* Its ports live on. */
static int link_close(lua_State *L)
{
    struct link_box *box = luaL_checkudata(L, 1, LINK_CLASS);

    vmm_link_free(box->link);
    box->link = NULL;
    return 0;
}

static void link_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"port", link_port},   {"stats", link_stats},
        {"close", link_close}, {"set_fault", link_set_fault},
        {"__gc", link_close},  {"__close", link_close},
        {NULL, NULL}};
    static const struct class class = {.name = LINK_CLASS, .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, link_new);
    lua_setfield(L, -2, "link");
}

void net_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"__gc", net_gc}, {NULL, NULL}};
    static const struct class class = {.name = NET_CLASS, .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, net_tap_new);
    lua_setfield(L, -2, "net_tap");
    link_open(L);
    net_fault_open(L);
    net_station_open(L);
}
