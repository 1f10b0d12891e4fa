/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Ports that swallow what is written and read as a constant. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/devices.h>

#include "devices/device.h"

struct debug_port {
    struct vmm_device device;
    struct vmm_device_ops ops; /* of its own, for the name */
    char name[32];
    uint8_t value;
};

static struct debug_port *debug_port_of(struct vmm_device *device)
{
    return (struct debug_port *)device;
}

static void debug_port_read(struct vmm_device *device, uint64_t offset,
                            uint8_t *value, size_t size)
{
    (void)offset;
    memset(value, debug_port_of(device)->value, size);
}

static void debug_port_write(struct vmm_device *device, uint64_t offset,
                             const uint8_t *value, size_t size)
{
    (void)device;
    (void)offset;
    (void)value;
    (void)size;
}

static void debug_port_destroy(struct vmm_device *device)
{
    free(debug_port_of(device));
}

static const struct vmm_region_ops debug_port_regions[] = {
    {debug_port_read, debug_port_write, 0},
};

int vmm_debug_port_new(const char *name, uint8_t value,
                       struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct debug_port *port = calloc(1, sizeof(*port));
    if (!port)
        return vmm_error_set(err, ENOMEM, "%s: out of memory", name);
    snprintf(port->name, sizeof(port->name), "%s", name);
    port->ops.name = port->name;
    port->ops.destroy = debug_port_destroy;
    port->value = value;
    vmm_device_init(&port->device, &port->ops, debug_port_regions, 1);
    *device = &port->device;
    return 0;
}
