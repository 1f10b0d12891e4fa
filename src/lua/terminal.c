/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The terminal in Lua: is it one, raw or restored, which signal came, input. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/terminal.h"
#include "lua/box.h"
#include "lua/script.h"
#include "lua/terminal.h"

#define READ_BYTES 4096

/* How often a chunk looks whether it has been interrupted. */
#define HOOK_INSTRUCTIONS 1000

/* The registry's keys: only their addresses matter. */
static const char terminal_key = 't';
static const char interrupt_key = 'i';

void terminal_set(lua_State *L, struct vmm_terminal *terminal)
{
    lua_pushlightuserdata(L, terminal);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &terminal_key);
}

struct vmm_terminal *terminal_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &terminal_key);
    struct vmm_terminal *terminal = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return terminal;
}

/* terminal.is_tty() -> is standard input a terminal that is ours to use? */
static int terminal_is_tty(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);

    lua_pushboolean(L, terminal && vmm_terminal_is_tty(terminal));
    return 1;
}

/* terminal.shows() -> is standard output a terminal, too? */
static int terminal_shows(lua_State *L)
{
    lua_pushboolean(L, isatty(STDOUT_FILENO));
    return 1;
}

/* terminal.raw() -> true: keys go to the guest one by one */
static int terminal_raw(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);
    struct vmm_error err = {0};

    return push_result(L, terminal ? vmm_terminal_raw(terminal, &err) : 0,
                       &err);
}

/* terminal.edit() -> true: keys go to a line editor one by one */
static int terminal_edit(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);
    struct vmm_error err = {0};

    return push_result(L, terminal ? vmm_terminal_edit(terminal, &err) : 0,
                       &err);
}

/* terminal.restore(): as it was found */
static int terminal_restore(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);

    if (terminal)
        vmm_terminal_restore(terminal);
    return 0;
}

/* terminal.signal_fd() -> fd, readable when a signal asks to end; or nil */
static int terminal_signal_fd(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);

    if (!terminal)
        return 0;
    lua_pushinteger(L, vmm_terminal_signal_fd(terminal));
    return 1;
}

/* terminal.take_signal() -> number of the signal that asks to end, or nil;
 * who takes it must end */
static int terminal_take_signal(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);
    int number = terminal ? vmm_terminal_take_signal(terminal) : 0;

    if (!number)
        return 0;
    lua_pushinteger(L, number);
    return 1;
}

/* ---- notices: Ctrl-C that does not end the program, a new window size ------
 */

/* terminal.catch(on): SIGINT interrupts what runs, instead of the program */
static int terminal_catch(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);

    if (terminal)
        vmm_terminal_catch(terminal, lua_toboolean(L, 1));
    return 0;
}

/* terminal.notice_fd() -> fd, readable when there are notices; or nil */
static int terminal_notice_fd(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);

    if (!terminal)
        return 0;
    lua_pushinteger(L, vmm_terminal_notice_fd(terminal));
    return 1;
}

/* terminal.take_notices() -> interrupted, resized: since the last call */
static int terminal_take_notices(lua_State *L)
{
    struct vmm_terminal *terminal = terminal_of(L);
    int notices = terminal ? vmm_terminal_take_notices(terminal) : 0;

    lua_pushboolean(L, notices & VMM_TERMINAL_INTERRUPT);
    lua_pushboolean(L, notices & VMM_TERMINAL_RESIZE);
    return 2;
}

/* Not in what walks all tasks, nor in what is called when a chunk is over. */
static bool may_interrupt(lua_State *L, lua_Debug *where)
{
    return lua_getinfo(L, "S", where) &&
           !strstr(where->source, "vmm/sched.lua") &&
           !strstr(where->source, "vmm/prompt");
}

static void check_interrupt(lua_State *L, lua_Debug *where)
{
    struct vmm_terminal *terminal = terminal_of(L);

    if (terminal && vmm_terminal_noticed(terminal, VMM_TERMINAL_INTERRUPT) &&
        may_interrupt(L, where)) {
        vmm_terminal_take_notices(terminal);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &interrupt_key);
        lua_error(L);
    }
}

/* terminal.interruptible(err): SIGINT, caught, raises that error in what this
 * coroutine, or one that it makes, computes; nil: no longer */
static int terminal_interruptible(lua_State *L)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_sethook(L, NULL, 0, 0);
        return 0;
    }
    lua_rawsetp(L, LUA_REGISTRYINDEX, &interrupt_key);
    lua_sethook(L, check_interrupt, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
    return 0;
}

/* terminal.size() -> rows, columns of the window; nothing when unknown */
static int terminal_size(lua_State *L)
{
    struct winsize size;

    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row ||
        !size.ws_col)
        return 0;
    lua_pushinteger(L, size.ws_row);
    lua_pushinteger(L, size.ws_col);
    return 2;
}

/* terminal.read() -> bytes from standard input, at least one, "" at its end;
 * other threads may run Lua meanwhile */
static int terminal_read(lua_State *L)
{
    struct script *script = script_of(L);
    char bytes[READ_BYTES];

    bool was_handler = script_release(script);
    ssize_t count = read(STDIN_FILENO, bytes, sizeof(bytes));
    int code = errno;
    script_acquire(script, was_handler);
    if (count < 0)
        return push_errno(L, code, "standard input: %s", strerror(code));
    lua_pushlstring(L, bytes, (size_t)count);
    return 1;
}

/* terminal.detach(path) -> true; or nil, message, code: from now on who started
 * the process may end, or read its pipes to their end, without it: standard
 * output and error are appended to a file */
static int terminal_detach(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    if (fd < 0)
        return push_errno(L, errno, "%s: %s", path, strerror(errno));
    fflush(stdout);
    if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
        int code = errno;

        close(fd);
        return push_errno(L, code, "%s: %s", path, strerror(code));
    }
    close(fd);
    setsid(); /* fails in a session that is its own already */
    prctl(PR_SET_PDEATHSIG, 0);
    lua_pushboolean(L, true);
    return 1;
}

void terminal_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"is_tty", terminal_is_tty},
        {"shows", terminal_shows},
        {"raw", terminal_raw},
        {"edit", terminal_edit},
        {"restore", terminal_restore},
        {"signal_fd", terminal_signal_fd},
        {"take_signal", terminal_take_signal},
        {"catch", terminal_catch},
        {"notice_fd", terminal_notice_fd},
        {"take_notices", terminal_take_notices},
        {"interruptible", terminal_interruptible},
        {"size", terminal_size},
        {"read", terminal_read},
        {"detach", terminal_detach},
        {NULL, NULL},
    };

    luaL_newlib(L, functions);
    lua_setfield(L, -2, "terminal");
}
