/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The lock of a Lua state, its event loop, and its notifiers. */
#include <lauxlib.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lua/box.h"
#include "lua/script.h"

/* Handler states kept for reuse; more are made when more run at once. */
#define SPARE_STATES 8

struct spare {
    lua_State *state;
    int reference;
};

struct script {
    pthread_mutex_t lock;
    pthread_cond_t left; /* somebody has left a use of an object */
    lua_State *scratch;  /* where handlers' states are made */
    struct vmm_loop *loop;
    int wake_fd;
    struct vmm_watch *wake_watch;
    bool in_handler;
    struct notifier *notifiers;
    unsigned turn; /* of the events' delivery */
    struct spare spares[SPARE_STATES];
    size_t spare_count;
};

/* The registry key: only its address matters. */
static const char script_key = 's';

static void on_wake(void *context, uint32_t events)
{
    struct script *script = context;
    eventfd_t value;

    (void)events;
    eventfd_read(script->wake_fd, &value);
}

static int script_gc(lua_State *L)
{
    struct script *script = lua_touserdata(L, 1);

    if (script->wake_watch)
        vmm_watch_remove(script->wake_watch);
    vmm_loop_free(script->loop);
    if (script->wake_fd >= 0)
        close(script->wake_fd);
    script->wake_watch = NULL;
    script->loop = NULL;
    script->wake_fd = -1;
    pthread_mutex_unlock(&script->lock);
    pthread_mutex_destroy(&script->lock);
    pthread_cond_destroy(&script->left);
    return 0;
}

static void raise_error(lua_State *L, const struct vmm_error *err)
{
    luaL_error(L, "%s", err->text);
}

void script_open(lua_State *L)
{
    struct vmm_error err;

    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &script_key) != LUA_TNIL) {
        lua_pop(L, 1);
        return;
    }
    lua_pop(L, 1);

    struct script *script = lua_newuserdatauv(L, sizeof(*script), 0);
    *script = (struct script){.wake_fd = -1};
    script->scratch = lua_newthread(L);
    luaL_ref(L, LUA_REGISTRYINDEX);
    pthread_mutex_init(&script->lock, NULL);
    pthread_cond_init(&script->left, NULL);
    pthread_mutex_lock(&script->lock);

    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, script_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &script_key);

    if (vmm_loop_new(&script->loop, &err))
        raise_error(L, &err);
    script->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (script->wake_fd < 0)
        luaL_error(L, "no eventfd for the script");
    if (vmm_loop_watch(script->loop, script->wake_fd, EPOLLIN, on_wake, script,
                       &script->wake_watch, &err))
        raise_error(L, &err);
}

struct script *script_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &script_key);
    struct script *script = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return script;
}

/* The handler mark belongs to whoever holds the lock. */
bool script_release(struct script *script)
{
    bool was_handler = script->in_handler;

    script->in_handler = false;
    pthread_mutex_unlock(&script->lock);
    return was_handler;
}

void script_acquire(struct script *script, bool was_handler)
{
    pthread_mutex_lock(&script->lock);
    script->in_handler = was_handler;
}

bool script_begin_use(struct script *script, unsigned *users)
{
    (*users)++;
    return script_release(script);
}

void script_end_use(struct script *script, unsigned *users, bool was_handler)
{
    script_acquire(script, was_handler);
    (*users)--;
    pthread_cond_broadcast(&script->left);
}

void script_await_unused(struct script *script, const unsigned *users)
{
    bool was_handler = script->in_handler;

    while (*users)
        pthread_cond_wait(&script->left, &script->lock);
    script->in_handler = was_handler;
}

bool script_in_handler(const struct script *script)
{
    return script->in_handler;
}

struct vmm_loop *script_loop(struct script *script)
{
    return script->loop;
}

void script_wake(struct script *script)
{
    eventfd_write(script->wake_fd, 1);
}

