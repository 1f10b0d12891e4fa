/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The writers' side of a bus: which device's region sits where. */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm_features.h"

#include "devices/bus_internal.h"
#include "devices/device.h"

void vmm_bus_mapping_unpin(struct vmm_bus_mapping *mapping)
{
    if (atomic_fetch_sub(&mapping->pins, 1) > 1)
        return;
    sem_t *unused = mapping->unused;
    vmm_device_unref(mapping->device);
    free(mapping);
    if (unused)
        sem_post(unused);
}

/* ---- life ---- */

int vmm_bus_new(const char *name, uint64_t limit, struct vmm_bus **out,
                struct vmm_error *err)
{
    vmm_error_clear(err);
    *out = NULL;
    struct vmm_bus *bus = aligned_alloc(alignof(struct vmm_bus), sizeof(*bus));
    struct vmm_bus_table *table = vmm_bus_table_new(0);
    if (!bus || !table) {
        free(bus);
        free(table);
        return vmm_error_set(err, ENOMEM, "%s bus: out of memory", name);
    }
    for (size_t i = 0; i < VMM_BUS_SLOTS; i++)
        atomic_init(&bus->slots[i].holds, 0);
    atomic_init(&bus->table, table);
    atomic_init(&bus->taps, NULL);
    bus->last_tap = 0;
    pthread_mutex_init(&bus->writers, NULL);
    bus->limit = limit;
    snprintf(bus->name, sizeof(bus->name), "%s", name);
    *out = bus;
    return 0;
}

void vmm_bus_free(struct vmm_bus *bus)
{
    if (!bus)
        return;
    struct vmm_bus_table *table = bus->table;
    for (size_t i = 0; i < table->count; i++)
        vmm_bus_mapping_unpin(table->entries[i].mapping);
    free(table);
    if (VMM_FEATURE_TAP)
        vmm_bus_taps_free(bus);
    pthread_mutex_destroy(&bus->writers);
    free(bus);
}

/* ---- checks ---- */

static const char *entry_name(const struct vmm_bus_entry *entry)
{
    return entry->mapping->device->ops->name;
}

static int out_of_memory(const struct vmm_bus *bus, struct vmm_error *err)
{
    return vmm_error_set(err, ENOMEM, "%s bus: out of memory", bus->name);
}

int vmm_bus_check_extent(const struct vmm_bus *bus, uint64_t base,
                         uint64_t length, const char *name,
                         struct vmm_error *err)
{
    if (length == 0)
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s at 0x%" PRIx64
                             " has length 0, at least 1 is needed",
                             bus->name, name, base);
    uint64_t last;
    if (__builtin_add_overflow(base, length - 1, &last))
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s at 0x%" PRIx64
                             " with length 0x%" PRIx64 " wraps around 2^64",
                             bus->name, name, base, length);
    if (last > bus->limit)
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s at 0x%" PRIx64 "-0x%" PRIx64
                             " goes beyond the last address 0x%" PRIx64,
                             bus->name, name, base, last, bus->limit);
    return 0;
}

/* Refuse an entry that overlaps one of the table's. */
static int check_free(const struct vmm_bus *bus,
                      const struct vmm_bus_table *table,
                      const struct vmm_bus_entry *entry, struct vmm_error *err)
{
    size_t at = vmm_bus_table_seek(table, entry->base);
    if (at == table->count || table->entries[at].base > entry->last)
        return 0;
    const struct vmm_bus_entry *other = &table->entries[at];
    return vmm_error_set(err, EBUSY,
                         "%s bus: %s at 0x%" PRIx64 "-0x%" PRIx64
                         " overlaps %s at 0x%" PRIx64 "-0x%" PRIx64,
                         bus->name, entry_name(entry), entry->base, entry->last,
                         entry_name(other), other->base, other->last);
}

/* ---- changes; all but the public functions run under `writers` ---- */

void vmm_bus_await_lookups(struct vmm_bus *bus)
{
    for (size_t i = 0; i < VMM_BUS_SLOTS; i++)
        while (atomic_load(&bus->slots[i].holds) == VMM_BUS_LOOKING)
            sched_yield();
}

