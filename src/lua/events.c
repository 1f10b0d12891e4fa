/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The script's loop in Lua: step, wake, watches of fds, the clock. */
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "lua/classes.h"

/* core.step([timeout]) -> number of functions called */
static int events_step(lua_State *L)
{
    lua_pushinteger(L, script_step(L, check_timeout_ns(L, 1)));
    return 1;
}

/* core.wake(): a step that waits comes back */
static int events_wake(lua_State *L)
{
    script_wake(script_of(L));
    return 0;
}

/* core.in_handler() -> true on a vCPU thread */
static int events_in_handler(lua_State *L)
{
    lua_pushboolean(L, script_in_handler(script_of(L)));
    return 1;
}

/* core.loop_fd() -> an epoll fd, for hosting our loop in another one */
static int events_loop_fd(lua_State *L)
{
    lua_pushinteger(L, vmm_loop_fd(script_loop(script_of(L))));
    return 1;
}

/* core.now() -> seconds, CLOCK_MONOTONIC */
static int events_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)vmm_now_ns() / 1e9);
    return 1;
}

/* core.wall_clock() -> seconds since 1970, as the host has it */
static int events_wall_clock(lua_State *L)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    lua_pushnumber(L, (lua_Number)now.tv_sec + (lua_Number)now.tv_nsec / 1e9);
    return 1;
}

/* ---- watches of fds --------------------------------------------------------
 */

struct watch_box {
    struct notifier notifier;
    struct vmm_watch *watch;
};

static void on_ready(void *context, uint32_t events)
{
    notifier_raise(context, events);
}

/* core.watch(fd, "r" | "w" | "rw", function(events)) -> watch */
static int watch_new(lua_State *L)
{
    int fd = (int)luaL_checkinteger(L, 1);
    const char *mode = luaL_checkstring(L, 2);
    uint32_t events = (strchr(mode, 'r') ? (uint32_t)EPOLLIN : 0) |
                      (strchr(mode, 'w') ? (uint32_t)EPOLLOUT : 0);
    struct vmm_error err;

    luaL_argcheck(L, events, 2, "one of \"r\", \"w\", \"rw\"");
    luaL_checktype(L, 3, LUA_TFUNCTION);
    struct watch_box *box = box_new(L, sizeof(*box), WATCH_CLASS);
    lua_pushvalue(L, 3);
    notifier_open(L, &box->notifier, lua_absindex(L, -2));
    if (vmm_loop_watch(script_loop(script_of(L)), fd, events, on_ready,
                       &box->notifier, &box->watch, &err))
        return push_error(L, &err);
    return 1;
}

static int watch_close(lua_State *L)
{
    struct watch_box *box = luaL_checkudata(L, 1, WATCH_CLASS);

    if (box->watch)
        vmm_watch_remove(box->watch);
    box->watch = NULL;
    notifier_close(&box->notifier);
    return 0;
}

void events_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"step", events_step},
        {"wake", events_wake},
        {"now", events_now},
        {"wall_clock", events_wall_clock},
        {"in_handler", events_in_handler},
        {"loop_fd", events_loop_fd},
        {"watch", watch_new},
        {NULL, NULL},
    };
    static const luaL_Reg methods[] = {{"close", watch_close},
                                       {"__gc", watch_close},
                                       {"__close", watch_close},
                                       {NULL, NULL}};
    static const struct class class = {.name = WATCH_CLASS, .methods = methods};

    class_open(L, &class);
    luaL_setfuncs(L, functions, 0);
}
