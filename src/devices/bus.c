/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The bus: from an address to the device region that sits there. */
#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/bus.h>

#include "devices/device.h"

/*
 * Readers and writers
 *
 * An access takes three steps: look the address up and pin the range found,
 * run the device's handler, unpin.  Only the first step, some nanoseconds that
 * run no foreign code, is protected against changes of the array.  Handlers run
 * outside of it, so a handler may itself add, remove and move ranges.
 *
 * The protection is a "big reader" lock: one read-write lock per stripe, each
 * on its own cache line.  A reader takes the one stripe its thread hashes to,
 * so vCPUs do not share a line for a look-up; a writer takes all of them, just
 * to swap one pointer.  Once it has, no reader can be in the old array, and
 * the writer frees it.
 *
 * Writers are serialized by `writers`.  Lock order: writers, stripes; neither
 * is held while a device is called, so a device's lock comes before both.
 *
 * A pin is a reference to the range.  The range holds one to its device, and
 * is freed by whoever drops the last pin: the remover, or the last access.
 */
#define STRIPES    16
#define CACHE_LINE 64

struct range {
    struct vmm_device *device;
    size_t region;
    unsigned pins; /* atomic; one is the bus's own until removal */
    sem_t *unused; /* a remover waits here for the last pin to go */
};

struct entry {
    uint64_t base;
    uint64_t last; /* inclusive: a range may end at the top of the space */
    struct range *range;
};

/* Sorted by base, without overlap; never changed once readers can see it. */
struct table {
    size_t count;
    struct entry entries[];
};

struct stripe {
    alignas(CACHE_LINE) pthread_rwlock_t lock;
};

struct vmm_bus {
    struct stripe stripes[STRIPES];
    struct table *table; /* written with all stripes locked */
    pthread_mutex_t writers;
    uint64_t limit;
    char name[16];
};

/* ---- ranges and tables ---- */

static void range_unpin(struct range *range)
{
    if (__atomic_sub_fetch(&range->pins, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    sem_t *unused = range->unused;
    vmm_device_unref(range->device);
    free(range);
    if (unused)
        sem_post(unused);
}

static struct table *table_new(size_t count)
{
    struct table *table =
        malloc(sizeof(*table) + count * sizeof(table->entries[0]));
    if (table)
        table->count = count;
    return table;
}

/* Index of the first entry that ends at or after address; count if none. */
static size_t table_seek(const struct table *table, uint64_t address)
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

/* The entry that starts at base; count if none. */
static size_t table_find_base(const struct table *table, uint64_t base)
{
    size_t at = table_seek(table, base);
    if (at < table->count && table->entries[at].base != base)
        return table->count;
    return at;
}

/* A copy with an entry more; NULL: out of memory. */
static struct table *table_with(const struct table *old,
                                const struct entry *entry)
{
    struct table *table = table_new(old->count + 1);
    if (!table)
        return NULL;
    size_t at = table_seek(old, entry->base);
    memcpy(table->entries, old->entries, at * sizeof(*entry));
    table->entries[at] = *entry;
    memcpy(&table->entries[at + 1], &old->entries[at],
           (old->count - at) * sizeof(*entry));
    return table;
}

/* A copy without entry number `at`; NULL: out of memory. */
static struct table *table_without(const struct table *old, size_t at)
{
    struct table *table = table_new(old->count - 1);
    if (!table)
        return NULL;
    memcpy(table->entries, old->entries, at * sizeof(old->entries[0]));
    memcpy(&table->entries[at], &old->entries[at + 1],
           (old->count - at - 1) * sizeof(old->entries[0]));
    return table;
}

/* ---- the big reader lock ---- */

static pthread_rwlock_t *own_stripe(struct vmm_bus *bus)
{
    /* Thread descriptors lie whole stacks apart: multiply, take high bits. */
    uint64_t hash = (uint64_t)pthread_self() * UINT64_C(0x9e3779b97f4a7c15);
    return &bus->stripes[hash >> 60].lock;
}
_Static_assert(STRIPES == 1 << (64 - 60), "own_stripe takes four bits");

/* Show readers a new table and free the old one.  Called by writers. */
static void publish(struct vmm_bus *bus, struct table *table)
{
    struct table *old = bus->table;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_rwlock_wrlock(&bus->stripes[i].lock);
    bus->table = table;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_rwlock_unlock(&bus->stripes[i].lock);
    free(old);
}

/*
 * Find what is at address.  Fills *entry and pins its range when the range
 * holds the address; returns false otherwise.  *next, the first address after
 * it that may be answered otherwise, is for accesses that straddle.
 */
static bool look_up(struct vmm_bus *bus, uint64_t address, struct entry *entry)
{
    pthread_rwlock_t *lock = own_stripe(bus);
    pthread_rwlock_rdlock(lock);
    const struct table *table = bus->table;
    size_t at = table_seek(table, address);
    bool found = at < table->count && table->entries[at].base <= address;
    if (found) {
        *entry = table->entries[at];
        __atomic_add_fetch(&entry->range->pins, 1, __ATOMIC_RELAXED);
    }
    pthread_rwlock_unlock(lock);
    return found;
}

/* ---- life ---- */

int vmm_bus_new(const char *name, uint64_t limit, struct vmm_bus **out,
                struct vmm_error *err)
{
    vmm_error_clear(err);
    *out = NULL;
    struct vmm_bus *bus = aligned_alloc(CACHE_LINE, sizeof(*bus));
    struct table *table = table_new(0);
    if (!bus || !table) {
        free(bus);
        free(table);
        return vmm_error_set(err, ENOMEM, "%s bus: out of memory", name);
    }
    for (size_t i = 0; i < STRIPES; i++)
        pthread_rwlock_init(&bus->stripes[i].lock, NULL);
    pthread_mutex_init(&bus->writers, NULL);
    bus->table = table;
    bus->limit = limit;
    strncpy(bus->name, name, sizeof(bus->name) - 1);
    bus->name[sizeof(bus->name) - 1] = '\0';
    *out = bus;
    return 0;
}

void vmm_bus_free(struct vmm_bus *bus)
{
    if (!bus)
        return;
    for (size_t i = 0; i < bus->table->count; i++)
        range_unpin(bus->table->entries[i].range);
    free(bus->table);
    for (size_t i = 0; i < STRIPES; i++)
        pthread_rwlock_destroy(&bus->stripes[i].lock);
    pthread_mutex_destroy(&bus->writers);
    free(bus);
}

/* ---- changes ---- */

static const char *range_name(const struct range *range)
{
    return range->device->ops->name;
}

static int check_extent(const struct vmm_bus *bus, uint64_t base,
                        uint64_t length, const char *name,
                        struct vmm_error *err)
{
    if (length == 0)
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s at 0x%" PRIx64
                             ": length 0, at least 1 is needed",
                             bus->name, name, base);
    uint64_t last;
    if (__builtin_add_overflow(base, length - 1, &last))
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s at 0x%" PRIx64 ": length 0x%" PRIx64
                             " wraps around the end of the address space",
                             bus->name, name, base, length);
    if (last > bus->limit)
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s at 0x%" PRIx64 "-0x%" PRIx64
                             " ends beyond the last address 0x%" PRIx64,
                             bus->name, name, base, last, bus->limit);
    return 0;
}

