/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Devices of other processes in Lua: vmm.vhost_user{...}. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include "lua/virtio.h"

#include <vmm/vhost_user.h>

#define WORDS_MAX    64
#define DEADLINE     5 /* seconds */
#define DEADLINE_MAX 86400

static void on_failed(void *context)
{
    notifier_raise(context, 1);
}

/* By the script: its VM is being closed. */
static void on_closed(void *context)
{
    notifier_close(context);
    free(context);
}

/* options.argv at index 1 into argv; its strings live as long as the table. */
static void read_argv(lua_State *L, const char *argv[WORDS_MAX + 1])
{
    luaL_argcheck(L, lua_getfield(L, 1, "argv") == LUA_TTABLE, 1,
                  "give argv, a table, or socket");
    lua_Integer count = luaL_len(L, -1);
    luaL_argcheck(L, count >= 1 && count <= WORDS_MAX, 1,
                  "argv: 1 to 64 strings");
    for (lua_Integer i = 0; i < count; i++) {
        luaL_argcheck(L, lua_geti(L, -1, i + 1) == LUA_TSTRING, 1,
                      "argv: not a string");
        argv[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    argv[count] = NULL;
    lua_pop(L, 1);
}

/* A connection to a daemon at path, or to one that argv starts. */
static int open_connection(const char *path, const char *const *argv,
                           struct vmm_vhost_user_config *config,
                           struct vmm_error *err)
{
    if (path)
        return vmm_vhost_user_connect(path, &config->socket, err);
    return vmm_vhost_user_start(argv, &config->socket, &config->process, err);
}

static void read_options(lua_State *L, struct vmm_vhost_user_config *config)
{
    static const char *const devices[] = {"block", "fs", NULL};

    options_check(L, 1, "vmm.vhost_user",
                  "vm name device tag queues argv socket deadline on_failure");
    lua_getfield(L, 1, "device");
    config->id = luaL_checkoption(L, -1, NULL, devices) == 0 ? VIRTIO_ID_BLOCK
                                                             : VIRTIO_ID_FS;
    lua_pop(L, 1);
    lua_getfield(L, 1, "deadline");
    lua_Number deadline = luaL_optnumber(L, -1, DEADLINE);
    luaL_argcheck(L, deadline > 0 && deadline <= DEADLINE_MAX, 1,
                  "deadline: more than 0, up to 86400 seconds");
    config->deadline_ns = (uint64_t)(deadline * 1e9);
    lua_pop(L, 1);
    config->name = option_string(L, 1, "name", "vhost-user");
    config->tag = option_string(L, 1, "tag", NULL);
    config->queues = (unsigned)option_integer(L, 1, "queues", 1, 1,
                                              VMM_VHOST_USER_QUEUES_MAX);
}

/*
 * vmm.vhost_user{ vm =, name =, device = "block" | "fs", tag =, queues = 1,
 * argv = { program, ... } | socket = path, deadline = 5, on_failure =
 * function() }
 * -> virtio
 * on_failure is called on the script's thread.
 */
static int vhost_user_new(lua_State *L)
{
    struct vmm_vhost_user_config config = {0};
    const char *argv[WORDS_MAX + 1];
    struct vmm_error err;

    const char *path = option_string(L, 1, "socket", NULL);
    if (!path)
        read_argv(L, argv);
    read_options(L, &config);
    lua_settop(L, 1);
    lua_getfield(L, 1, "on_failure");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    struct virtio_box *box = virtio_box_new(L);
    int at = lua_gettop(L);
    struct vmm_machine *machine = box->vm->machine;
    config.memory = vmm_vm_memory(vmm_machine_vm(machine));
    config.loop = vmm_machine_loop(machine);
    struct notifier *notifier = calloc(1, sizeof(*notifier));
    if (!notifier)
        return push_errno(L, ENOMEM, "%s: out of memory", config.name);
    /* The daemon may fail as soon as there is a device. */
    lua_pushvalue(L, 2);
    notifier_open(L, notifier, at);
    lua_settop(L, at);
    config.context = notifier;
    config.failed = on_failed;
    config.closed = on_closed;
    if (open_connection(path, argv, &config, &err) ||
        vmm_vhost_user_new(&config, &box->virtio, &err)) {
        on_closed(notifier);
        return push_error(L, &err);
    }
    virtio_box_keep(L, box);
    return 1;
}

/* vmm.vhost_user_failure(virtio) -> nil, or why the daemon has failed, code */
static int vhost_user_failure(lua_State *L)
{
    struct vmm_error why;
    int rc = vmm_vhost_user_failure(check_virtio(L, 1)->virtio, &why);

    luaL_argcheck(L, rc != -ENOTTY, 1, "no other process serves it");
    if (rc == 0)
        return 0;
    push_error(L, &why);
    lua_remove(L, -3);
    return 2;
}

void vhost_user_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"vhost_user", vhost_user_new},
        {"vhost_user_failure", vhost_user_failure},
        {NULL, NULL}};

    luaL_setfuncs(L, functions, 0);
}
