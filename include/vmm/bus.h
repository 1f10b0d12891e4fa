/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* An address space of device regions: port I/O or memory-mapped I/O. */
#ifndef VMM_BUS_H
#define VMM_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/device.h>
#include <vmm/error.h>
#include <vmm/export.h>

struct vmm_bus;

/*
 * A bus over addresses [0, limit]; limit is 0xffff for ports and 2^52-1 or so
 * for memory.  name ("pio", "mmio") is for messages.
 * Look-up reads an immutable sorted array that add, remove and move swap whole
 * (RCU-like: a replaced array is freed once no access uses it), so that devices
 * come, go and move while vCPUs run.
 */
VMM_API int vmm_bus_new(const char *name, uint64_t limit, struct vmm_bus **bus,
                        struct vmm_error *err);
/* Unref every device.  No access may be under way.  bus may be NULL. */
VMM_API void vmm_bus_free(struct vmm_bus *bus);

/*
 * Place region number `region` of a device at [base, base + length).  Takes a
 * reference.  -EINVAL for zero length, more than the region has, wrap or beyond
 * the limit; -EBUSY for an
 * overlap, with both ranges and names in the text.
 */
VMM_API int vmm_bus_add(struct vmm_bus *bus, uint64_t base, uint64_t length,
                        struct vmm_device *device, size_t region,
                        struct vmm_error *err);
/* Remove the range that starts at base (-ENOENT).  Waits until no access uses
 * it, unless called from within an access by the same thread. */
VMM_API int vmm_bus_remove(struct vmm_bus *bus, uint64_t base,
                           struct vmm_error *err);
/* Have region number `region` of another device serve the range that starts at
 * base, atomically: no access finds it empty.  Waits as remove does. */
VMM_API int vmm_bus_replace(struct vmm_bus *bus, uint64_t base,
                            struct vmm_device *device, size_t region,
                            struct vmm_error *err);
/* Move the range that starts at base to new_base, atomically. */
VMM_API int vmm_bus_move(struct vmm_bus *bus, uint64_t base, uint64_t new_base,
                         struct vmm_error *err);

/*
 * One access of size 1..8 bytes.  A read pre-fills value with all-ones.
 * Accesses that straddle a range's end are split per range.
 * Return 0 when some device took (a part of) it, -ENOENT when none did.
 */
VMM_API int vmm_bus_read(struct vmm_bus *bus, uint64_t address, uint8_t *value,
                         size_t size);
VMM_API int vmm_bus_write(struct vmm_bus *bus, uint64_t address,
                          const uint8_t *value, size_t size);

/*
 * String port I/O: count accesses of size bytes at one fixed address, data
 * advancing.  Same returns.
 */
VMM_API int vmm_bus_read_string(struct vmm_bus *bus, uint64_t address,
                                uint8_t *values, size_t size, size_t count);
VMM_API int vmm_bus_write_string(struct vmm_bus *bus, uint64_t address,
                                 const uint8_t *values, size_t size,
                                 size_t count);

/*
 * A tap sees the accesses to its range, and may change them, whatever device
 * serves them, or none.  write runs before the device, read after it, without
 * a lock, several in the order in which they were added.  An access that lies
 * in the range in part is not split: a tap is given the bytes in its range
 * (offset + size <= its length; value as in vmm/device.h) and may write to
 * them.
 */
struct vmm_tap_ops {
    const char *name; /* for messages */
    /* Return true when value has been rewritten.  May be NULL. */
    bool (*read)(void *context, uint64_t offset, uint8_t *value, size_t size);
    /* Return false to swallow the whole access: neither the taps after this
     * one nor a device get it, and it counts as taken.  May be NULL. */
    bool (*write)(void *context, uint64_t offset, uint8_t *value, size_t size);
    void (*destroy)(void *context); /* it is not called any more; or NULL */
};
struct vmm_bus_tap;

/* Tap [base, base + length).  -EINVAL as vmm_bus_add.  *tap lives until it is
 * removed or the bus is freed, and is set before its first call. */
VMM_API int vmm_bus_tap_add(struct vmm_bus *bus, uint64_t base, uint64_t length,
                            const struct vmm_tap_ops *ops, void *context,
                            struct vmm_bus_tap **tap, struct vmm_error *err);
/* Once, from any thread.  Waits as vmm_bus_remove does; -ENOMEM: it is still
 * there. */
VMM_API int vmm_bus_tap_remove(struct vmm_bus *bus, struct vmm_bus_tap *tap,
                               struct vmm_error *err);

/* What sits where, for listings.  Calls fn for each range in order. */
struct vmm_bus_range {
    uint64_t base;
    uint64_t length;
    const char *name; /* the device's */
    size_t region;
};
VMM_API void vmm_bus_each(struct vmm_bus *bus,
                          void (*fn)(void *context,
                                     const struct vmm_bus_range *range),
                          void *context);

#endif
