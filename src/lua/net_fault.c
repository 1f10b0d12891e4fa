/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults of networks in Lua: by chance, or by a function that is asked. */
#include <stdlib.h>
#include <string.h>

#include "lua/net.h"

#define NS_PER_MS 1e6
/* Questions of one turn; then the script has its. */
#define TURN 64

/* What a fault's userdata holds. */
struct net_fault_box {
    struct vmm_net_fault *fault; /* NULL: it could not be made */
    struct notifier notifier;    /* of questions */
    uint8_t frame[];             /* the one that is asked about */
};

static struct net_fault_box *check_box(lua_State *L, int arg)
{
    return luaL_checkudata(L, arg, NET_FAULT_CLASS);
}

struct vmm_net_fault *check_net_fault(lua_State *L, int arg)
{
    return lua_isnoneornil(L, arg) ? NULL : check_box(L, arg)->fault;
}

/* ---- options --------------------------------------------------------------
 */

static double number(lua_State *L, int index, const char *name)
{
    int is_number = 1;
    double value = 0;

    if (lua_getfield(L, index, name) != LUA_TNIL)
        value = lua_tonumberx(L, -1, &is_number);
    if (!is_number || !(value >= 0))
        luaL_error(L, "%s must be a number, 0 or more", name);
    lua_pop(L, 1);
    return value;
}

/* Milliseconds of an option as nanoseconds, no more than is valid. */
static uint64_t delay(lua_State *L, int index, const char *name)
{
    double ms = number(L, index, name);

    if (ms > (double)VMM_NET_DELAY_MAX / NS_PER_MS)
        luaL_error(L, "%s must be 3600000 (an hour) at most", name);
    return (uint64_t)(ms * NS_PER_MS);
}

static double chance(lua_State *L, const char *name)
{
    double value = number(L, 1, name);

    if (value > 1)
        luaL_error(L, "%s must be a probability, 0 to 1", name);
    return value;
}

/* ---- answers --------------------------------------------------------------
 */

/* One name of what happens; false: it is none. */
static bool set_by_name(struct vmm_net_verdict *verdict, const char *name)
{
    const struct {
        const char *name;
        bool *member;
    } names[] = {{"drop", &verdict->drop},
                 {"duplicate", &verdict->duplicate},
                 {"corrupt", &verdict->corrupt},
                 {"reorder", &verdict->reorder}};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i].name) == 0) {
            *names[i].member = true;
            return true;
        }
    return false;
}

/* The value on top, as what happens to a frame. */
static void read_verdict(lua_State *L, struct vmm_net_verdict *verdict)
{
    int answer = lua_gettop(L);

    if (!lua_toboolean(L, answer))
        return;
    if (lua_type(L, answer) == LUA_TSTRING &&
        set_by_name(verdict, lua_tostring(L, answer)))
        return;
    if (!lua_istable(L, answer))
        luaL_error(L, "a fault's function returns nil, \"drop\", "
                      "\"duplicate\", \"corrupt\", \"reorder\" or a table");
    options_check(L, answer, "a fault's answer",
                  "drop duplicate corrupt reorder delay_ms");
    verdict->drop = option_boolean(L, answer, "drop", false);
    verdict->duplicate = option_boolean(L, answer, "duplicate", false);
    verdict->corrupt = option_boolean(L, answer, "corrupt", false);
    verdict->reorder = option_boolean(L, answer, "reorder", false);
    verdict->delay_ns = delay(L, answer, "delay_ms");
}

/* fn, frame, direction, lightuserdata of the verdict */
static int ask(lua_State *L)
{
    struct vmm_net_verdict *verdict = lua_touserdata(L, 4);

    lua_pop(L, 1);
    lua_call(L, 2, 1);
    read_verdict(L, verdict);
    return 0;
}

/* There may be more questions; none of a fault that its function removed. */
static void come_again(struct net_fault_box *box)
{
    if (box->notifier.script)
        notifier_raise(&box->notifier, 1);
}

