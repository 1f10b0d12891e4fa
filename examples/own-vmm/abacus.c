/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * The device: one register of 4 bytes.  A write adds to it, a read gives the
 * sum; a reset clears it.  And its face in Lua: require "abacus".
 */
#include "abacus.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/device.h>
#include <vmm/error.h>
#include <vmm/lua.h>

struct abacus {
    struct vmm_device device; /* first: this is what the bus knows */
    uint32_t sum;
};

/* Offset and size are within the region, whatever the guest does. */
static void abacus_read(struct vmm_device *device, uint64_t offset,
                        uint8_t *value, size_t size)
{
    struct abacus *abacus = (struct abacus *)device;

    memcpy(value, (uint8_t *)&abacus->sum + offset, size);
}

static void abacus_write(struct vmm_device *device, uint64_t offset,
                         const uint8_t *value, size_t size)
{
    struct abacus *abacus = (struct abacus *)device;
    uint32_t summand = 0;

    memcpy((uint8_t *)&summand + offset, value, size);
    abacus->sum += summand;
}

static void abacus_reset(struct vmm_device *device)
{
    ((struct abacus *)device)->sum = 0;
}

static void abacus_destroy(struct vmm_device *device)
{
    free(device);
}

static int abacus_create(struct vmm_device **device, struct vmm_error *err)
{
    static const struct vmm_device_ops ops = {
        .name = "abacus", .reset = abacus_reset, .destroy = abacus_destroy};
    static const struct vmm_region_ops region = {
        .read = abacus_read, .write = abacus_write, .length = 4};
    struct abacus *abacus = calloc(1, sizeof(*abacus));

    vmm_error_clear(err);
    if (!abacus)
        return vmm_error_set(err, ENOMEM, "no memory for an abacus");
    vmm_device_init(&abacus->device, &ops, &region, 1);
    *device = &abacus->device;
    return 0;
}

/* abacus.new() -> device, for vm:attach; or nil, message, code */
static int abacus_new(lua_State *L)
{
    struct vmm_device **device = vmm_lua_new_device(L, 0);
    struct vmm_error err;

    if (abacus_create(device, &err) < 0)
        return vmm_lua_push_error(L, &err);
    return 1;
}

int luaopen_abacus(lua_State *L)
{
    static const luaL_Reg functions[] = {{"new", abacus_new}, {NULL, NULL}};

    luaL_newlib(L, functions);
    return 1;
}
