/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The sorted array behind a bus: searched often, copied to be changed. */
#include <stdlib.h>
#include <string.h>

#include "devices/bus_internal.h"

struct vmm_bus_table *vmm_bus_table_new(size_t count)
{
    struct vmm_bus_table *table =
        malloc(sizeof(*table) + count * sizeof(table->entries[0]));
    if (table)
        table->count = count;
    return table;
}

size_t vmm_bus_table_seek(const struct vmm_bus_table *table, uint64_t address)
{
    size_t low = 0;
    size_t high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table->entries[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t vmm_bus_table_find_base(const struct vmm_bus_table *table, uint64_t base)
{
    size_t at = vmm_bus_table_seek(table, base);
    if (at < table->count && table->entries[at].base != base)
        return table->count;
    return at;
}

struct vmm_bus_table *vmm_bus_table_with(const struct vmm_bus_table *old,
                                         const struct vmm_bus_entry *entry)
{
    struct vmm_bus_table *table = vmm_bus_table_new(old->count + 1);
    if (!table)
        return NULL;
    size_t at = vmm_bus_table_seek(old, entry->base);
    memcpy(table->entries, old->entries, at * sizeof(*entry));
    table->entries[at] = *entry;
    memcpy(&table->entries[at + 1], &old->entries[at],
           (old->count - at) * sizeof(*entry));
    return table;
}

struct vmm_bus_table *vmm_bus_table_without(const struct vmm_bus_table *old,
                                            size_t at)
{
    struct vmm_bus_table *table = vmm_bus_table_new(old->count - 1);
    if (!table)
        return NULL;
    memcpy(table->entries, old->entries, at * sizeof(old->entries[0]));
    memcpy(&table->entries[at], &old->entries[at + 1],
           (old->count - at - 1) * sizeof(old->entries[0]));
    return table;
}
