/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio-pci transport's two parts: a PCI function, and its registers. */
#ifndef VMM_VIRTIO_PCI_INTERNAL_H
#define VMM_VIRTIO_PCI_INTERNAL_H

#include <stdatomic.h>

#include <vmm/pci.h>

#include "virtio/device.h"

/*
 *   0x0000 common configuration | 0x1000 ISR | 0x2000 device configuration
 *   0x3000 notifications, 4 bytes a queue | 0x4000 MSI-X table
 *   0x5000 pending bits | up to 0x8000 nothing
 */
#define AREA_BYTES        0x1000
#define AREA_COMMON       0x0000
#define AREA_ISR          0x1000
#define AREA_DEVICE       0x2000
#define AREA_NOTIFY       0x3000
#define AREA_TABLE        0x4000
#define AREA_PENDING      0x5000
#define NOTIFY_MULTIPLIER 4
#define COMMON_BYTES      0x3c

struct virtio_pci {
    struct vmm_pci_function function;
    struct vmm_virtio *virtio;
    unsigned access; /* offset of the capability that accesses the BAR */
    void (*doorbell)(void *context, uint64_t address, int event_fd, bool on);
    void *doorbell_context;

    /* Written under the device's lock, read by whoever interrupts. */
    _Atomic uint16_t config_vector;
    _Atomic uint16_t queue_vectors[VMM_VIRTIO_QUEUES_MAX];
    /* Under the device's lock: */
    uint32_t offered_select, accepted_select;
    uint16_t queue_select;

    pthread_mutex_t isr_lock; /* guards the ISR and the line that it drives */
    uint8_t isr;
};

/* The regions of its device: BAR 0. */
extern const struct vmm_region_ops virtio_pci_regions[1];

/* As a driver's reset leaves them, and the device. */
void virtio_pci_reset_registers(struct virtio_pci *pci);
/* Interrupt the driver; virtio's lock held. */
void virtio_pci_on_queue(void *context, unsigned queue);
void virtio_pci_on_config(void *context);
int virtio_pci_queue_fd(void *context, unsigned queue);

#endif
