/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Virtio network devices in Lua. */
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>

#include "lua/net.h"
#include "lua/virtio.h"

#include <vmm/pcap.h>
#include <vmm/virtio_net.h>

/* "52:54:00:12:34:56" into mac; false: it is something else. */
static bool parse_mac(const char *text, uint8_t *mac)
{
    unsigned bytes[VMM_NET_MAC_BYTES];
    int used = 0;

    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &bytes[0], &bytes[1],
               &bytes[2], &bytes[3], &bytes[4], &bytes[5], &used) != 6 ||
        used != 17 || text[17])
        return false;
    for (int i = 0; i < VMM_NET_MAC_BYTES; i++)
        mac[i] = (uint8_t)bytes[i];
    return true;
}

/* Push the backend in options.net. */
static struct net_box *push_backend(lua_State *L)
{
    lua_getfield(L, 1, "net");
    struct net_box *box = luaL_checkudata(L, -1, NET_CLASS);

    if (!box->nets[0])
        luaL_error(L, "net: a device has it already");
    return box;
}

/* vmm.virtio_net{ vm =, net =, mac =, mtu =, pcap = path, pcap_bytes = } ->
 * virtio */
static int virtio_net_new(lua_State *L)
{
    struct vmm_virtio_net_config config = {0};
    uint8_t mac[VMM_NET_MAC_BYTES];
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_net", "vm net mac mtu pcap pcap_bytes");
    config.mtu = (uint16_t)option_integer(L, 1, "mtu", 0, 68, UINT16_MAX);
    const char *text = option_string(L, 1, "mac", NULL);
    const char *path = option_string(L, 1, "pcap", NULL);
    uint64_t bytes =
        (uint64_t)option_integer(L, 1, "pcap_bytes", 0, 0, LUA_MAXINTEGER);
    if (text && !parse_mac(text, mac))
        return luaL_error(L, "mac: '%s' is not like 52:54:00:12:34:56", text);
    config.mac = text ? mac : NULL;
    struct net_box *backend = push_backend(L);
    struct virtio_box *box = virtio_box_new(L);
    if (path && vmm_pcap_open(path, bytes, &config.capture, &err))
        return push_error(L, &err);
    for (; backend->nets[config.pairs]; config.pairs++) {
        config.nets[config.pairs] = backend->nets[config.pairs];
        backend->nets[config.pairs] = NULL;
    }
    struct vmm_machine *machine = box->vm->machine;
    config.memory = vmm_vm_memory(vmm_machine_vm(machine));
    config.loop = vmm_machine_loop(machine);
    if (vmm_virtio_net_new(&config, &box->virtio, &err))
        return push_error(L, &err);
    virtio_box_keep(L, box);
    return 1;
}

static struct vmm_virtio *check_net(lua_State *L)
{
    struct vmm_virtio *virtio = check_virtio(L, 1)->virtio;

    luaL_argcheck(L, virtio->ops->id == VIRTIO_ID_NET, 1,
                  "not a network device");
    return virtio;
}

/* virtio:net_link(up) */
static int virtio_net_link(lua_State *L)
{
    struct vmm_virtio *virtio = check_net(L);

    luaL_checktype(L, 2, LUA_TBOOLEAN);
    vmm_virtio_net_set_link(virtio, lua_toboolean(L, 2));
    return 0;
}

/* virtio:net_info() -> { mac =, link =, rx_frames =, ... } */
static int virtio_net_info(lua_State *L)
{
    struct vmm_virtio_net_info info;
    char mac[18];

    vmm_virtio_net_info(check_net(L), &info);
    snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", info.mac[0],
             info.mac[1], info.mac[2], info.mac[3], info.mac[4], info.mac[5]);
    lua_newtable(L);
    lua_pushstring(L, mac);
    lua_setfield(L, -2, "mac");
    lua_pushstring(L, info.backend);
    lua_setfield(L, -2, "backend");
    box_set_boolean(L, "link", info.link);
    box_set_integer(L, "queues", info.pairs);
    box_set_integer(L, "active", info.active);
    box_set_integer(L, "rx_frames", info.stats.rx_frames);
    box_set_integer(L, "rx_bytes", info.stats.rx_bytes);
    box_set_integer(L, "rx_dropped", info.stats.rx_dropped);
    box_set_integer(L, "tx_frames", info.stats.tx_frames);
    box_set_integer(L, "tx_bytes", info.stats.tx_bytes);
    box_set_integer(L, "tx_dropped", info.stats.tx_dropped);
    return 1;
}

static unsigned check_way(lua_State *L, int arg)
{
    static const char *const names[] = {"tx", "rx", NULL};
    static const unsigned ways[] = {VMM_NET_TX, VMM_NET_RX};

    return ways[luaL_checkoption(L, arg, NULL, names)];
}

/* virtio:net_fault(fault or nil, "tx" | "rx") */
static int virtio_net_fault(lua_State *L)
{
    struct vmm_virtio *virtio = check_net(L);
    struct vmm_net_fault *fault = check_net_fault(L, 2);

    vmm_virtio_net_set_fault(virtio, check_way(L, 3), fault);
    return 0;
}

/* virtio:net_limit("tx" | "rx", bytes a second, frames a second, burst_ns) */
static int virtio_net_limit(lua_State *L)
{
    struct vmm_virtio *virtio = check_net(L);
    unsigned way = check_way(L, 2);
    const struct vmm_limit limit = {
        .bytes = (uint64_t)luaL_checkinteger(L, 3),
        .items = (uint64_t)luaL_checkinteger(L, 4),
        .burst_ns = (uint64_t)luaL_checkinteger(L, 5),
    };

    vmm_virtio_net_set_limit(virtio, way, &limit);
    return 0;
}

void virtio_net_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"net_link", virtio_net_link},
                                       {"net_info", virtio_net_info},
                                       {"net_fault", virtio_net_fault},
                                       {"net_limit", virtio_net_limit},
                                       {NULL, NULL}};

    class_extend(L, VIRTIO_CLASS, methods);
    lua_pushcfunction(L, virtio_net_new);
    lua_setfield(L, -2, "virtio_net");
}
