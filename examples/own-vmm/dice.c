/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A virtio device of our own: an entropy device (virtio 1.2, section 5.4) whose
 * bytes count 1, 2, ... 6, 1, ...: what a guest makes of luck is the same each
 * time.  And its face in Lua: require "dice".
 */
#include <errno.h>
#include <lauxlib.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>

#include <vmm/kvm.h>
#include <vmm/lua.h>
#include <vmm/machine.h>
#include <vmm/virtio.h>

#define QUEUE_SIZE 64
#define REQUEST    256 /* filled to this at most: a guest asks again */

struct dice {
    struct vmm_virtio virtio; /* first: this is what transports know */
    uint8_t face;
};

static uint32_t throw_dice(struct dice *dice, struct vmm_chain *chain)
{
    uint8_t bytes[REQUEST];
    size_t len = REQUEST;

    if (chain->writable_bytes < len)
        len = (size_t)chain->writable_bytes;
    for (size_t i = 0; i < len; i++) {
        bytes[i] = dice->face + 1;
        dice->face = (dice->face + 1) % 6;
    }
    return vmm_chain_write(chain, 0, bytes, len) ? 0 : (uint32_t)len;
}

/* On the loop's thread, with the device's lock held.  A driver that offers
 * chains for ever gets a turn's worth of them at a time. */
static bool dice_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(virtio, queue);
    struct vmm_chain *chain;
    unsigned served = 0;

    vmm_virtq_suppress(ring);
    while (served < QUEUE_SIZE && vmm_virtq_pop(ring, &chain) > 0) {
        vmm_virtq_push(chain, throw_dice((struct dice *)virtio, chain));
        served++;
    }
    vmm_virtio_signal(virtio, queue);
    return served == QUEUE_SIZE || vmm_virtq_arm(ring);
}

static void dice_stop(struct vmm_virtio *virtio)
{
    ((struct dice *)virtio)->face = 0;
}

static void dice_destroy(struct vmm_virtio *virtio)
{
    free(virtio);
}

static int dice_create(struct vmm_machine *machine, struct vmm_virtio **virtio,
                       struct vmm_error *err)
{
    static const struct vmm_virtio_ops ops = {.name = "dice",
                                              .id = VIRTIO_ID_RNG,
                                              .stop = dice_stop,
                                              .serve = dice_serve,
                                              .destroy = dice_destroy};
    static const uint16_t sizes[] = {QUEUE_SIZE};
    const struct vmm_virtio_config config = {
        .memory = vmm_vm_memory(vmm_machine_vm(machine)),
        .loop = vmm_machine_loop(machine),
        .queue_count = 1,
        .queue_sizes = sizes};
    struct dice *dice = calloc(1, sizeof(*dice));

    if (!dice)
        return vmm_error_set(err, ENOMEM, "no memory for dice");
    int rc = vmm_virtio_init(&dice->virtio, &ops, &config, err);
    if (rc) {
        free(dice);
        return rc;
    }
    *virtio = &dice->virtio;
    return 0;
}

/* dice.new(vm) -> virtio, for vmm.virtio_mmio and the module vmm.virtio; or
 * nil, message, code */
static int dice_new(lua_State *L)
{
    struct vmm_machine *machine = vmm_lua_check_machine(L, 1);
    struct vmm_virtio **virtio = vmm_lua_new_virtio(L, 1);
    struct vmm_error err;

    if (dice_create(machine, virtio, &err) < 0)
        return vmm_lua_push_error(L, &err);
    return 1;
}

int luaopen_dice(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", dice_new}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
