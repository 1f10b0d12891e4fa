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

/* [base, base + len) and a region of memory; no region wraps, but what is asked
 * for may. */
static bool is_apart(uint64_t base, uint64_t len,
                     const struct vmm_memory_region *ram)
{
    return base < ram->base ? ram->base - base >= len
                            : base - ram->base >= ram->size_bytes;
}

/* -EBUSY where memory lies. */
static int check_memory_at(struct vmm_memory *memory, const char *name,
                           uint64_t base, uint64_t len, struct vmm_error *err)
{
    size_t count = memory ? vmm_memory_region_count(memory) : 0;

    for (size_t i = 0; i < count; i++) {
        struct vmm_memory_region ram = vmm_memory_region(memory, i);
        if (!is_apart(base, len, &ram))
            return vmm_error_set(err, EBUSY,
                                 "mmio: %s at 0x%" PRIx64 "-0x%" PRIx64
                                 " overlaps memory at 0x%" PRIx64 "-0x%" PRIx64,
                                 name, base, base + (len - 1), ram.base,
                                 ram.base + (ram.size_bytes - 1));
    }
    return 0;
}

int place_is_free(const struct vm_box *vm, const char *name,
                  const struct place *place, struct vmm_error *err)
{
    vmm_error_clear(err);
    if (place->pio || !place->len)
        return 0;
    return check_memory_at(vmm_vm_memory(vmm_machine_vm(vm->machine)), name,
                           place->base, place->len, err);
}

struct check {
    struct vmm_memory *memory;
    struct vmm_error *err;
    int rc;
};

static void check_range(void *context, const struct vmm_bus_range *range)
{
    struct check *check = context;

    if (!check->rc)
        check->rc = check_memory_at(check->memory, range->name, range->base,
                                    range->length, check->err);
}

int place_memory(const struct vm_box *vm, struct vmm_memory *memory,
                 struct vmm_error *err)
{
    struct check check = {.memory = memory, .err = err};

    vmm_error_clear(err);
    vmm_bus_each(vmm_machine_mmio(vm->machine), check_range, &check);
    return check.rc;
}

struct vmm_bus *place_bus(const struct vm_box *vm, const struct place *place)
{
    return place->pio ? vmm_machine_pio(vm->machine)
                      : vmm_machine_mmio(vm->machine);
}