/* Let readers see a new table; free the old one once none looks into it. */
static void publish(struct vmm_bus *bus, struct vmm_bus_table *table)
{
    struct vmm_bus_table *old = atomic_exchange(&bus->table, table);
    vmm_bus_await_lookups(bus);
    free(old);
}

/* Hand a pin to each access that is in a mapping just taken off the table. */
static void pin_for_readers(struct vmm_bus *bus,
                            struct vmm_bus_mapping *mapping)
{
    for (size_t i = 0; i < VMM_BUS_SLOTS; i++) {
        uintptr_t held = (uintptr_t)mapping;
        if (atomic_load(&bus->slots[i].holds) != held)
            continue;
        atomic_fetch_add(&mapping->pins, 1);
        if (!atomic_compare_exchange_strong(&bus->slots[i].holds, &held,
                                            held | VMM_BUS_MARK))
            atomic_fetch_sub(&mapping->pins, 1); /* it has just left */
    }
}

/* Publish `table` with the entry added.  `table` stays the caller's. */
static int insert(struct vmm_bus *bus, const struct vmm_bus_table *table,
                  const struct vmm_bus_entry *entry, struct vmm_error *err)
{
    int rc = check_free(bus, table, entry, err);
    if (rc < 0)
        return rc;
    struct vmm_bus_table *grown = vmm_bus_table_with(table, entry);
    if (!grown)
        return out_of_memory(bus, err);
    publish(bus, grown);
    return 0;
}

/* Find the entry that starts at base; *rest is a table without it. */
static int take_out(struct vmm_bus *bus, uint64_t base,
                    struct vmm_bus_entry *entry, struct vmm_bus_table **rest,
                    struct vmm_error *err)
{
    const struct vmm_bus_table *table = bus->table;
    size_t at = vmm_bus_table_find_base(table, base);
    if (at == table->count)
        return vmm_error_set(err, ENOENT,
                             "%s bus: no range starts at 0x%" PRIx64, bus->name,
                             base);
    *entry = table->entries[at];
    *rest = vmm_bus_table_without(table, at);
    return *rest ? 0 : out_of_memory(bus, err);
}

/* A mapping of a region of the device, which has `length` bytes at least. */
static int make_mapping(const struct vmm_bus *bus, struct vmm_device *device,
                        size_t region, uint64_t length,
                        struct vmm_bus_mapping **out, struct vmm_error *err)
{
    const char *name = device->ops->name;
    if (region >= device->region_count)
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s has %zu region(s), no region %zu",
                             bus->name, name, device->region_count, region);
    uint64_t whole = device->regions[region].length;
    if (whole && length > whole)
        return vmm_error_set(err, EINVAL,
                             "%s bus: region %zu of %s is 0x%" PRIx64
                             " long, not 0x%" PRIx64,
                             bus->name, region, name, whole, length);
    struct vmm_bus_mapping *mapping = malloc(sizeof(*mapping));
    if (!mapping)
        return out_of_memory(bus, err);
    mapping->device = vmm_device_ref(device);
    mapping->region = region;
    mapping->unused = NULL;
    atomic_init(&mapping->pins, 1);
    *out = mapping;
    return 0;
}

int vmm_bus_add(struct vmm_bus *bus, uint64_t base, uint64_t length,
                struct vmm_device *device, size_t region, struct vmm_error *err)
{
    vmm_error_clear(err);
    struct vmm_bus_mapping *mapping;
    int rc = make_mapping(bus, device, region, length, &mapping, err);
    if (rc < 0)
        return rc;
    rc = vmm_bus_check_extent(bus, base, length, device->ops->name, err);
    if (rc == 0) {
        struct vmm_bus_entry entry = {base, base + (length - 1), mapping};
        pthread_mutex_lock(&bus->writers);
        rc = insert(bus, bus->table, &entry, err);
        pthread_mutex_unlock(&bus->writers);
    }
    if (rc < 0)
        vmm_bus_mapping_unpin(mapping);
    return rc;
}

