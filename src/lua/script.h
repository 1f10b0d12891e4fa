/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* One Lua state and the threads around it: its lock, and events into it. */
#ifndef VMM_LUA_SCRIPT_H
#define VMM_LUA_SCRIPT_H

#include <lua.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <vmm/loop.h>

/*
 * Whoever runs Lua holds the script's lock: its own thread while it computes,
 * a vCPU thread while it runs a handler.  Every wait of ours releases it.
 * Lock order: the script's lock is outermost; no device or bus lock is held
 * when it is taken.
 */
struct script;

/* Make the script of L (once per state); it lives in the registry. */
void script_open(lua_State *L);
struct script *script_of(lua_State *L);

/* Around anything that may block: acquire takes what release returned. */
bool script_release(struct script *script);
void script_acquire(struct script *script, bool was_handler);
/* The same around a use of an object that another thread may close meanwhile:
 * whoever frees it waits until there are no users. */
bool script_begin_use(struct script *script, unsigned *users);
void script_end_use(struct script *script, unsigned *users, bool was_handler);
void script_await_unused(struct script *script, const unsigned *users);

/* True while the running Lua code is a handler on a vCPU thread. */
bool script_in_handler(const struct script *script);

/*
 * Run a Lua handler from a vCPU thread: enter takes the lock and returns a
 * state to push the function and its arguments on and to call with lua_pcall
 * (which makes a yield in it an error); leave gives both back.  NULL when the
 * state is out of memory.
 */
lua_State *script_enter(struct script *script);
void script_leave(struct script *script, lua_State *co);

struct vmm_loop *script_loop(struct script *script);
/* Make a step that waits come back; any thread. */
void script_wake(struct script *script);

/*
 * Events from other threads, bounded by design: each source is a word of bits
 * that are set by any thread and handed, all at once, to a Lua function on the
 * script's thread.
 */
struct notifier {
    struct script *script;
    atomic_uint bits;
    const void *object; /* its object's inner user value is the function */
    unsigned turn;      /* in which it was called last */
    struct notifier *next;
};

/* Register for the object at index, a box; the function is on top, popped. */
void notifier_open(lua_State *L, struct notifier *notifier, int index);
void notifier_raise(struct notifier *notifier, unsigned bits);
/* After this no thread may raise it.  Idempotent. */
void notifier_close(struct notifier *notifier);

/*
 * Have the object at index closed, by its __close, at the script's next step:
 * for what a handler may not wait for.  It is kept until then.
 */
void script_close_later(lua_State *L, int index);

/*
 * Close what is to be closed, wait up to timeout_ns (< 0: for ever) for events
 * with the lock released, then call the functions of raised notifiers.  Raises
 * what they raise, and from within a handler.  Returns how many functions were
 * called.
 */
int script_step(lua_State *L, int64_t timeout_ns);

#endif
