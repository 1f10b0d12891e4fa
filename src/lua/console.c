/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A console in Lua, the mechanism: bytes in and out, sinks, events.  The
 * dialogue (expect, send_line) is Lua: lua/vmm/console.lua. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/terminal.h"
#include "lua/classes.h"
#include "lua/terminal.h"

/* Bits that the notifier hands to Lua. */
enum console_event {
    CONSOLE_OUTPUT = 1 << 0,
    CONSOLE_ROOM = 1 << 1,
    CONSOLE_INPUT_END = 1 << 2,
    CONSOLE_TEXT = 1 << 3, /* one of those watched for */
    CONSOLE_KEY = 1 << 4,  /* there are some to take with console:keys() */
};

/* Keys of the escape that wait to be taken; more are dropped. */
#define KEYS_MAX 256

#define READ_BYTES_MAX 65536

struct console_box *check_console(lua_State *L, int arg)
{
    struct console_box *box = luaL_checkudata(L, arg, CONSOLE_CLASS);

    luaL_argcheck(L, box->console, arg, "the console is closed");
    return box;
}

static void on_output(void *context)
{
    struct console_box *box = context;

    if (atomic_load(&box->notify_output))
        notifier_raise(&box->notifier, CONSOLE_OUTPUT);
}

static void on_room(void *context)
{
    struct console_box *box = context;

    notifier_raise(&box->notifier, CONSOLE_ROOM);
}

static void on_input_end(void *context)
{
    struct console_box *box = context;

    notifier_raise(&box->notifier, CONSOLE_INPUT_END);
}

/* All streams' on the loop's thread: the ring has one writer. */
static void on_escape(void *context, uint8_t key)
{
    struct console_box *box = context;

    vmm_ring_write(&box->keys, &key, 1);
    notifier_raise(&box->notifier, CONSOLE_KEY);
}

/*
 * vm:create_console{ capture = bytes, on_event = function(bits) } -> console
 * on_event is called on the script's thread with the bits above.
 */
int console_new(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    struct vmm_error err;

    options_check(L, 2, "create_console", "capture on_event");
    struct vmm_console_config config = {
        .capture_bytes =
            (size_t)option_integer(L, 2, "capture", 0, 0, INT64_C(1) << 32)};
    struct console_box *box = box_new(L, sizeof(*box), CONSOLE_CLASS);
    box_anchor(L, -1, 1);
    box->vm = vm;
    if (vmm_ring_init(&box->keys, KEYS_MAX))
        return push_errno(L, ENOMEM, "no memory for a console");
    struct vmm_loop *loop = vmm_machine_loop(vm->machine);
    if (vmm_console_new(loop, &config, &box->console, &err))
        return push_error(L, &err);
    if (lua_getfield(L, 2, "on_event") == LUA_TFUNCTION) {
        notifier_open(L, &box->notifier, lua_absindex(L, -2));
        struct vmm_console_listener listener = {
            .on_output = on_output, .on_room = on_room, .context = box};
        vmm_console_listen(box->console, &listener);
    } else {
        lua_pop(L, 1);
    }
    box->next = vm->consoles;
    vm->consoles = box;
    return 1;
}

/* A console that has the terminal hands it every key until it is freed. */
static int use_terminal(lua_State *L, struct console_box *box,
                        struct vmm_error *err)
{
    box->terminal = terminal_of(L);
    return box->terminal ? vmm_terminal_raw(box->terminal, err) : 0;
}

static void free_console(struct console_box *box)
{
    vmm_console_connect(box->console, NULL);
    vmm_console_free(box->console);
    box->console = NULL;
    if (box->terminal)
        vmm_terminal_restore(box->terminal);
}

/* Under the script's lock: a handler of another VM may use or collect them. */
void console_close_all(struct vm_box *vm)
{
    while (vm->consoles) {
        struct console_box *box = vm->consoles;

        vm->consoles = box->next;
        free_console(box);
    }
}

/*
 * One that its VM keeps is collected with the VM, whose vCPUs may print until
 * it is closed, a moment later: the VM frees the console, and the next
 * collection comes here again.
 */
static int console_gc(lua_State *L)
{
    struct console_box *box = luaL_checkudata(L, 1, CONSOLE_CLASS);

    if (box->console && box->kept) {
        luaL_setmetatable(L, CONSOLE_CLASS);
        return 0;
    }
    if (box->console) {
        struct console_box **link = &box->vm->consoles;
        while (*link && *link != box)
            link = &(*link)->next;
        if (*link)
            *link = box->next;
        free_console(box);
    }
    notifier_close(&box->notifier);
    vmm_ring_fini(&box->keys);
    return 0;
}

static int option_fd(lua_State *L, const char *name)
{
    return (int)option_integer(L, 2, name, -1, 0, INT32_MAX);
}

/* console:attach{ in_fd =, out_fd =, owns = false, escape = byte,
 * terminal = false } -> true; terminal: make it raw */
static int console_attach(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    struct vmm_error err;

    options_check(L, 2, "attach", "in_fd out_fd owns escape terminal");
    struct vmm_console_stream stream = {
        .in_fd = option_fd(L, "in_fd"),
        .out_fd = option_fd(L, "out_fd"),
        .owns = option_boolean(L, 2, "owns", false),
        .escape = (int)option_integer(L, 2, "escape", -1, 0, 255),
    };
    if (box->notifier.script) {
        stream.on_escape = on_escape;
        stream.on_input_end = on_input_end;
        stream.context = box;
    }
    int rc = 0;
    if (option_boolean(L, 2, "terminal", false))
        rc = use_terminal(L, box, &err);
    if (!rc)
        rc = vmm_console_attach(box->console, &stream, &err);
    return push_result(L, rc, &err);
}

