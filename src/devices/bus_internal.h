/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Inside a bus: its array of ranges, and what readers and writers share. */
#ifndef DEVICES_BUS_INTERNAL_H
#define DEVICES_BUS_INTERNAL_H

#include <semaphore.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <vmm/bus.h>

/*
 * How devices come, go and move while vCPUs access them
 *
 * A reader (an access) claims a slot, a cache line that no other access uses
 * meanwhile, and marks it "looking".  It finds its range in the table, leaves
 * the range in the slot, runs the device's handler, and frees the slot.  That
 * is two atomic read-modify-write operations on a line of its own.
 *
 * A writer, one at a time, publishes a new table and waits until no slot is
 * looking any more.  That takes nanoseconds, as a look-up runs no foreign
 * code; and as all of this is sequentially consistent, a look-up that starts
 * later sees the new table.  So the old table can be freed.
 *
 * A range that has been removed may still be in slots.  The remover takes a
 * pin for each of them and marks the slot; the reader that finds its slot
 * marked as it leaves drops that pin.  Whoever drops the last pin frees the
 * range and its reference to the device: a handler can remove its own device.
 *
 * If all slots are taken (accesses nest, or too many vCPUs are inside slow
 * handlers), a reader takes a pin itself, under the writers' lock.
 *
 * Taps lie in a table of their own, NULL while there are none, that is swapped
 * in the same way.  An access that finds it set takes a pin of each tap that
 * it meets, one after the other, while it is marked as looking.
 *
 * Lock order: a device's lock comes before `writers`; under `writers` no
 * device is called.
 */
struct vmm_bus_mapping {
    struct vmm_device *device;
    size_t region;
    atomic_uint pins; /* one is the bus's own until removal */
    sem_t *unused;    /* a remover waits here for the last pin to go */
};

struct vmm_bus_entry {
    uint64_t base;
    uint64_t last; /* inclusive: a range may end at the top of the space */
    struct vmm_bus_mapping *mapping;
};

/* Sorted by base, without overlap; never changed once readers can see it. */
struct vmm_bus_table {
    size_t count;
    struct vmm_bus_entry entries[];
};

struct vmm_bus_tap {
    uint64_t number; /* ascends in the order of adding */
    uint64_t base;
    uint64_t last;
    const struct vmm_tap_ops *ops;
    void *context;
    atomic_uint pins; /* as a mapping's */
    sem_t *unused;
};

/* In the order of adding; never changed once readers can see it. */
struct vmm_bus_taps {
    size_t count;
    struct vmm_bus_tap *entries[];
};

#define VMM_BUS_SLOTS      64
#define VMM_BUS_CACHE_LINE 64

/* What a slot holds: 0, VMM_BUS_LOOKING, or a range, marked or not. */
#define VMM_BUS_MARK    ((uintptr_t)1)
#define VMM_BUS_LOOKING ((uintptr_t)2)

struct vmm_bus_slot {
    alignas(VMM_BUS_CACHE_LINE) atomic_uintptr_t holds;
};

struct vmm_bus {
    struct vmm_bus_slot slots[VMM_BUS_SLOTS];
    struct vmm_bus_table *_Atomic table;
    struct vmm_bus_taps *_Atomic taps; /* NULL: none */
    uint64_t last_tap;                 /* its number */
    pthread_mutex_t writers;
    uint64_t limit;
    char name[16];
};

/* ---- the table ---- */

/* Uninitialized entries; freed by free().  NULL: out of memory. */
struct vmm_bus_table *vmm_bus_table_new(size_t count);

/* Index of the first entry that ends at or after address; count if none. */
size_t vmm_bus_table_seek(const struct vmm_bus_table *table, uint64_t address);

/* The entry that starts at base; count if none. */
size_t vmm_bus_table_find_base(const struct vmm_bus_table *table,
                               uint64_t base);

/* A copy with an entry more, which overlaps none.  NULL: out of memory. */
struct vmm_bus_table *vmm_bus_table_with(const struct vmm_bus_table *old,
                                         const struct vmm_bus_entry *entry);

/* A copy without entry number `at`.  NULL: out of memory. */
struct vmm_bus_table *vmm_bus_table_without(const struct vmm_bus_table *old,
                                            size_t at);

/* ---- ranges ---- */

/* Drop a pin. */
void vmm_bus_mapping_unpin(struct vmm_bus_mapping *range);

/* Refuse a range that is empty, wraps, or leaves the bus. */
int vmm_bus_check_extent(const struct vmm_bus *bus, uint64_t base,
                         uint64_t length, const char *name,
                         struct vmm_error *err);

/* ---- readers and writers ---- */

/* Claim a free slot as looking; NULL: none is free. */
struct vmm_bus_slot *vmm_bus_claim_slot(struct vmm_bus *bus);

/* Wait until no look-up can see what has just been taken away. */
void vmm_bus_await_lookups(struct vmm_bus *bus);

/* ---- taps ---- */

/* Call the taps that see a part of the access.  _read: true when one has
 * rewritten it; _write: false when one has swallowed it. */
bool vmm_bus_taps_read(struct vmm_bus *bus, uint64_t address, uint8_t *value,
                       size_t size);
bool vmm_bus_taps_write(struct vmm_bus *bus, uint64_t address, uint8_t *value,
                        size_t size);

/* Drop a pin. */
void vmm_bus_tap_unpin(struct vmm_bus_tap *tap);
/* Drop all taps, with the bus. */
void vmm_bus_taps_free(struct vmm_bus *bus);

#endif
