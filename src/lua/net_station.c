/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Stations: what Lua code has at the end of a network, in a guest's place. */
#include <errno.h>

#include "lua/net.h"

#define STATION_CLASS "vmm.net_station"
/* Frames of one turn; then the script has its. */
#define TURN 64

/* What a station's userdata holds.  All its calls are made with the script's
 * lock, as a device's are with its own. */
struct station_box {
    struct vmm_net *net; /* NULL: closed */
    struct notifier notifier;
};

static void on_event(void *context)
{
    notifier_raise(context, 1);
}

static void release(struct station_box *box)
{
    struct vmm_net *net = box->net;

    if (!net)
        return;
    box->net = NULL;
    net->ops->stop(net);
    net->ops->close(net);
    vmm_net_free(net);
    notifier_close(&box->notifier);
}

/* upvalues: 1 the station, 2 fn: what the notifier calls */
static int station_receive(lua_State *L)
{
    struct station_box *box = lua_touserdata(L, lua_upvalueindex(1));
    const uint8_t *frame;

    if (box->net && box->net->ops->flush)
        box->net->ops->flush(box->net);
    for (int i = 0; i < TURN && box->net; i++) { /* fn may close it */
        size_t len = box->net->ops->peek(box->net, &frame);
        if (!len)
            return 0;
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushlstring(L, (const char *)frame, len);
        box->net->ops->take(box->net);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
            if (box->net) /* the others are not lost */
                notifier_raise(&box->notifier, 1);
            return lua_error(L);
        }
    }
    if (box->net)
        notifier_raise(&box->notifier, 1);
    return 0;
}

/* Take the backend over and begin; an error leaves the box closed. */
static int begin(lua_State *L, struct station_box *box, struct net_box *backend,
                 struct vmm_error *err)
{
    const struct vmm_net_events events = {on_event, on_event, &box->notifier};
    struct vmm_net *net = backend->nets[0];

    backend->nets[0] = NULL;
    int rc = net->ops->open(net, script_loop(script_of(L)), &events, err);
    if (rc) {
        vmm_net_free(net);
        notifier_close(&box->notifier);
        return rc;
    }
    box->net = net;
    net->ops->start(net, 0);
    /* It tells of frames only after a look at none. */
    notifier_raise(&box->notifier, 1);
    return 0;
}

/* core.net_station(net, function(frame)) -> station */
static int station_new(lua_State *L)
{
    struct net_box *backend = luaL_checkudata(L, 1, NET_CLASS);
    struct vmm_error err;

    luaL_argcheck(L, backend->nets[0], 1, "it is taken already");
    luaL_argcheck(L, !backend->nets[0]->header, 1, "a station takes no tap");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    struct station_box *box = box_new(L, sizeof(*box), STATION_CLASS);
    lua_pushvalue(L, 3);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, station_receive, 2);
    notifier_open(L, &box->notifier, 3);
    if (begin(L, box, backend, &err))
        return push_error(L, &err);
    return 1;
}

/* station:send(frame) -> true; or nil, message, "EAGAIN": not now */
static int station_send(lua_State *L)
{
    struct station_box *box = luaL_checkudata(L, 1, STATION_CLASS);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);
    const struct iovec frame = {(void *)(uintptr_t)bytes, len};

    luaL_argcheck(L, len >= VMM_NET_FRAME_MIN && len <= VMM_NET_FRAME_MAX, 2,
                  "a frame has 14 to 65553 bytes");
    luaL_argcheck(L, box->net, 1, "the station is closed");
    if (box->net->ops->send(box->net, &frame, 1))
        return push_errno(L, EAGAIN, "the receiver's queue is full");
    if (box->net->ops->flush)
        box->net->ops->flush(box->net);
    lua_pushboolean(L, 1);
    return 1;
}

static int station_close(lua_State *L)
{
    release(luaL_checkudata(L, 1, STATION_CLASS));
    return 0;
}

void net_station_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"send", station_send},
                                       {"close", station_close},
                                       {"__gc", station_close},
                                       {"__close", station_close},
                                       {NULL, NULL}};
    static const struct class class = {.name = STATION_CLASS,
                                       .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, station_new);
    lua_setfield(L, -2, "net_station");
}
