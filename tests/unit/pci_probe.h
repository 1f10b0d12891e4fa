/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A bus with a PCI host bridge, and functions that note what they are asked. */
#ifndef PCI_PROBE_H
#define PCI_PROBE_H

#include <stdlib.h>

#include "pci_bus.h"

#define PROBE_BYTES 0x4000u
#define PROBE_TABLE 0x2000u
#define PROBE_PBA   0x3000u
#define VECTORS     4

struct probe {
    struct vmm_pci_function function;
    unsigned reads, writes; /* of BAR 0, outside of MSI-X */
    uint64_t placed_at;     /* what `placed` was last told */
    bool placed;
    unsigned placements;
    bool *destroyed;
};

static void probe_read(struct vmm_device *device, uint64_t offset,
                       uint8_t *value, size_t size)
{
    struct probe *probe = (struct probe *)device;

    if (offset >= PROBE_PBA)
        vmm_pci_pending_read(&probe->function, offset - PROBE_PBA, value, size);
    else if (offset >= PROBE_TABLE)
        vmm_pci_msix_read(&probe->function, offset - PROBE_TABLE, value, size);
    else
        value[0] = (uint8_t)++probe->reads;
}

static void probe_write(struct vmm_device *device, uint64_t offset,
                        const uint8_t *value, size_t size)
{
    struct probe *probe = (struct probe *)device;

    if (offset >= PROBE_TABLE && offset < PROBE_PBA)
        vmm_pci_msix_write(&probe->function, offset - PROBE_TABLE, value, size);
    else
        probe->writes++;
}

static void probe_destroy(struct vmm_device *device)
{
    struct probe *probe = (struct probe *)device;

    if (probe->destroyed)
        *probe->destroyed = true;
    vmm_pci_function_fini(&probe->function);
    free(probe);
}

static void probe_placed(struct vmm_pci_function *function, unsigned bar,
                         uint64_t base, bool decoded)
{
    struct probe *probe = (struct probe *)function;

    (void)bar;
    probe->placed_at = base;
    probe->placed = decoded;
    probe->placements++;
}

static const struct vmm_region_ops probe_regions[] = {
    {probe_read, probe_write, PROBE_BYTES},
};
static const struct vmm_device_ops probe_ops = {.name = "probe",
                                                .destroy = probe_destroy};
static const struct vmm_pci_function_ops probe_function_ops = {
    .placed = probe_placed};

/* A function with BAR 0 at base and MSI-X. */
static struct probe *probe_new(uint64_t base, struct messages *messages)
{
    static const struct vmm_pci_identity identity = {.vendor = 0x1234,
                                                     .device = 0x5678,
                                                     .subsystem_vendor = 0x9abc,
                                                     .subsystem = 0xdef0,
                                                     .class_code = 0x080000,
                                                     .revision = 3};
    const struct vmm_msi_lines lines = {.route = on_route,
                                        .raise = on_raise,
                                        .context = messages,
                                        .count = VECTORS};
    struct probe *probe = calloc(1, sizeof(*probe));
    struct vmm_error err;

    vmm_pci_function_init(&probe->function, &probe_ops, probe_regions, 1,
                          &probe_function_ops, &identity);
    if (vmm_pci_add_bar(&probe->function, 0, PROBE_BYTES, base, &err) ||
        vmm_pci_add_msix(&probe->function, &lines, 0, PROBE_TABLE, PROBE_PBA,
                         &err))
        fail_msg("%s", err.text);
    return probe;
}

struct level {
    bool high;
    unsigned changes;
};

static void on_level(void *context, bool level)
{
    struct level *wire = context;

    wire->changes++;
    wire->high = level;
}

/* Functions in slots 1 and 2, not decoded yet; the ports are at 0xcf8 of a bus
 * of their own. */
struct pci {
    struct vmm_bus *mmio, *pio;
    struct vmm_device *host;
    struct level wire; /* of both: they share it */
    struct messages messages[2];
    struct probe *probe[2];
};

#define FIRST  0xd8000000u
#define SECOND 0xd8010000u

static void pci_set_up(struct pci *p)
{
    struct vmm_irq_line line = {on_level, &p->wire};
    struct vmm_error err;

    *p = (struct pci){0};
    if (vmm_bus_new("mmio", (UINT64_C(1) << 52) - 1, &p->mmio, &err) ||
        vmm_bus_new("pio", 0xffff, &p->pio, &err))
        fail_msg("%s", err.text);
    p->host = pci_host_on(p->mmio, &line);
    assert_int_equal(
        vmm_bus_add(p->pio, 0xcf8, 8, p->host, VMM_PCI_REGION_PORTS, &err), 0);
    for (unsigned i = 0; i < 2; i++) {
        p->probe[i] = probe_new(i ? SECOND : FIRST, &p->messages[i]);
        assert_int_equal(
            vmm_pci_host_add(p->host, i + 1, &p->probe[i]->function, &err), 0);
    }
}

static void pci_tear_down(struct pci *p)
{
    vmm_device_unref(p->host);
    vmm_bus_free(p->pio);
    vmm_bus_free(p->mmio);
}

/* ---- configuration space ---- */

static uint32_t config_get(struct pci *p, unsigned slot, unsigned offset,
                           size_t size)
{
    return (uint32_t)load_at(p->mmio, config_at(slot, offset), size);
}

static void config_put(struct pci *p, unsigned slot, unsigned offset,
                       uint32_t value, size_t size)
{
    store_at(p->mmio, config_at(slot, offset), value, size);
}

static void set_decoded(struct pci *p, unsigned slot, bool on)
{
    config_put(p, slot, PCI_COMMAND, on ? PCI_COMMAND_MEMORY : 0, 2);
}

#endif
