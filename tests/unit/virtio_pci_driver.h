/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The mock driver's other transport: the registers of virtio-mmio, which tests
 * use, in terms of virtio-pci. */
#ifndef VIRTIO_PCI_DRIVER_H
#define VIRTIO_PCI_DRIVER_H

#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>

#include <vmm/virtio.h>

#include "pci_bus.h"

#define BAR 0xd8100000u

#define BAR_COMMON 0x0000u
#define BAR_ISR    0x1000u
#define BAR_CONFIG 0x2000u
#define BAR_NOTIFY 0x3000u
#define BAR_TABLE  0x4000u
#define BAR_PBA    0x5000u

/* As a driver does when it has found the function: decode, MSI-X with two
 * vectors unmasked: 0 is the configuration's, 1 all queues'. */
static void pci_enable(struct vmm_bus *bus, unsigned slot)
{
    unsigned msix = find_capability(bus, slot, PCI_CAP_ID_MSIX, 0);

    store_at(bus, config_at(slot, PCI_COMMAND),
             PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    store_at(bus, config_at(slot, msix + PCI_MSIX_FLAGS), PCI_MSIX_FLAGS_ENABLE,
             2);
    for (unsigned vector = 0; vector < 2; vector++) {
        store_at(bus, BAR + BAR_TABLE + 16 * vector, 0xfee00000, 8);
        store_at(bus, BAR + BAR_TABLE + 16 * vector + 8, 0x40 + vector, 8);
    }
}

static void pci_attach(struct vmm_bus *bus, struct vmm_device *host,
                       struct vmm_virtio *virtio, struct messages *messages)
{
    struct vmm_virtio_pci_config config = {
        .host = host,
        .slot = 1,
        .bar = BAR,
        .interrupt_line = 16,
        .lines = {.route = on_route,
                  .raise = on_raise,
                  .context = messages,
                  .count = virtio->queue_count + 1}};
    struct vmm_error err;

    if (messages->lends)
        lend_fds(messages, &config.lines);

    if (vmm_virtio_pci_new(virtio, &config, &err))
        fail_msg("%s", err.text);
    pci_enable(bus, 1);
}

/* ---- registers of virtio-mmio ---------------------------------------------
 */

struct common_register {
    uint32_t mmio, offset;
    size_t size;
};

static const struct common_register *common_register(uint32_t mmio)
{
    static const struct common_register registers[] = {
        {VIRTIO_MMIO_DEVICE_FEATURES, VIRTIO_PCI_COMMON_DF, 4},
        {VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_PCI_COMMON_DFSELECT, 4},
        {VIRTIO_MMIO_DRIVER_FEATURES, VIRTIO_PCI_COMMON_GF, 4},
        {VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_PCI_COMMON_GFSELECT, 4},
        {VIRTIO_MMIO_QUEUE_SEL, VIRTIO_PCI_COMMON_Q_SELECT, 2},
        {VIRTIO_MMIO_QUEUE_NUM_MAX, VIRTIO_PCI_COMMON_Q_SIZE, 2},
        {VIRTIO_MMIO_QUEUE_NUM, VIRTIO_PCI_COMMON_Q_SIZE, 2},
        {VIRTIO_MMIO_QUEUE_READY, VIRTIO_PCI_COMMON_Q_ENABLE, 2},
        {VIRTIO_MMIO_STATUS, VIRTIO_PCI_COMMON_STATUS, 1},
        {VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_PCI_COMMON_Q_DESCLO, 4},
        {VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_PCI_COMMON_Q_DESCHI, 4},
        {VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_PCI_COMMON_Q_AVAILLO, 4},
        {VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_PCI_COMMON_Q_AVAILHI, 4},
        {VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_PCI_COMMON_Q_USEDLO, 4},
        {VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_PCI_COMMON_Q_USEDHI, 4},
        {VIRTIO_MMIO_CONFIG_GENERATION, VIRTIO_PCI_COMMON_CFGGENERATION, 1},
    };

    for (size_t i = 0; i < sizeof(registers) / sizeof(*registers); i++)
        if (registers[i].mmio == mmio)
            return &registers[i];
    fail_msg("virtio-pci has no register as 0x%x", mmio);
    return NULL;
}

/* What its interrupts have told, as InterruptStatus would have it; acknowledged
 * is what has been by a write. */
static uint32_t pci_interrupts(const struct messages *m)
{
    return (m->raises[1] ? VIRTIO_MMIO_INT_VRING : 0) |
           (m->raises[0] ? VIRTIO_MMIO_INT_CONFIG : 0);
}

static uint32_t pci_get(struct vmm_bus *bus, const struct messages *m,
                        uint32_t offset)
{
    if (offset == VIRTIO_MMIO_INTERRUPT_STATUS)
        return pci_interrupts(m);
    if (offset == VIRTIO_MMIO_DEVICE_ID)
        return (uint32_t)load_at(bus, config_at(1, PCI_DEVICE_ID), 2) - 0x1040;
    if (offset >= VIRTIO_MMIO_CONFIG)
        return (uint32_t)load_at(
            bus, BAR + BAR_CONFIG + offset - VIRTIO_MMIO_CONFIG, 4);
    const struct common_register *r = common_register(offset);
    return (uint32_t)load_at(bus, BAR + BAR_COMMON + r->offset, r->size);
}

static void pci_put(struct vmm_bus *bus, struct messages *m, uint32_t offset,
                    uint32_t value)
{
    if (offset == VIRTIO_MMIO_QUEUE_NOTIFY) {
        if (value < 0x400)
            store_at(bus, BAR + BAR_NOTIFY + 4 * value, value, 2);
        return;
    }
    if (offset == VIRTIO_MMIO_INTERRUPT_ACK) {
        if (value & VIRTIO_MMIO_INT_VRING)
            m->raises[1] = 0;
        if (value & VIRTIO_MMIO_INT_CONFIG)
            m->raises[0] = 0;
        return;
    }
    if (offset >= VIRTIO_MMIO_CONFIG) {
        store_at(bus, BAR + BAR_CONFIG + offset - VIRTIO_MMIO_CONFIG, value, 4);
        return;
    }
    const struct common_register *r = common_register(offset);
    /* These are wider there. */
    if (offset == VIRTIO_MMIO_QUEUE_NUM && value > UINT16_MAX)
        value = 0;
    store_at(bus, BAR + BAR_COMMON + r->offset, value, r->size);
    if (offset == VIRTIO_MMIO_STATUS && value == 0)
        m->raises[0] = m->raises[1] = 0;
    /* A driver gives vectors once features are settled. */
    if (offset == VIRTIO_MMIO_STATUS)
        store_at(bus, BAR + BAR_COMMON + VIRTIO_PCI_COMMON_MSIX, 0, 2);
    if (offset == VIRTIO_MMIO_QUEUE_SEL)
        store_at(bus, BAR + BAR_COMMON + VIRTIO_PCI_COMMON_Q_MSIX, 1, 2);
}

#endif
