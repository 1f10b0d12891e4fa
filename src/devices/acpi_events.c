/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The event register behind ACPI's Generic Event Device: a power button. */
#include <errno.h>
#include <stdlib.h>

#include <vmm/devices.h>

#include "devices/device.h"

struct acpi_events {
    struct vmm_device device;
    struct vmm_irq_line irq;
    uint8_t pending;
};

static struct acpi_events *acpi_events_of(struct vmm_device *device)
{
    return (struct acpi_events *)device;
}

/* The line is edge triggered: what comes after this read raises it anew. */
static uint8_t take_pending(struct acpi_events *e)
{
    uint8_t pending = e->pending;

    e->pending = 0;
    if (pending)
        vmm_irq_set(&e->irq, false);
    return pending;
}

/* The register is one byte: of a wider access the first byte is it. */
static void acpi_events_read(struct vmm_device *device, uint64_t offset,
                             uint8_t *value, size_t size)
{
    (void)size;
    if (offset == 0)
        value[0] = take_pending(acpi_events_of(device));
}

static void acpi_events_write(struct vmm_device *device, uint64_t offset,
                              const uint8_t *value, size_t size)
{
    (void)device;
    (void)offset;
    (void)value;
    (void)size; /* read only */
}

static void acpi_events_reset(struct vmm_device *device)
{
    take_pending(acpi_events_of(device));
}

static void acpi_events_destroy(struct vmm_device *device)
{
    free(acpi_events_of(device));
}

static const struct vmm_region_ops acpi_events_regions[] = {
    {acpi_events_read, acpi_events_write, 1},
};

static const struct vmm_device_ops acpi_events_ops = {
    .name = "acpi-events",
    .reset = acpi_events_reset,
    .destroy = acpi_events_destroy,
};

int vmm_acpi_events_new(const struct vmm_irq_line *irq,
                        struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct acpi_events *e = calloc(1, sizeof(*e));
    if (!e)
        return vmm_error_set(err, ENOMEM, "acpi-events: out of memory");
    vmm_device_init(&e->device, &acpi_events_ops, acpi_events_regions, 1);
    e->irq = *irq;
    *device = &e->device;
    return 0;
}

int vmm_acpi_events_raise(struct vmm_device *device, uint8_t events)
{
    if (device->ops != &acpi_events_ops)
        return -EINVAL;
    struct acpi_events *e = acpi_events_of(device);

    vmm_device_enter(device);
    bool first = !e->pending && events;
    e->pending |= events;
    if (first)
        vmm_irq_set(&e->irq, true);
    vmm_device_leave(device);
    return 0;
}
