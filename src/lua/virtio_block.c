/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Block devices in Lua: making one, its size, its limits. */
#include <errno.h>
#include <stdlib.h>

#include "lua/virtio_block.h"

/* ---- who is told of requests: the script ----------------------------------
 */

static void on_pending(void *context, unsigned what)
{
    notifier_raise(context, what);
}

/* By the script: its VM is being closed. */
static void on_closed(void *context)
{
    notifier_close(context);
    free(context);
}

/* With options.on_pending; NULL when the host has no memory. */
static struct notifier *listen(struct vmm_virtio_block_config *config)
{
    struct notifier *notifier = calloc(1, sizeof(*notifier));

    config->listener =
        (struct vmm_block_listener){on_pending, on_closed, notifier};
    return notifier;
}

/* ---- making one -----------------------------------------------------------
 */

/* options.backend = { size =, flush =, discard =, write_zeroes = } */
static bool read_backend(lua_State *L, struct vmm_block_backend *backend)
{
    if (lua_getfield(L, 1, "backend") == LUA_TNIL) {
        lua_pop(L, 1);
        return false;
    }
    int at = lua_gettop(L);
    options_check(L, at, "vmm.virtio_block: backend",
                  "size flush discard write_zeroes");
    *backend = (struct vmm_block_backend){
        .size = (uint64_t)option_integer(L, at, "size", 0, 0, LUA_MAXINTEGER),
        .flush = option_boolean(L, at, "flush", false),
        .discard = option_boolean(L, at, "discard", false),
        .write_zeroes = option_boolean(L, at, "write_zeroes", false)};
    lua_pop(L, 1);
    return true;
}

static struct vmm_virtio_block_config read_config(lua_State *L)
{
    return (struct vmm_virtio_block_config){
        .path = option_string(L, 1, "path", NULL),
        .read_only = option_boolean(L, 1, "readonly", false),
        .serial = option_string(L, 1, "serial", NULL),
        .direct = option_boolean(L, 1, "direct", false),
        .queues = (unsigned)option_integer(L, 1, "queues", 1, 1,
                                           VMM_VIRTIO_BLOCK_QUEUES_MAX),
        .threads = !option_boolean(L, 1, "io_uring", true)};
}

static int make(lua_State *L, struct vmm_virtio_block_config *config,
                struct virtio_box *box)
{
    struct vmm_machine *machine = box->vm->machine;
    struct vmm_error err;

    config->memory = vmm_vm_memory(vmm_machine_vm(machine));
    config->loop = vmm_machine_loop(machine);
    if (vmm_virtio_block_new(config, &box->virtio, &err))
        return push_error(L, &err);
    return 0;
}

/*
 * vmm.virtio_block{ vm =, path =, readonly =, serial =, direct =, queues =,
 * io_uring =, backend =, on_pending = function(bits) } -> virtio
 * on_pending is called on the script's thread: 1, there is work of a backend;
 * 2, there are questions.
 */
static int virtio_block_new(lua_State *L)
{
    struct vmm_block_backend backend;

    options_check(L, 1, "vmm.virtio_block",
                  "vm path readonly serial direct queues io_uring backend "
                  "on_pending");
    lua_settop(L, 1);
    struct vmm_virtio_block_config config = read_config(L);
    if (read_backend(L, &backend))
        config.backend = &backend;
    else if (!config.path)
        return luaL_error(L, "vmm.virtio_block: path is missing");
    bool listens = lua_getfield(L, 1, "on_pending") != LUA_TNIL;
    if (listens)
        luaL_checktype(L, 2, LUA_TFUNCTION);
    struct virtio_box *box = virtio_box_new(L);
    int at = lua_gettop(L);
    struct notifier *notifier = listens ? listen(&config) : NULL;
    if (listens && !notifier)
        return push_errno(L, ENOMEM, "virtio-blk: out of memory");
    int pushed = make(L, &config, box);
    if (pushed) {
        free(notifier);
        return pushed;
    }
    virtio_box_keep(L, box);
    if (listens) {
        lua_pushvalue(L, 2);
        notifier_open(L, notifier, at);
    }
    lua_settop(L, at);
    return 1;
}

struct vmm_virtio *check_block(lua_State *L, int arg)
{
    struct vmm_virtio *virtio = check_virtio(L, arg)->virtio;

    luaL_argcheck(L, vmm_virtio_is_block(virtio), arg, "not a block device");
    return virtio;
}

/* ---- size -----------------------------------------------------------------
 */

/* disk:resize([bytes]) -> bytes; nil: what the file has become */
static int block_resize(lua_State *L)
{
    struct vmm_virtio *virtio = check_block(L, 1);
    struct vmm_error err;
    int rc;

    if (lua_isnoneornil(L, 2)) {
        rc = vmm_virtio_block_refresh(virtio, &err);
    } else {
        lua_Integer bytes = luaL_checkinteger(L, 2);

        luaL_argcheck(L, bytes >= 0, 2, "a size is not negative");
        rc = vmm_virtio_block_resize(virtio, (uint64_t)bytes, &err);
    }
    if (rc)
        return push_error(L, &err);
    lua_pushinteger(L, (lua_Integer)vmm_virtio_block_size(virtio));
    return 1;
}

/* disk:size() -> bytes */
static int block_size(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)vmm_virtio_block_size(check_block(L, 1)));
    return 1;
}

/* disk:engine() -> "io_uring" | "threads" | "backend" */
static int block_engine(lua_State *L)
{
    lua_pushstring(L, vmm_virtio_block_engine(check_block(L, 1)));
    return 1;
}

/* ---- limits ---------------------------------------------------------------
 */

/* disk:block_limit(bytes, requests, burst in ns): a second */
static int block_limit(lua_State *L)
{
    struct vmm_virtio *virtio = check_block(L, 1);
    const struct vmm_limit limit = {.bytes = (uint64_t)luaL_checkinteger(L, 2),
                                    .items = (uint64_t)luaL_checkinteger(L, 3),
                                    .burst_ns =
                                        (uint64_t)luaL_checkinteger(L, 4)};

    vmm_virtio_block_limit(virtio, &limit);
    return 0;
}

/* disk:block_limits() -> bytes, requests, burst in ns */
static int block_limits(lua_State *L)
{
    struct vmm_limit limit;

    vmm_virtio_block_limit_get(check_block(L, 1), &limit);
    lua_pushinteger(L, (lua_Integer)limit.bytes);
    lua_pushinteger(L, (lua_Integer)limit.items);
    lua_pushinteger(L, (lua_Integer)limit.burst_ns);
    return 3;
}

void virtio_block_open(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"resize", block_resize},       {"size", block_size},
        {"engine", block_engine},       {"block_limit", block_limit},
        {"block_limits", block_limits}, {NULL, NULL}};
    static const luaL_Reg constructors[] = {{"virtio_block", virtio_block_new},
                                            {NULL, NULL}};

    class_extend(L, VIRTIO_CLASS, methods);
    virtio_block_open_faults(L);
    virtio_block_open_backend(L);
    luaL_setfuncs(L, constructors, 0);
}
