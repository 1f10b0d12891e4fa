/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Inside src/devices: entering a device, and knowing that one has done so. */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include <stdbool.h>

#include <vmm/device.h>

/*
 * Begin and end a call of one of the device's own functions: takes its lock
 * unless it is unlocked.  Calls of different devices nest.
 */
void vmm_device_enter(struct vmm_device *device);
void vmm_device_leave(struct vmm_device *device);

/* The same around a tap's handler, which has no lock. */
void vmm_handler_enter(void);
void vmm_handler_leave(void);

/*
 * Whether the calling thread is inside any device or tap of any VM.  Such a
 * thread must not wait for other threads to leave a device: they may be waiting
 * for a lock that it holds.
 */
bool vmm_device_entered(void);

#endif
