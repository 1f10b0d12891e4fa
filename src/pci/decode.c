/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Which BARs are decoded, and where: the memory bus follows the guest. */
#include <linux/pci_regs.h>

#include "base/arith.h"
#include "base/endian.h"
#include "devices/device.h"
#include "pci/pci.h"

/* What the guest has written into the BAR. */
static uint64_t bar_base(const struct vmm_pci_function *function, unsigned bar)
{
    return load_le64(function->config + PCI_BASE_ADDRESS_0 + 8 * bar) &
           PCI_BASE_ADDRESS_MEM_MASK;
}

static bool is_forwarded(const struct pci_host *host, uint64_t base,
                         uint64_t size)
{
    uint64_t end;

    if (!add_u64(base, size, &end))
        return false;
    for (size_t i = 0; i < host->window_count; i++) {
        const struct vmm_memory_range *window = &host->windows[i];

        if (base >= window->base && end <= window->base + window->size_bytes)
            return true;
    }
    return false;
}

/* Should it be decoded, as far as this BAR alone is concerned? */
static bool is_wanted(const struct pci_host *host,
                      const struct vmm_pci_function *function, unsigned bar)
{
    uint64_t size = function->bars[bar].size;

    return size && function->config[PCI_COMMAND] & PCI_COMMAND_MEMORY &&
           is_forwarded(host, bar_base(function, bar), size);
}

static void tell(struct vmm_pci_function *function, unsigned bar)
{
    const struct vmm_pci_bar *it = &function->bars[bar];

    if (function->ops->placed)
        function->ops->placed(function, bar, it->base, it->decoded);
}

/* Take the BAR off the bus unless it is right where it is. */
static void withdraw(struct pci_host *host, struct vmm_pci_function *function,
                     unsigned bar)
{
    struct vmm_pci_bar *it = &function->bars[bar];

    if (!it->decoded ||
        (is_wanted(host, function, bar) && it->base == bar_base(function, bar)))
        return;
    it->decoded = false;
    tell(function, bar);
    vmm_bus_remove(host->mmio, it->base, NULL);
}

/* Put it there, unless another device is in its way. */
static void place(struct pci_host *host, struct vmm_pci_function *function,
                  unsigned bar)
{
    struct vmm_pci_bar *it = &function->bars[bar];

    if (it->decoded || !is_wanted(host, function, bar))
        return;
    it->base = bar_base(function, bar);
    it->decoded = vmm_bus_add(host->mmio, it->base, it->size, &function->device,
                              bar, NULL) == 0;
    if (it->decoded)
        tell(function, bar);
}

static void each_bar(struct pci_host *host,
                     void (*change)(struct pci_host *host,
                                    struct vmm_pci_function *function,
                                    unsigned bar))
{
    for (unsigned slot = 0; slot < VMM_PCI_SLOTS; slot++)
        for (unsigned bar = 0; host->functions[slot] && bar < VMM_PCI_BARS;
             bar++)
            change(host, host->functions[slot], bar);
}

/* All of them: the move of one may clear the way for another. */
void pci_decode(struct pci_host *host)
{
    each_bar(host, withdraw);
    each_bar(host, place);
}

void vmm_pci_bar_access(struct vmm_pci_function *function, unsigned bar,
                        uint64_t offset, uint8_t *value, size_t size,
                        bool is_write)
{
    struct vmm_device *device = &function->device;

    vmm_device_enter(device);
    if (is_write)
        device->regions[bar].write(device, offset, value, size);
    else
        device->regions[bar].read(device, offset, value, size);
    vmm_device_leave(device);
}
