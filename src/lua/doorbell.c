/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* vm:doorbell{...}: guest writes that KVM counts, and no vCPU stops for. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lua/handlers.h"

/*
 * An ioeventfd, watched by the script's loop.  The VM keeps it, and knows it in
 * a list, so that it is closed with the VM.
 */
struct doorbell_box {
    struct vm_box *vm;
    struct vmm_ioeventfd at;
    int fd; /* -1: removed */
    bool assigned;
    struct vmm_watch *watch;
    struct notifier notifier;
    struct doorbell_box *next;
};

/* upvalues: 1 the doorbell, 2 fn: what the notifier calls */
static int doorbell_ring(lua_State *L)
{
    struct doorbell_box *box = lua_touserdata(L, lua_upvalueindex(1));
    eventfd_t count;

    if (box->fd < 0 || eventfd_read(box->fd, &count) < 0)
        return 0;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushinteger(L, (lua_Integer)count);
    lua_call(L, 1, 0);
    return 0;
}

static void on_ready(void *context, uint32_t events)
{
    notifier_raise(context, events);
}

/* Take back all that it has got; idempotent.  KVM lets go of the fd first. */
static void release(struct doorbell_box *box)
{
    if (box->assigned)
        vmm_vm_ioeventfd(vmm_machine_vm(box->vm->machine), &box->at, box->fd,
                         false, NULL);
    box->assigned = false;
    if (box->watch)
        vmm_watch_remove(box->watch);
    box->watch = NULL;
    notifier_close(&box->notifier);
    if (box->fd >= 0)
        close(box->fd);
    box->fd = -1;
}

static void unlink_from_vm(struct doorbell_box *box)
{
    struct doorbell_box **link = &box->vm->doorbells;

    while (*link && *link != box)
        link = &(*link)->next;
    if (*link)
        *link = box->next;
}

static void close_all(struct vm_box *vm)
{
    while (vm->doorbells) {
        struct doorbell_box *box = vm->doorbells;
        vm->doorbells = box->next;
        release(box);
    }
}

/* doorbell:remove() -> true; idempotent */
static int doorbell_remove(lua_State *L)
{
    struct doorbell_box *box = luaL_checkudata(L, 1, DOORBELL_CLASS);

    lua_pushboolean(L, 1);
    if (box->fd < 0)
        return 1;
    unlink_from_vm(box);
    release(box);
    lua_getiuservalue(L, 1, 1);
    vm_push_kept(L, -1);
    lua_pushnil(L);
    lua_rawsetp(L, -2, box);
    lua_pushboolean(L, 1);
    return 1;
}

/* Collected with its VM, which has closed it if it was closed itself. */
static int doorbell_gc(lua_State *L)
{
    struct doorbell_box *box = luaL_checkudata(L, 1, DOORBELL_CLASS);

    if (box->vm && box->fd >= 0) {
        unlink_from_vm(box);
        release(box);
    }
    return 0;
}

/* ---- making one ------------------------------------------------------------
 */

static void read_place(lua_State *L, struct vmm_ioeventfd *at)
{
    lua_Integer pio = option_integer(L, 2, "pio", -1, 0, 0xffff);
    lua_Integer mmio = option_integer(L, 2, "mmio", -1, 0, LUA_MAXINTEGER);
    int is_integer = 1;

    if ((pio < 0) == (mmio < 0))
        luaL_error(L, "vm:doorbell: give either pio or mmio, an address");
    at->pio = pio >= 0;
    at->address = (uint64_t)(at->pio ? pio : mmio);
    at->len = (uint32_t)option_integer(L, 2, "len", 0, 0, 8);
    at->match = lua_getfield(L, 2, "value") != LUA_TNIL;
    if (at->match)
        at->value = (uint64_t)lua_tointegerx(L, -1, &is_integer);
    if (!is_integer)
        luaL_error(L, "vm:doorbell: value must be an integer");
    lua_pop(L, 1);
}

/* Push what the notifier of the doorbell on top calls. */
static void push_ring(lua_State *L)
{
    lua_pushvalue(L, -1);
    if (lua_geti(L, 2, 1) != LUA_TFUNCTION)
        luaL_error(L, "vm:doorbell: no function to call");
    lua_pushcclosure(L, doorbell_ring, 2);
}

/* Watch first: KVM may signal at once. */
static int connect(lua_State *L, struct doorbell_box *box,
                   struct vmm_error *err)
{
    int rc = vmm_loop_watch(script_loop(script_of(L)), box->fd, EPOLLIN,
                            on_ready, &box->notifier, &box->watch, err);
    if (!rc)
        rc = vmm_vm_ioeventfd(vmm_machine_vm(box->vm->machine), &box->at,
                              box->fd, true, err);
    box->assigned = !rc;
    return rc;
}

/*
 * vm:doorbell{ pio = port | mmio = address, len = 1 | 2 | 4 | 8, value =,
 *              function(count) } -> doorbell
 */
static int doorbell_new(lua_State *L)
{
    struct vm_box *vm = check_vm(L, 1);
    struct place place = {.pio = false, .len = 1};
    struct vmm_ioeventfd at;
    struct vmm_error err;

    options_check(L, 2, "doorbell", "pio mmio len value");
    lua_settop(L, 2);
    read_place(L, &at);
    place.pio = at.pio;
    place.base = at.address;
    place.len = at.len ? at.len : 1;
    if (place_is_free(vm, "doorbell", &place, &err))
        return push_error(L, &err);
    struct doorbell_box *box = box_new(L, sizeof(*box), DOORBELL_CLASS);
    box_anchor(L, -1, 1);
    box->fd = -1;
    box->vm = vm;
    box->at = at;
    push_ring(L);
    box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    notifier_open(L, &box->notifier, 3);
    int rc = box->fd < 0 ? vmm_error_errno(&err, "eventfd of a doorbell")
                         : connect(L, box, &err);
    if (rc) {
        release(box);
        return push_error(L, &err);
    }
    vm->close_doorbells = close_all;
    box->next = vm->doorbells;
    vm->doorbells = box;
    vm_push_kept(L, 1);
    lua_pushvalue(L, 3);
    lua_rawsetp(L, -2, box);
    lua_settop(L, 3);
    return 1;
}

void doorbell_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"remove", doorbell_remove},
                                       {"__gc", doorbell_gc},
                                       {"__close", doorbell_remove},
                                       {NULL, NULL}};
    static const struct class class = {.name = DOORBELL_CLASS,
                                       .methods = methods};
    static const luaL_Reg of_vm[] = {{"doorbell", doorbell_new}, {NULL, NULL}};

    class_open(L, &class);
    class_extend(L, VM_CLASS, of_vm);
}