/* upvalues: 1 the fault, 2 fn: what the notifier calls */
static int answer_questions(lua_State *L)
{
    struct net_fault_box *box = lua_touserdata(L, lua_upvalueindex(1));
    struct vmm_net_verdict verdict;
    uint64_t ticket;
    unsigned way;
    size_t len;

    for (int i = 0; i < TURN; i++) {
        len = vmm_net_fault_question(box->fault, box->frame, &way, &ticket);
        if (!len)
            return 0;
        verdict = (struct vmm_net_verdict){0};
        lua_pushcfunction(L, ask);
        lua_pushvalue(L, lua_upvalueindex(2));
        lua_pushlstring(L, (const char *)box->frame, len);
        lua_pushstring(L, way == VMM_NET_TX ? "tx" : "rx");
        lua_pushlightuserdata(L, &verdict);
        int status = lua_pcall(L, 4, 0, 0);
        /* A frame that the function fails for passes. */
        vmm_net_fault_answer(box->fault, ticket, &verdict);
        if (status != LUA_OK) {
            come_again(box);
            return lua_error(L);
        }
    }
    come_again(box);
    return 0;
}

static void on_ask(void *context)
{
    notifier_raise(context, 1);
}

/* ---- life -----------------------------------------------------------------
 */

/* core.net_fault{ drop =, duplicate =, corrupt =, reorder =, delay_ms =,
 * jitter_ms =, seed = } or { fn } -> fault */
static int net_fault_new(lua_State *L)
{
    struct vmm_net_fault_config config = {0};
    struct vmm_error err;

    options_check(L, 1, "a network fault",
                  "drop duplicate corrupt reorder delay_ms jitter_ms seed");
    config.drop = chance(L, "drop");
    config.duplicate = chance(L, "duplicate");
    config.corrupt = chance(L, "corrupt");
    config.reorder = chance(L, "reorder");
    config.delay_ns = delay(L, 1, "delay_ms");
    config.jitter_ns = delay(L, 1, "jitter_ms");
    config.seed = (uint64_t)option_integer(L, 1, "seed", 1, LUA_MININTEGER,
                                           LUA_MAXINTEGER);
    lua_settop(L, 1);
    bool asks = lua_geti(L, 1, 1) != LUA_TNIL;
    if (asks)
        luaL_checktype(L, 2, LUA_TFUNCTION);
    struct net_fault_box *box = box_new(
        L, sizeof(*box) + (asks ? VMM_NET_FRAME_MAX : 0), NET_FAULT_CLASS);
    if (asks) {
        lua_pushvalue(L, 3);
        lua_pushvalue(L, 2);
        lua_pushcclosure(L, answer_questions, 2);
        notifier_open(L, &box->notifier, 3);
        config.ask = on_ask;
        config.context = &box->notifier;
    }
    if (vmm_net_fault_new(&config, &box->fault, &err)) {
        notifier_close(&box->notifier);
        return push_error(L, &err);
    }
    return 1;
}

/* fault:remove(); idempotent */
static int net_fault_remove(lua_State *L)
{
    struct net_fault_box *box = check_box(L, 1);

    if (box->fault)
        vmm_net_fault_end(box->fault);
    notifier_close(&box->notifier);
    return 0;
}

static int net_fault_gc(lua_State *L)
{
    struct net_fault_box *box = check_box(L, 1);

    net_fault_remove(L);
    vmm_net_fault_unref(box->fault);
    box->fault = NULL;
    return 0;
}

/* fault:stats() -> { frames =, dropped =, ... } */
static int net_fault_stats(lua_State *L)
{
    const struct net_fault_box *box = check_box(L, 1);
    struct vmm_net_fault_stats stats;

    /* Another object's finalizer may ask after this one's. */
    luaL_argcheck(L, box->fault, 1, "the fault is collected");
    vmm_net_fault_stats(box->fault, &stats);
    lua_newtable(L);
    box_set_integer(L, "frames", stats.frames);
    box_set_integer(L, "dropped", stats.dropped);
    box_set_integer(L, "duplicated", stats.duplicated);
    box_set_integer(L, "corrupted", stats.corrupted);
    box_set_integer(L, "reordered", stats.reordered);
    box_set_integer(L, "delayed", stats.delayed);
    box_set_integer(L, "overflowed", stats.overflowed);
    return 1;
}

void net_fault_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"remove", net_fault_remove},
                                       {"stats", net_fault_stats},
                                       {"__gc", net_fault_gc},
                                       {"__close", net_fault_remove},
                                       {NULL, NULL}};
    static const struct class class = {.name = NET_FAULT_CLASS,
                                       .methods = methods};

    class_open(L, &class);
    lua_pushcfunction(L, net_fault_new);
    lua_setfield(L, -2, "net_fault");
}
