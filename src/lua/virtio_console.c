/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio console in Lua: vmm.virtio_console{...}, and the wires from its
 * ports to consoles. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "lua/virtio.h"

#include <vmm/virtio_console.h>

/* From a port to its console and back. */
struct wire {
    struct console_box *console;
    struct vmm_virtio *virtio;
    unsigned port;
};

/* ---- the wires: any thread ------------------------------------------------
 */

static size_t on_output(void *context, const uint8_t *bytes, size_t len)
{
    struct wire *wire = context;

    return vmm_console_output(wire->console->console, bytes, len);
}

static size_t on_pull(void *context, uint8_t *bytes, size_t max)
{
    struct wire *wire = context;

    return vmm_console_pull(wire->console->console, bytes, max);
}

static void on_input_ready(void *context)
{
    struct wire *wire = context;

    vmm_virtio_console_input_ready(wire->virtio, wire->port);
}

static void on_output_ready(void *context)
{
    struct wire *wire = context;

    vmm_virtio_console_output_ready(wire->virtio, wire->port);
}

/* A VM closes its virtio devices before its consoles. */
static void on_closed(void *context)
{
    struct wire *wire = context;

    vmm_console_connect(wire->console->console, NULL);
    free(wire);
}

static void connect_ports(struct vmm_virtio *virtio,
                          const struct vmm_virtio_console_port *ports,
                          unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct wire *wire = ports[i].context;
        struct vmm_console_port port = {.input_ready = on_input_ready,
                                        .output_ready = on_output_ready,
                                        .context = wire};

        wire->virtio = virtio;
        vmm_console_connect(wire->console->console, &port);
    }
}

/* ---- construction ---------------------------------------------------------
 */

static void free_wires(struct vmm_virtio_console_port *ports, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        free(ports[i].context);
}

/* Take the console of the port on top: it has a device from now on. */
static void take_console(lua_State *L, struct vm_box *vm)
{
    lua_getfield(L, -1, "console");
    struct console_box *console = check_console(L, -1);
    if (console->vm != vm)
        luaL_error(L, "vmm.virtio_console: a console is of another VM");
    if (console->kept)
        luaL_error(L, "vmm.virtio_console: a console has a device already");
    console->kept = true;
    lua_getfield(L, 1, "vm");
    vm_push_kept(L, -1);
    lua_pushvalue(L, -3);
    lua_rawsetp(L, -2, console);
    lua_pop(L, 3);
}

/* options.ports, a list on top of the stack, checked; then nothing raises. */
static unsigned check_ports(lua_State *L, struct vm_box *vm)
{
    lua_Integer count = luaL_len(L, -1);

    if (count < 1 || count > VMM_VIRTIO_CONSOLE_PORTS_MAX)
        luaL_error(L, "vmm.virtio_console: 1 to %d ports, not %I",
                   VMM_VIRTIO_CONSOLE_PORTS_MAX, (LUAI_UACINT)count);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_geti(L, -1, i);
        luaL_checktype(L, -1, LUA_TTABLE);
        take_console(L, vm);
        if (lua_getfield(L, -1, "name") != LUA_TNIL)
            luaL_checktype(L, -1, LUA_TSTRING);
        lua_pop(L, 2);
    }
    return (unsigned)count;
}

/* False: out of memory. */
static bool fill_ports(lua_State *L, struct vmm_virtio_console_port *ports,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct wire *wire = calloc(1, sizeof(*wire));

        if (!wire)
            return false;
        lua_geti(L, -1, (lua_Integer)i + 1);
        lua_getfield(L, -1, "console");
        wire->console = lua_touserdata(L, -1);
        wire->port = i;
        lua_getfield(L, -2, "name");
        ports[i] = (struct vmm_virtio_console_port){
            .name = lua_tostring(L, -1), /* the table keeps it */
            .output = on_output,
            .pull = on_pull,
            .closed = on_closed,
            .context = wire};
        lua_pop(L, 3);
    }
    return true;
}

/*
 * vmm.virtio_console{ vm =, ports = { { console =, name = }, ... }, cols =,
 * rows = } -> virtio; the first port is hvc0
 */
static int virtio_console_new(lua_State *L)
{
    struct vmm_virtio_console_port ports[VMM_VIRTIO_CONSOLE_PORTS_MAX] = {0};
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_console", "vm ports cols rows");
    uint16_t cols = (uint16_t)option_integer(L, 1, "cols", 0, 0, UINT16_MAX);
    uint16_t rows = (uint16_t)option_integer(L, 1, "rows", 0, 0, UINT16_MAX);
    struct virtio_box *box = virtio_box_new(L);
    struct vmm_machine *machine = box->vm->machine;
    if (lua_getfield(L, 1, "ports") != LUA_TTABLE)
        return luaL_error(L, "vmm.virtio_console: ports = { { console = }, "
                             "... } is missing");
    struct vmm_virtio_console_config config = {
        .memory = vmm_vm_memory(vmm_machine_vm(machine)),
        .loop = vmm_machine_loop(machine),
        .ports = ports,
        .port_count = check_ports(L, box->vm),
        .cols = cols,
        .rows = rows};
    int rc;
    if (fill_ports(L, ports, config.port_count))
        rc = vmm_virtio_console_new(&config, &box->virtio, &err);
    else
        rc = vmm_error_set(&err, ENOMEM, "virtio-console: out of memory");
    if (rc) {
        free_wires(ports, config.port_count);
        return push_error(L, &err);
    }
    lua_pop(L, 1);
    connect_ports(box->virtio, ports, config.port_count);
    virtio_box_keep(L, box);
    return 1;
}

/* vmm.virtio_console_resize(virtio, cols, rows) -> true */
static int virtio_console_resize(lua_State *L)
{
    struct vmm_virtio *virtio = check_virtio(L, 1)->virtio;
    lua_Integer cols = luaL_checkinteger(L, 2);
    lua_Integer rows = luaL_checkinteger(L, 3);

    luaL_argcheck(L, virtio->ops->id == VIRTIO_ID_CONSOLE, 1,
                  "it is not a console");
    luaL_argcheck(L, cols >= 1 && cols <= UINT16_MAX, 2, "1 to 65535");
    luaL_argcheck(L, rows >= 1 && rows <= UINT16_MAX, 3, "1 to 65535");
    vmm_virtio_console_resize(virtio, (uint16_t)cols, (uint16_t)rows);
    lua_pushboolean(L, 1);
    return 1;
}

void virtio_console_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"virtio_console", virtio_console_new},
        {"virtio_console_resize", virtio_console_resize},
        {NULL, NULL}};

    luaL_setfuncs(L, functions, 0);
}
