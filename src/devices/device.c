/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What all device models share: references, reset, and the lock. */
#include "devices/device.h"

/*
 * How many devices and taps this thread is inside of.  It describes the thread,
 * as errno does, and no VM: two VMs in one process do not meet here.
 */
static _Thread_local unsigned entered;

void vmm_device_init(struct vmm_device *device,
                     const struct vmm_device_ops *ops,
                     const struct vmm_region_ops *regions, size_t region_count)
{
    device->ops = ops;
    device->regions = regions;
    device->region_count = region_count;
    pthread_mutex_init(&device->lock, NULL);
    device->unlocked = false;
    device->references = 1;
}

struct vmm_device *vmm_device_ref(struct vmm_device *device)
{
    __atomic_add_fetch(&device->references, 1, __ATOMIC_RELAXED);
    return device;
}

void vmm_device_unref(struct vmm_device *device)
{
    if (!device ||
        __atomic_sub_fetch(&device->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_destroy(&device->lock);
    device->ops->destroy(device);
}

void vmm_device_reset(struct vmm_device *device)
{
    if (!device->ops->reset)
        return;
    vmm_device_enter(device);
    device->ops->reset(device);
    vmm_device_leave(device);
}

void vmm_device_enter(struct vmm_device *device)
{
    entered++;
    if (!device->unlocked)
        pthread_mutex_lock(&device->lock);
}

void vmm_device_leave(struct vmm_device *device)
{
    if (!device->unlocked)
        pthread_mutex_unlock(&device->lock);
    entered--;
}

void vmm_handler_enter(void)
{
    entered++;
}

void vmm_handler_leave(void)
{
    entered--;
}

bool vmm_device_entered(void)
{
    return entered > 0;
}