/* Refuse an entry that overlaps one of the table's. */
static int check_free(const struct vmm_bus *bus, const struct table *table,
                      const struct entry *entry, struct vmm_error *err)
{
    size_t at = table_seek(table, entry->base);
    if (at == table->count || table->entries[at].base > entry->last)
        return 0;
    const struct entry *other = &table->entries[at];
    return vmm_error_set(err, EBUSY,
                         "%s bus: %s at 0x%" PRIx64 "-0x%" PRIx64
                         " overlaps %s at 0x%" PRIx64 "-0x%" PRIx64,
                         bus->name, range_name(entry->range), entry->base,
                         entry->last, range_name(other->range), other->base,
                         other->last);
}

/* Add the entry to `table` and publish the result.  Called by writers. */
static int insert(struct vmm_bus *bus, const struct table *table,
                  const struct entry *entry, struct vmm_error *err)
{
    int rc = check_free(bus, table, entry, err);
    if (rc < 0)
        return rc;
    struct table *grown = table_with(table, entry);
    if (!grown)
        return vmm_error_set(err, ENOMEM, "%s bus: out of memory", bus->name);
    publish(bus, grown);
    return 0;
}

int vmm_bus_add(struct vmm_bus *bus, uint64_t base, uint64_t length,
                struct vmm_device *device, size_t region, struct vmm_error *err)
{
    vmm_error_clear(err);
    const char *name = device->ops->name;
    if (region >= device->region_count)
        return vmm_error_set(err, EINVAL,
                             "%s bus: %s has no region %zu, it has %zu",
                             bus->name, name, region, device->region_count);
    int rc = check_extent(bus, base, length, name, err);
    if (rc < 0)
        return rc;
    struct range *range = malloc(sizeof(*range));
    if (!range)
        return vmm_error_set(err, ENOMEM, "%s bus: out of memory", bus->name);
    *range = (struct range){
        .device = vmm_device_ref(device), .region = region, .pins = 1};
    struct entry entry = {base, base + (length - 1), range};

