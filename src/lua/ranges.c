/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A copy of what sits on the buses of a machine. */
#include <stdio.h>
#include <string.h>

#include "lua/ranges.h"

#define RANGES_MAX 256

struct bus_ranges {
    size_t count;
    struct {
        uint64_t base;
        uint64_t length;
        char name[48];
    } list[RANGES_MAX];
};

struct ranges {
    struct bus_ranges pio;
    struct bus_ranges mmio;
};

static void copy_range(void *context, const struct vmm_bus_range *range)
{
    struct bus_ranges *ranges = context;

    if (ranges->count == RANGES_MAX)
        return; /* those behind have no names */
    size_t i = ranges->count++;
    ranges->list[i].base = range->base;
    ranges->list[i].length = range->length;
    snprintf(ranges->list[i].name, sizeof(ranges->list[i].name), "%s",
             range->name);
}

const struct ranges *ranges_push(lua_State *L, struct vmm_machine *machine)
{
    struct ranges *ranges = lua_newuserdatauv(L, sizeof(*ranges), 0);

    ranges->pio.count = 0;
    ranges->mmio.count = 0;
    vmm_bus_each(vmm_machine_pio(machine), copy_range, &ranges->pio);
    vmm_bus_each(vmm_machine_mmio(machine), copy_range, &ranges->mmio);
    return ranges;
}

const char *ranges_name(const struct ranges *ranges, enum vmm_access_kind kind,
                        uint64_t address)
{
    const struct bus_ranges *bus =
        kind == VMM_ACCESS_PIO ? &ranges->pio : &ranges->mmio;

    if (kind != VMM_ACCESS_PIO && kind != VMM_ACCESS_MMIO)
        return NULL;
    for (size_t i = 0; i < bus->count; i++)
        if (address >= bus->list[i].base &&
            address - bus->list[i].base < bus->list[i].length)
            return bus->list[i].name;
    return NULL;
}
