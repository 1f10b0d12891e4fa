/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The balloon in Lua: vmm.virtio_balloon{...}, and what is asked of it. */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>

#include "lua/virtio.h"

#include <vmm/virtio_balloon.h>

static void on_changed(void *context)
{
    notifier_raise(context, 1);
}

/* By the script: its VM is being closed. */
static void on_closed(void *context)
{
    notifier_close(context);
    free(context);
}

static struct vmm_virtio *check_balloon(lua_State *L, int arg)
{
    struct vmm_virtio *virtio = check_virtio(L, arg)->virtio;

    luaL_argcheck(L, virtio->ops->id == VIRTIO_ID_BALLOON, arg,
                  "it is not a balloon");
    return virtio;
}

/*
 * vmm.virtio_balloon{ vm =, pages = 0, deflate_on_oom = true, reporting = true,
 * on_change = function() } -> virtio
 * on_change is called on the script's thread when the balloon's size has
 * changed, or statistics have come.
 */
static int virtio_balloon_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_balloon",
                  "vm pages deflate_on_oom reporting on_change");
    struct vmm_virtio_balloon_config config = {
        .pages = (uint32_t)option_integer(L, 1, "pages", 0, 0, UINT32_MAX),
        .deflate_on_oom = option_boolean(L, 1, "deflate_on_oom", true),
        .reporting = option_boolean(L, 1, "reporting", true)};
    lua_getfield(L, 1, "on_change");
    bool listens = !lua_isnil(L, -1);
    if (listens)
        luaL_checktype(L, -1, LUA_TFUNCTION);
    struct virtio_box *box = virtio_box_new(L);
    int at = lua_gettop(L);
    struct vmm_machine *machine = box->vm->machine;
    config.memory = vmm_vm_memory(vmm_machine_vm(machine));
    config.loop = vmm_machine_loop(machine);
    struct notifier *notifier = calloc(1, sizeof(*notifier));
    if (!notifier)
        return push_errno(L, ENOMEM, "virtio-balloon: out of memory");
    config.context = notifier;
    config.closed = on_closed;
    if (listens)
        config.changed = on_changed;
    if (vmm_virtio_balloon_new(&config, &box->virtio, &err)) {
        free(notifier);
        return push_error(L, &err);
    }
    virtio_box_keep(L, box);
    if (listens) {
        lua_pushvalue(L, 2);
        notifier_open(L, notifier, at);
    }
    lua_settop(L, at);
    return 1;
}

/* vmm.virtio_balloon_set(virtio, pages) -> true */
static int virtio_balloon_set(lua_State *L)
{
    struct vmm_virtio *virtio = check_balloon(L, 1);
    lua_Integer pages = luaL_checkinteger(L, 2);

    luaL_argcheck(L, pages >= 0 && pages <= UINT32_MAX, 2, "0 to 2^32 - 1");
    vmm_virtio_balloon_set(virtio, (uint32_t)pages);
    lua_pushboolean(L, 1);
    return 1;
}

/* vmm.virtio_balloon_actual(virtio) -> pages */
static int virtio_balloon_actual(lua_State *L)
{
    lua_pushinteger(L, vmm_virtio_balloon_actual(check_balloon(L, 1)));
    return 1;
}

/* vmm.virtio_balloon_ask(virtio) -> true | nil, message, "EAGAIN" */
static int virtio_balloon_ask(lua_State *L)
{
    if (vmm_virtio_balloon_ask(check_balloon(L, 1)))
        return push_errno(L, EAGAIN,
                          "the guest is not ready to be asked for statistics");
    lua_pushboolean(L, 1);
    return 1;
}

/* vmm.virtio_balloon_stats(virtio) -> count, { name = value } */
static int virtio_balloon_stats(lua_State *L)
{
    static const char *const names[VMM_VIRTIO_BALLOON_STATS] = {
        "swap_in",         "swap_out",    "major_faults",
        "minor_faults",    "free",        "total",
        "available",       "disk_caches", "hugetlb_allocations",
        "hugetlb_failures"};
    struct vmm_virtio_balloon_stats stats;

    vmm_virtio_balloon_stats(check_balloon(L, 1), &stats);
    lua_pushinteger(L, (lua_Integer)stats.count);
    lua_newtable(L);
    for (int i = 0; i < VMM_VIRTIO_BALLOON_STATS; i++)
        if (stats.given >> i & 1)
            box_set_integer(L, names[i], stats.values[i]);
    return 2;
}

void virtio_balloon_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"virtio_balloon", virtio_balloon_new},
        {"virtio_balloon_set", virtio_balloon_set},
        {"virtio_balloon_actual", virtio_balloon_actual},
        {"virtio_balloon_ask", virtio_balloon_ask},
        {"virtio_balloon_stats", virtio_balloon_stats},
        {NULL, NULL}};

    luaL_setfuncs(L, functions, 0);
}