    pthread_mutex_lock(&bus->writers);
    rc = insert(bus, bus->table, &entry, err);
    pthread_mutex_unlock(&bus->writers);
    if (rc < 0)
        range_unpin(range);
    return rc;
}

/* Take the entry that starts at base out of the table; writers is held. */
static int take_out(struct vmm_bus *bus, uint64_t base, struct entry *entry,
                    struct table **rest, struct vmm_error *err)
{
    size_t at = table_find_base(bus->table, base);
    if (at == bus->table->count)
        return vmm_error_set(err, ENOENT,
                             "%s bus: no range starts at 0x%" PRIx64, bus->name,
                             base);
    *entry = bus->table->entries[at];
    *rest = table_without(bus->table, at);
    if (!*rest)
        return vmm_error_set(err, ENOMEM, "%s bus: out of memory", bus->name);
    return 0;
}

int vmm_bus_remove(struct vmm_bus *bus, uint64_t base, struct vmm_error *err)
{
    vmm_error_clear(err);
    struct entry entry;
    struct table *rest;
    pthread_mutex_lock(&bus->writers);
    int rc = take_out(bus, base, &entry, &rest, err);
    if (rc == 0)
        publish(bus, rest);
    pthread_mutex_unlock(&bus->writers);
    if (rc < 0)
        return rc;

    if (vmm_device_entered()) {
        range_unpin(entry.range);
        return 0;
    }
    sem_t unused;
    sem_init(&unused, 0, 0);
    entry.range->unused = &unused;
    range_unpin(entry.range);
    while (sem_wait(&unused) < 0 && errno == EINTR)
        continue;
    sem_destroy(&unused);
    return 0;
}

int vmm_bus_move(struct vmm_bus *bus, uint64_t base, uint64_t new_base,
                 struct vmm_error *err)
{
    vmm_error_clear(err);
    struct entry entry;
    struct table *rest;
    pthread_mutex_lock(&bus->writers);
    int rc = take_out(bus, base, &entry, &rest, err);
    if (rc == 0) {
        uint64_t length = entry.last - entry.base + 1;
        rc = check_extent(bus, new_base, length, range_name(entry.range), err);
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
    for (size_t i = 0; i < bus->table->count; i++) {
        const struct entry *entry = &bus->table->entries[i];
        struct vmm_bus_range range = {
            .base = entry->base,
            .length = entry->last - entry->base + 1,
            .name = range_name(entry->range),
            .region = entry->range->region,
        };
        fn(context, &range);
    }
    pthread_mutex_unlock(&bus->writers);
}

/* ---- accesses ---- */

/* Exactly one of these is set. */
struct data {
    uint8_t *read;
    const uint8_t *write;
};

/* Let the pinned range do its part of an access, and unpin it. */
static void run(const struct entry *entry, uint64_t address, struct data data,
                size_t size)
{
    struct vmm_device *device = entry->range->device;
    const struct vmm_region_ops *ops = &device->regions[entry->range->region];
    vmm_device_enter(device);
    if (data.read)
        ops->read(device, address - entry->base, data.read, size);
    else
        ops->write(device, address - entry->base, data.write, size);
    vmm_device_leave(device);
    range_unpin(entry->range);
}

/* Bytes of [address, address + size) up to the range's end. */
static size_t part_size(const struct entry *entry, uint64_t address,
                        size_t size)
{
    uint64_t room = entry->last - address; /* one less than fits */
    return room < size - 1 ? (size_t)room + 1 : size;
}

static int access_bus(struct vmm_bus *bus, uint64_t address, struct data data,
                      size_t size)
{
    int rc = -ENOENT;
    for (size_t done = 0; done < size;) {
        uint64_t at;
        if (__builtin_add_overflow(address, done, &at))
            break; /* beyond the top of the space there is nothing */
        struct data part = {data.read ? data.read + done : NULL,
                            data.write ? data.write + done : NULL};
        struct entry entry;
        size_t taken = 1; /* a byte in no range */
        if (look_up(bus, at, &entry)) {
            taken = part_size(&entry, at, size - done);
            run(&entry, at, part, taken);
            rc = 0;
        }
        done += taken;
    }
    return rc;
}

int vmm_bus_read(struct vmm_bus *bus, uint64_t address, uint8_t *value,
                 size_t size)
{
    memset(value, 0xff, size);
    return access_bus(bus, address, (struct data){.read = value}, size);
}

int vmm_bus_write(struct vmm_bus *bus, uint64_t address, const uint8_t *value,
                  size_t size)
{
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
