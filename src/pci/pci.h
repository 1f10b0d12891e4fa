/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the files of src/pci share: configuration space and its effects. */
#ifndef VMM_PCI_INTERNAL_H
#define VMM_PCI_INTERNAL_H

#include <vmm/pci.h>

struct pci_host {
    struct vmm_device device;
    struct vmm_bus *mmio;
    struct vmm_memory_range windows[VMM_PCI_WINDOWS_MAX];
    size_t window_count;

    /* Under the device's lock: */
    uint32_t address; /* CONFIG_ADDRESS, port 0xcf8 */
    struct vmm_pci_function *functions[VMM_PCI_SLOTS]; /* or NULL */
    struct vmm_pci_function bridge;                    /* functions[0] */

    pthread_mutex_t lines_lock; /* guards what follows; the innermost */
    struct vmm_irq_line lines[VMM_PCI_LINES_MAX];
    unsigned drivers[VMM_PCI_LINES_MAX]; /* functions that drive the line */
    size_t line_count;
};

/* The bridge of a device, or NULL when it is none. */
struct pci_host *pci_host_of(struct vmm_device *device);
/* A function begins or ceases to drive its line. */
void pci_host_drive(struct pci_host *host, unsigned slot, bool level);

/* All below but pci_msix_init with the bridge's lock held. */

/* offset + size <= VMM_PCI_CONFIG_BYTES, within an aligned word of 4 bytes. */
void pci_config_read(struct vmm_pci_function *function, unsigned offset,
                     uint8_t *value, size_t size);
void pci_config_write(struct vmm_pci_function *function, unsigned offset,
                      const uint8_t *value, size_t size);
/* To power-on state: configuration space and interrupts, not the model. */
void pci_function_reset(struct vmm_pci_function *function);

/* Bring the bus in line with what the BARs and command registers say. */
void pci_decode(struct pci_host *host);

/* The interrupt bits of the command register have changed; the control word of
 * MSI-X has. */
void pci_intx_update(struct vmm_pci_function *function);
void pci_msix_update(struct vmm_pci_function *function);
/* Interrupts as after power-on. */
void pci_interrupts_reset(struct vmm_pci_function *function);

#endif
