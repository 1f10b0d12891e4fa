/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Virtio devices and their transports in Lua. */
#include "lua/virtio.h"

#include <vmm/lua.h>

struct virtio_box *check_virtio(lua_State *L, int arg)
{
    struct virtio_box *box = luaL_checkudata(L, arg, VIRTIO_CLASS);

    luaL_argcheck(L, box->virtio, arg, "the device is closed");
    return box;
}

static void release(struct virtio_box *box)
{
    if (box->virtio)
        vmm_virtio_close(box->virtio);
    vmm_virtio_unref(box->virtio);
    box->virtio = NULL;
    box->kept = false;
}

static void close_all(struct vm_box *vm)
{
    while (vm->virtios) {
        struct virtio_box *box = vm->virtios;

        vm->virtios = box->next;
        release(box);
    }
}

/*
 * Its VM keeps it, so both are collected together; the VM is closed a moment
 * later, and closes it before the consoles and whatever else it uses.
 */
static int virtio_gc(lua_State *L)
{
    struct virtio_box *box = luaL_checkudata(L, 1, VIRTIO_CLASS);

    if (box->kept)
        luaL_setmetatable(L, VIRTIO_CLASS);
    return 0;
}

/* For a device of the VM on top. */
static struct virtio_box *box_of_vm(lua_State *L)
{
    struct vm_box *vm = check_vm(L, -1);

    if (!vmm_vm_memory(vmm_machine_vm(vm->machine)))
        luaL_error(L, "the VM has no memory yet: vm:map comes first");
    struct virtio_box *box = box_new(L, sizeof(*box), VIRTIO_CLASS);
    box->vm = vm;
    box_anchor(L, -1, lua_absindex(L, -2));
    return box;
}

struct virtio_box *virtio_box_new(lua_State *L)
{
    lua_getfield(L, 1, "vm");
    return box_of_vm(L);
}

void virtio_box_keep(lua_State *L, struct virtio_box *box)
{
    box->kept = true;
    box->next = box->vm->virtios;
    box->vm->virtios = box;
    box->vm->close_virtios = close_all;
    /* The VM keeps the object: who drops it has not dropped the device. */
    lua_getiuservalue(L, -1, 1);
    vm_push_kept(L, -1);
    lua_pushvalue(L, -3);
    lua_rawsetp(L, -2, box);
    lua_pop(L, 2);
}

/* A door for C modules of others. */
struct vmm_virtio **vmm_lua_new_virtio(lua_State *L, int vm_index)
{
    lua_pushvalue(L, vm_index);
    struct virtio_box *box = box_of_vm(L);
    virtio_box_keep(L, box);
    lua_remove(L, -2);
    return &box->virtio;
}

/* vmm.virtio_rng{ vm =, rate = bytes a second } -> virtio */
static int virtio_rng_new(lua_State *L)
{
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_rng", "vm rate");
    uint32_t rate =
        (uint32_t)option_integer(L, 1, "rate", 0, 0, (lua_Integer)UINT32_MAX);
    struct virtio_box *box = virtio_box_new(L);
    struct vmm_machine *machine = box->vm->machine;
    if (vmm_virtio_rng_new(vmm_vm_memory(vmm_machine_vm(machine)),
                           vmm_machine_loop(machine), rate, &box->virtio, &err))
        return push_error(L, &err);
    virtio_box_keep(L, box);
    return 1;
}

/* vmm.virtio_mmio{ virtio =, gsi = } -> device, with one region */
static int virtio_mmio_new(lua_State *L)
{
    struct vmm_irq_line line;
    struct vmm_error err;

    options_check(L, 1, "vmm.virtio_mmio", "virtio gsi");
    lua_getfield(L, 1, "virtio");
    struct virtio_box *virtio = check_virtio(L, -1);
    uint32_t gsi = (uint32_t)option_integer(L, 1, "gsi", -1, 0, 1023);
    if (vmm_vm_edge_line(vmm_machine_vm(virtio->vm->machine), gsi, &line, &err))
        return push_error(L, &err);
    struct device_box *box = device_box_new(L, 0);
    box->vm = virtio->vm;
    box_anchor(L, -1, lua_absindex(L, -2)); /* and that, its VM */
    if (vmm_virtio_mmio_new(vmm_virtio_ref(virtio->virtio), &line, &box->device,
                            &err))
        return push_error(L, &err);
    return 1;
}

/* virtio:notify_at(address) -> true: 4-byte writes of a queue's number to that
 * address of memory notify it, and stop no vCPU */
static int virtio_notify_at(lua_State *L)
{
    struct virtio_box *box = check_virtio(L, 1);
    struct vmm_ioeventfd at = {
        .address = (uint64_t)luaL_checkinteger(L, 2), .len = 4, .match = true};
    struct vmm_error err;
    int fd;

    for (unsigned queue = 0;
         (fd = vmm_virtio_notify_fd(box->virtio, queue)) >= 0; queue++) {
        at.value = queue;
        if (vmm_vm_ioeventfd(vmm_machine_vm(box->vm->machine), &at, fd, true,
                             &err))
            return push_error(L, &err);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int virtio_name(lua_State *L)
{
    lua_pushstring(L, check_virtio(L, 1)->virtio->ops->name);
    return 1;
}

static int virtio_queues(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check_virtio(L, 1)->virtio->queue_count);
    return 1;
}

static int virtio_tostring(lua_State *L)
{
    struct virtio_box *box = luaL_checkudata(L, 1, VIRTIO_CLASS);

    lua_pushfstring(L, "vmm.virtio: %s",
                    box->virtio ? box->virtio->ops->name : "closed");
    return 1;
}

void virtio_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"notify_at", virtio_notify_at},
                                       {"__gc", virtio_gc},
                                       {"__tostring", virtio_tostring},
                                       {NULL, NULL}};
    static const luaL_Reg getters[] = {
        {"name", virtio_name}, {"queues", virtio_queues}, {NULL, NULL}};
    static const struct class class = {
        .name = VIRTIO_CLASS, .methods = methods, .getters = getters};
    static const luaL_Reg constructors[] = {{"virtio_rng", virtio_rng_new},
                                            {"virtio_mmio", virtio_mmio_new},
                                            {NULL, NULL}};

    class_open(L, &class);
    luaL_setfuncs(L, constructors, 0);
}