/* A state of its own for a handler; protected, for memory may run out. */
static int new_state(lua_State *L)
{
    struct spare *spare = lua_touserdata(L, 1);

    spare->state = lua_newthread(L);
    spare->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

lua_State *script_enter(struct script *script)
{
    struct spare spare = {0};

    pthread_mutex_lock(&script->lock);
    if (script->spare_count) {
        spare = script->spares[--script->spare_count];
    } else {
        lua_State *L = script->scratch;
        lua_pushcfunction(L, new_state);
        lua_pushlightuserdata(L, &spare);
        if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
            lua_pop(L, 1);
            pthread_mutex_unlock(&script->lock);
            return NULL;
        }
    }
    /* Slot 1 of the state remembers its reference. */
    lua_settop(spare.state, 0);
    lua_pushinteger(spare.state, spare.reference);
    script->in_handler = true;
    return spare.state;
}

void script_leave(struct script *script, lua_State *co)
{
    int reference = (int)lua_tointeger(co, 1);

    lua_settop(co, 0);
    if (script->spare_count < SPARE_STATES)
        script->spares[script->spare_count++] =
            (struct spare){.state = co, .reference = reference};
    else
        luaL_unref(script->scratch, LUA_REGISTRYINDEX, reference);
    script->in_handler = false;
    pthread_mutex_unlock(&script->lock);
}

void notifier_open(lua_State *L, struct notifier *notifier, int index)
{
    struct script *script = script_of(L);

    notifier->object = lua_touserdata(L, index);
    lua_setiuservalue(L, index, BOX_INNER);
    notifier->script = script;
    atomic_init(&notifier->bits, 0);
    notifier->turn = script->turn;
    notifier->next = script->notifiers;
    script->notifiers = notifier;
}

void notifier_raise(struct notifier *notifier, unsigned bits)
{
    unsigned before = atomic_fetch_or(&notifier->bits, bits);

    if ((before | bits) != before)
        script_wake(notifier->script);
}

void notifier_close(struct notifier *notifier)
{
    if (!notifier->script)
        return;
    struct notifier **link = &notifier->script->notifiers;
    while (*link != notifier)
        link = &(*link)->next;
    *link = notifier->next;
    notifier->script = NULL;
}

/*
 * Call the functions of raised notifiers.  A function may open and close any
 * notifier, so the list is searched anew after each call.  One that is raised
 * again meanwhile has to wait for the next turn: a guest that never rests must
 * not keep all others from theirs.
 */
static int deliver(lua_State *L, struct script *script)
{
    int calls = 0;
    struct notifier *notifier = script->notifiers;
    unsigned turn = ++script->turn;

    while (notifier) {
        unsigned bits = 0;
        if (notifier->turn != turn)
            bits = atomic_exchange(&notifier->bits, 0);
        if (!bits) {
            notifier = notifier->next;
            continue;
        }
        notifier->turn = turn;
        box_push(L, notifier->object);
        if (!lua_isnil(L, -1)) {
            lua_getiuservalue(L, -1, BOX_INNER);
            lua_pushinteger(L, bits);
            lua_call(L, 1, 0);
        }
        lua_pop(L, 1);
        calls++;
        notifier = script->notifiers;
    }
    return calls;
}

/* Push the registry's list of what is to be closed. */
static void push_to_close(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "vmm.to_close");
}

void script_close_later(lua_State *L, int index)
{
    int object = lua_absindex(L, index);

    push_to_close(L);
    lua_pushvalue(L, object);
    lua_rawseti(L, -2, luaL_len(L, -2) + 1);
    lua_pop(L, 1);
    script_wake(script_of(L));
}

/* Closing releases the lock, so a handler may add to the list meanwhile. */
static void close_all(lua_State *L)
{
    lua_Integer count;

    push_to_close(L);
    int list = lua_gettop(L);
    while ((count = luaL_len(L, list))) {
        lua_rawgeti(L, list, count);
        lua_pushnil(L);
        lua_rawseti(L, list, count);
        luaL_callmeta(L, -1, "__close");
        lua_settop(L, list);
    }
    lua_pop(L, 1);
}

int script_step(lua_State *L, int64_t timeout_ns)
{
    struct script *script = script_of(L);

    if (script->in_handler)
        return luaL_error(L, "a handler may not wait");
    close_all(L);
    int calls = deliver(L, script);
    if (calls)
        return calls;
    bool was_handler = script_release(script);
    vmm_loop_step(script->loop, timeout_ns);
    script_acquire(script, was_handler);
    close_all(L);
    return deliver(L, script);
}