/* console:attach_file(path) -> true: output goes to a new file */
static int console_attach_file(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    const char *path = luaL_checkstring(L, 2);
    struct vmm_error err;

    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return push_errno(L, errno, "console file %s: %s", path,
                          strerror(errno));
    struct vmm_console_stream stream = {
        .in_fd = -1, .out_fd = fd, .owns = true, .escape = -1};
    int rc = vmm_console_attach(box->console, &stream, &err);
    if (rc)
        close(fd);
    return push_result(L, rc, &err);
}

/* console:hold_input(on) -> true: what is typed is not for the guest */
static int console_hold_input(lua_State *L)
{
    vmm_console_hold_input(check_console(L, 1)->console, lua_toboolean(L, 2));
    lua_pushboolean(L, 1);
    return 1;
}

/* console:hold_output() -> position from which on output is not written */
static int console_hold_output(lua_State *L)
{
    struct vmm_console *console = check_console(L, 1)->console;

    lua_pushinteger(L, (lua_Integer)vmm_console_hold_output(console));
    return 1;
}

/* console:release_output([position]) -> true, or false when there is output
 * after the position up to which the caller has shown it */
static int console_release_output(lua_State *L)
{
    struct vmm_console *console = check_console(L, 1)->console;
    lua_Integer position = luaL_optinteger(L, 2, -1);

    lua_pushboolean(L, vmm_console_release_output(console, (uint64_t)position));
    return 1;
}

/* console:input(bytes) -> how many were taken */
static int console_input(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    size_t len;
    const char *bytes = luaL_checklstring(L, 2, &len);

    size_t taken = vmm_console_send(box->console, (const uint8_t *)bytes, len);
    lua_pushinteger(L, (lua_Integer)taken);
    return 1;
}

/* console:keys() -> bytes: what followed the escape since the last call */
static int console_keys(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    uint8_t keys[KEYS_MAX];

    size_t count = vmm_ring_read(&box->keys, keys, sizeof(keys));
    lua_pushlstring(L, (const char *)keys, count);
    return 1;
}

/* console:capture(position) -> bytes, next position, time in seconds */
static int console_capture(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    uint64_t position = (uint64_t)luaL_checkinteger(L, 2);
    uint64_t time_ns = 0;
    luaL_Buffer buffer;

    char *bytes = luaL_buffinitsize(L, &buffer, READ_BYTES_MAX);
    size_t count = vmm_console_capture_read(
        box->console, &position, (uint8_t *)bytes, READ_BYTES_MAX, &time_ns);
    luaL_pushresultsize(&buffer, count);
    lua_pushinteger(L, (lua_Integer)position);
    lua_pushnumber(L, (lua_Number)time_ns / 1e9);
    return 3;
}

static int console_total(lua_State *L)
{
    struct vmm_console *console = check_console(L, 1)->console;

    lua_pushinteger(L, (lua_Integer)vmm_console_output_total(console));
    return 1;
}

/* console:flush(timeout) -> true: output has reached capture and sinks */
static int console_flush(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    int64_t timeout_ns = check_timeout_ns(L, 2);
    struct vm_box *vm = box->vm;

    bool was_handler = script_begin_use(vm->script, &vm->users);
    int rc = vmm_console_flush(box->console, timeout_ns);
    script_end_use(vm->script, &vm->users, was_handler);
    if (rc < 0)
        return push_errno(L, -rc, "the console was not drained in time");
    lua_pushboolean(L, 1);
    return 1;
}

/* console:notify_output(on) -> true: on_event is called for output, too */
static int console_notify_output(lua_State *L)
{
    struct console_box *box = check_console(L, 1);

    atomic_store(&box->notify_output, lua_toboolean(L, 2));
    lua_pushboolean(L, 1);
    return 1;
}

static void on_text(void *context)
{
    notifier_raise(context, CONSOLE_TEXT);
}

/* console:watch_text(text) -> true: CONSOLE_TEXT is raised when it shows */
static int console_watch_text(lua_State *L)
{
    struct console_box *box = check_console(L, 1);
    const char *text = luaL_checkstring(L, 2);
    struct vmm_error err;

    luaL_argcheck(L, box->notifier.script, 1, "the console has no on_event");
    return push_result(L,
                       vmm_console_watch_text(box->console, text, on_text,
                                              &box->notifier, &err),
                       &err);
}

void console_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"attach", console_attach},
        {"attach_file", console_attach_file},
        {"hold_input", console_hold_input},
        {"hold_output", console_hold_output},
        {"release_output", console_release_output},
        {"input", console_input},
        {"keys", console_keys},
        {"capture", console_capture},
        {"total", console_total},
        {"flush", console_flush},
        {"notify_output", console_notify_output},
        {"watch_text", console_watch_text},
        {"__gc", console_gc},
        {NULL, NULL},
    };
    static const struct class class = {.name = CONSOLE_CLASS,
                                       .methods = methods};

    class_open(L, &class);
    lua_pushinteger(L, CONSOLE_OUTPUT);
    lua_setfield(L, -2, "CONSOLE_OUTPUT");
    lua_pushinteger(L, CONSOLE_ROOM);
    lua_setfield(L, -2, "CONSOLE_ROOM");
    lua_pushinteger(L, CONSOLE_INPUT_END);
    lua_setfield(L, -2, "CONSOLE_INPUT_END");
    lua_pushinteger(L, CONSOLE_TEXT);
    lua_setfield(L, -2, "CONSOLE_TEXT");
    lua_pushinteger(L, CONSOLE_KEY);
    lua_setfield(L, -2, "CONSOLE_KEY");
}