/* Drop the bus's own pin and wait until the accesses' are dropped as well. */
static void unpin_and_wait(struct vmm_bus_mapping *mapping)
{
    sem_t unused;
    sem_init(&unused, 0, 0);
    mapping->unused = &unused;
    vmm_bus_mapping_unpin(mapping);
    while (sem_wait(&unused) < 0 && errno == EINTR)
        continue;
    sem_destroy(&unused);
}

/* What is off the table is freed once no access uses it. */
static void retire(struct vmm_bus_mapping *mapping)
{
    if (vmm_device_entered())
        vmm_bus_mapping_unpin(mapping);
    else
        unpin_and_wait(mapping);
}

int vmm_bus_remove(struct vmm_bus *bus, uint64_t base, struct vmm_error *err)
{
    vmm_error_clear(err);
    struct vmm_bus_entry entry;
    struct vmm_bus_table *rest;
    pthread_mutex_lock(&bus->writers);
    int rc = take_out(bus, base, &entry, &rest, err);
    if (rc == 0) {
        publish(bus, rest);
        pin_for_readers(bus, entry.mapping);
    }
    pthread_mutex_unlock(&bus->writers);
    if (rc == 0)
        retire(entry.mapping);
    return rc;
}

/* Publish a table in which another device serves the entry at base, which
 * becomes *old.  Under `writers`. */
static int exchange(struct vmm_bus *bus, uint64_t base,
                    struct vmm_device *device, size_t region,
                    struct vmm_bus_entry *old, struct vmm_error *err)
{
    struct vmm_bus_table *rest;
    int rc = take_out(bus, base, old, &rest, err);
    if (rc < 0)
        return rc;
    struct vmm_bus_entry entry = *old;
    rc = make_mapping(bus, device, region, old->last - base + 1, &entry.mapping,
                      err);
    if (rc == 0) {
        rc = insert(bus, rest, &entry, err);
        if (rc < 0)
            vmm_bus_mapping_unpin(entry.mapping);
        else
            pin_for_readers(bus, old->mapping);
    }
    free(rest);
    return rc;
}

int vmm_bus_replace(struct vmm_bus *bus, uint64_t base,
                    struct vmm_device *device, size_t region,
                    struct vmm_error *err)
{
    vmm_error_clear(err);
    struct vmm_bus_entry old;
    pthread_mutex_lock(&bus->writers);
    int rc = exchange(bus, base, device, region, &old, err);
    pthread_mutex_unlock(&bus->writers);
    if (rc == 0)
        retire(old.mapping);
    return rc;
}

int vmm_bus_move(struct vmm_bus *bus, uint64_t base, uint64_t new_base,
                 struct vmm_error *err)
{
    vmm_error_clear(err);
    struct vmm_bus_entry entry;
    struct vmm_bus_table *rest;
    pthread_mutex_lock(&bus->writers);
    int rc = take_out(bus, base, &entry, &rest, err);
    if (rc == 0) {
        uint64_t length = entry.last - entry.base + 1;
        rc = vmm_bus_check_extent(bus, new_base, length, entry_name(&entry),
                                  err);
        entry.base = new_base;
        entry.last = new_base + (length - 1);
        if (rc == 0)
            rc = insert(bus, rest, &entry, err);
        free(rest);
    }
    pthread_mutex_unlock(&bus->writers);
    return rc;
}

void vmm_bus_each(struct vmm_bus *bus,
                  void (*fn)(void *context, const struct vmm_bus_range *range),
                  void *context)
{
    pthread_mutex_lock(&bus->writers);
    const struct vmm_bus_table *table = bus->table;
    for (size_t i = 0; i < table->count; i++) {
        const struct vmm_bus_entry *entry = &table->entries[i];
        struct vmm_bus_range range = {
            .base = entry->base,
            .length = entry->last - entry->base + 1,
            .name = entry_name(entry),
            .region = entry->mapping->region,
        };
        fn(context, &range);
    }
    pthread_mutex_unlock(&bus->writers);
}
