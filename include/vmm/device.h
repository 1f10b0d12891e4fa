/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What every device model looks like from outside: regions, reset, destroy. */
#ifndef VMM_DEVICE_H
#define VMM_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/export.h>

struct vmm_device;

/*
 * Register access.  offset is relative to the region's start and
 * offset + size <= the region's length; size is 1..8 bytes.  value holds size
 * bytes, little endian.  A read finds value pre-filled with all-ones.
 * They return nothing: a guest gets no errno.  The bus holds the device's lock.
 */
struct vmm_region_ops {
    void (*read)(struct vmm_device *device, uint64_t offset, uint8_t *value,
                 size_t size);
    void (*write)(struct vmm_device *device, uint64_t offset,
                  const uint8_t *value, size_t size);
    uint64_t length; /* bytes or ports it has; 0: as many as it is given */
};

/*
 * Embedded as the first member of a device model.  A device does not know
 * where it sits, nor KVM, nor the VM: it is handed just what it needs.
 */
struct vmm_device_ops {
    const char *name; /* "serial", "i8042", ... */
    void (*reset)(
        struct vmm_device *device); /* to power-on state; may be NULL */
    void (*destroy)(struct vmm_device *device); /* frees the model itself */
};

struct vmm_device {
    const struct vmm_device_ops *ops;
    const struct vmm_region_ops *regions; /* indexed by region number */
    size_t region_count;
    pthread_mutex_t lock; /* taken by the bus around every access */
    bool unlocked;        /* the bus takes no lock: for handlers in scripts */
    unsigned references;  /* atomic; use vmm_device_ref/unref */
};

/* Prepare the embedded part; the device starts with one reference. */
VMM_API void vmm_device_init(struct vmm_device *device,
                             const struct vmm_device_ops *ops,
                             const struct vmm_region_ops *regions,
                             size_t region_count);
VMM_API struct vmm_device *vmm_device_ref(struct vmm_device *device);
/* Drop a reference; the last one calls ops->destroy.  May be NULL. */
VMM_API void vmm_device_unref(struct vmm_device *device);
/* Back to power-on state, under the device's lock. */
VMM_API void vmm_device_reset(struct vmm_device *device);

/*
 * An interrupt line as a device sees it.  set may be called from any thread,
 * with the device's lock held; it must not call back into the device.
 */
struct vmm_irq_line {
    void (*set)(void *context, bool level);
    void *context;
};

/* Drive a line; a line without set is not connected. */
static inline void vmm_irq_set(const struct vmm_irq_line *line, bool level)
{
    if (line->set)
        line->set(line->context, level);
}

#endif
