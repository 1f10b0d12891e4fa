/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Where a Lua device or tap sits: pio = {base, len} or mmio = {base, len}. */
#include <errno.h>
#include <inttypes.h>

#include "lua/handlers.h"

/* table[i] of the table on top. */
static uint64_t number_at(lua_State *L, const char *what, const char *name,
                          int i)
{
    int is_integer;

    lua_geti(L, -1, i);
    lua_Integer value = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer)
        luaL_error(L, "%s: %s must be {base, len}: two integers", what, name);
    lua_pop(L, 1);
    return (uint64_t)value;
}

/* options[name] = {base, len} into *place; false when absent. */
static bool option_range(lua_State *L, const char *what, const char *name,
                         struct place *place)
{
    int type = lua_getfield(L, 2, name);

    if (type != LUA_TNIL && type != LUA_TTABLE)
        luaL_error(L, "%s: %s must be {base, len}", what, name);
    if (type == LUA_TTABLE) {
        place->base = number_at(L, what, name, 1);
        place->len = number_at(L, what, name, 2);
    }
    lua_pop(L, 1);
    return type == LUA_TTABLE;
}

void place_check(lua_State *L, const char *what, struct place *place)
{
    place->pio = option_range(L, what, "pio", place);
    if (option_range(L, what, "mmio", place) == place->pio)
        luaL_error(L, "%s: give pio = {base, len} or mmio = {base, len}%s",
                   what, place->pio ? ", not both" : "");
}

int place_is_free(const struct vm_box *vm, const char *name,
                  const struct place *place, struct vmm_error *err)
{
    struct vmm_memory *memory = vmm_vm_memory(vmm_machine_vm(vm->machine));
    size_t count = memory ? vmm_memory_region_count(memory) : 0;

    vmm_error_clear(err);
    if (place->pio || !place->len)
        return 0;
    for (size_t i = 0; i < count; i++) {
        struct vmm_memory_region ram = vmm_memory_region(memory, i);
        /* No region wraps, but what is asked for may. */
        bool apart = place->base < ram.base
                         ? ram.base - place->base >= place->len
                         : place->base - ram.base >= ram.size_bytes;
        if (!apart)
            return vmm_error_set(err, EBUSY,
                                 "mmio: %s at 0x%" PRIx64 "-0x%" PRIx64
                                 " overlaps memory at 0x%" PRIx64 "-0x%" PRIx64,
                                 name, place->base,
                                 place->base + (place->len - 1), ram.base,
                                 ram.base + (ram.size_bytes - 1));
    }
    return 0;
}

struct vmm_bus *place_bus(const struct vm_box *vm, const struct place *place)
{
    return place->pio ? vmm_machine_pio(vm->machine)
                      : vmm_machine_mmio(vm->machine);
}
