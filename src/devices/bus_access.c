/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The readers' side of a bus: from an access to the devices' handlers. */
#include <errno.h>
#include <string.h>

#include "vmm_features.h"

#include "devices/bus_internal.h"
#include "devices/device.h"

/* A range that cannot go away before let_go. */
struct held {
    struct vmm_bus_entry entry;
    struct vmm_bus_slot *slot; /* NULL: held by a pin */
};

struct vmm_bus_slot *vmm_bus_claim_slot(struct vmm_bus *bus)
{
    /* Thread descriptors lie whole stacks apart: multiply, take high bits. */
    uint64_t hash = (uint64_t)pthread_self() * UINT64_C(0x9e3779b97f4a7c15);
    size_t first = hash >> 32;
    for (size_t i = 0; i < VMM_BUS_SLOTS; i++) {
        struct vmm_bus_slot *slot = &bus->slots[(first + i) % VMM_BUS_SLOTS];
        uintptr_t empty = 0;
        if (atomic_compare_exchange_strong(&slot->holds, &empty,
                                           VMM_BUS_LOOKING))
            return slot;
    }
    return NULL;
}

static bool find(const struct vmm_bus_table *table, uint64_t address,
                 struct vmm_bus_entry *entry)
{
    size_t at = vmm_bus_table_seek(table, address);
    if (at == table->count || table->entries[at].base > address)
        return false;
    *entry = table->entries[at];
    return true;
}

static bool hold_by_pin(struct vmm_bus *bus, uint64_t address,
                        struct held *held)
{
    held->slot = NULL;
    pthread_mutex_lock(&bus->writers);
    bool found = find(bus->table, address, &held->entry);
    if (found)
        atomic_fetch_add(&held->entry.mapping->pins, 1);
    pthread_mutex_unlock(&bus->writers);
    return found;
}

/* Find and hold the range that address lies in; false: in none. */
static bool hold(struct vmm_bus *bus, uint64_t address, struct held *held)
{
    held->slot = vmm_bus_claim_slot(bus);
    if (!held->slot)
        return hold_by_pin(bus, address, held);
    bool found = find(bus->table, address, &held->entry);
    atomic_store_explicit(&held->slot->holds,
                          found ? (uintptr_t)held->entry.mapping : 0,
                          memory_order_release);
    return found;
}

static void let_go(const struct held *held)
{
    if (!held->slot || atomic_exchange(&held->slot->holds, 0) & VMM_BUS_MARK)
        vmm_bus_mapping_unpin(held->entry.mapping);
}

/* Of an access, exactly one of these is set. */
struct data {
    uint8_t *read;
    const uint8_t *write;
};

static void call_device(const struct vmm_bus_entry *entry, uint64_t address,
                        struct data data, size_t size)
{
    struct vmm_device *device = entry->mapping->device;
    const struct vmm_region_ops *ops = &device->regions[entry->mapping->region];
    vmm_device_enter(device);
    if (data.read)
        ops->read(device, address - entry->base, data.read, size);
    else
        ops->write(device, address - entry->base, data.write, size);
    vmm_device_leave(device);
}

/* Serve the start of an access from one range; returns the bytes it took, 0
 * if the address is in no range. */
static size_t access_part(struct vmm_bus *bus, uint64_t address,
                          struct data data, size_t size)
{
    struct held held;
    if (!hold(bus, address, &held))
        return 0;
    uint64_t beyond_first = held.entry.last - address;
    if (beyond_first < size - 1)
        size = (size_t)beyond_first + 1;
    call_device(&held.entry, address, data, size);
    let_go(&held);
    return size;
}

static int access_bus(struct vmm_bus *bus, uint64_t address, struct data data,
                      size_t size)
{
    int rc = -ENOENT;
    while (size > 0) {
        size_t taken = access_part(bus, address, data, size);
        if (taken > 0)
            rc = 0;
        else
            taken = 1; /* this byte is in no range; the next one may be */
        if (__builtin_add_overflow(address, taken, &address))
            break; /* nothing is beyond the top of the space */
        size -= taken;
        if (data.read)
            data.read += taken;
        else
            data.write += taken;
    }
    return rc;
}

/* No tap: that is all it costs. */
static bool is_tapped(struct vmm_bus *bus)
{
    return atomic_load_explicit(&bus->taps, memory_order_acquire);
}

int vmm_bus_read(struct vmm_bus *bus, uint64_t address, uint8_t *value,
                 size_t size)
{
    memset(value, 0xff, size);
    int rc = access_bus(bus, address, (struct data){.read = value}, size);
    if (VMM_FEATURE_TAP && is_tapped(bus) &&
        vmm_bus_taps_read(bus, address, value, size))
        rc = 0;
    return rc;
}

static int write_tapped(struct vmm_bus *bus, uint64_t address,
                        const uint8_t *value, size_t size)
{
    uint8_t copy[8];

    memcpy(copy, value, size);
    if (VMM_FEATURE_TAP && !vmm_bus_taps_write(bus, address, copy, size))
        return 0;
    return access_bus(bus, address, (struct data){.write = copy}, size);
}

int vmm_bus_write(struct vmm_bus *bus, uint64_t address, const uint8_t *value,
                  size_t size)
{
    if (VMM_FEATURE_TAP && is_tapped(bus))
        return write_tapped(bus, address, value, size);
    return access_bus(bus, address, (struct data){.write = value}, size);
}

int vmm_bus_read_string(struct vmm_bus *bus, uint64_t address, uint8_t *values,
                        size_t size, size_t count)
{
    int rc = -ENOENT;
    for (size_t i = 0; i < count; i++)
        if (vmm_bus_read(bus, address, values + i * size, size) == 0)
            rc = 0;
    return rc;
}

int vmm_bus_write_string(struct vmm_bus *bus, uint64_t address,
                         const uint8_t *values, size_t size, size_t count)
{
    int rc = -ENOENT;
    for (size_t i = 0; i < count; i++)
        if (vmm_bus_write(bus, address, values + i * size, size) == 0)
            rc = 0;
    return rc;
}
