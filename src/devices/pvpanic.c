/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The port by which a guest says that it has panicked. */
#include <errno.h>
#include <stdlib.h>

#include <vmm/devices.h>

#include "devices/device.h"

/* QEMU's docs/specs/pvpanic: one byte; a read tells which events there are. */
enum {
    PANICKED = 1 << 0,
    CRASH_LOADED = 1 << 1, /* a crash kernel takes over */
};

struct pvpanic {
    struct vmm_device device;
    struct vmm_pvpanic_config config;
};

static struct pvpanic *pvpanic_of(struct vmm_device *device)
{
    return (struct pvpanic *)device;
}

/* The port is one byte wide: of a wider access the first byte counts. */
static void pvpanic_read(struct vmm_device *device, uint64_t offset,
                         uint8_t *value, size_t size)
{
    (void)device;
    (void)size;
    if (offset == 0)
        value[0] = PANICKED | CRASH_LOADED;
}

/* A panic is the end, so that it hides the other event; bits that no event
 * has do nothing. */
static void pvpanic_write(struct vmm_device *device, uint64_t offset,
                          const uint8_t *value, size_t size)
{
    const struct vmm_pvpanic_config *config = &pvpanic_of(device)->config;

    (void)size;
    if (offset != 0)
        return;
    if (value[0] & PANICKED) {
        if (config->panicked)
            config->panicked(config->context);
    } else if (value[0] & CRASH_LOADED) {
        if (config->crash_loaded)
            config->crash_loaded(config->context);
    }
}

static void pvpanic_destroy(struct vmm_device *device)
{
    free(pvpanic_of(device));
}

static const struct vmm_region_ops pvpanic_regions[] = {
    {pvpanic_read, pvpanic_write, 1},
};

static const struct vmm_device_ops pvpanic_ops = {
    .name = "pvpanic",
    .destroy = pvpanic_destroy,
};

int vmm_pvpanic_new(const struct vmm_pvpanic_config *config,
                    struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct pvpanic *p = calloc(1, sizeof(*p));
    if (!p)
        return vmm_error_set(err, ENOMEM, "pvpanic: out of memory");
    vmm_device_init(&p->device, &pvpanic_ops, pvpanic_regions, 1);
    p->config = *config;
    *device = &p->device;
    return 0;
}
