/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The host bridge: bus 0, its configuration space by ports and by memory. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/endian.h"
#include "devices/device.h"
#include "pci/pci.h"

/* PCI Local Bus 3.0, section 3.2.2.3.2 */
#define ADDRESS_PORT   0
#define DATA_PORT      4
#define ADDRESS_ENABLE 0x80000000u
/* An ECAM offset (PCI Express Base 4.0, section 7.2.2) */
#define ECAM_FUNCTION_BYTES 4096

/* What QEMU calls its bridge of PCI Express: guests expect nothing of it. */
static const struct vmm_pci_identity bridge_identity = {
    .vendor = 0x1b36, /* Red Hat */
    .device = 0x0008,
    .subsystem_vendor = 0x1af4,
    .subsystem = 0x1100,
    .class_code = 0x060000, /* host bridge */
};

/* ---- lines ----------------------------------------------------------------
 */

/* A line is shared: it is high while any function drives it. */
void pci_host_drive(struct pci_host *host, unsigned slot, bool level)
{
    if (host->line_count == 0)
        return;
    pthread_mutex_lock(&host->lines_lock);
    unsigned line = slot % (unsigned)host->line_count;
    unsigned before = host->drivers[line];
    host->drivers[line] = level ? before + 1 : before - 1;
    if (!before != !host->drivers[line])
        vmm_irq_set(&host->lines[line], level);
    pthread_mutex_unlock(&host->lines_lock);
}

/* ---- configuration space --------------------------------------------------
 */

/* One of read and write is set. */
struct data {
    uint8_t *read;
    const uint8_t *write;
};

/* An access within one word of 4 bytes.  What is not there reads as all-ones,
 * as the bus has pre-filled; beyond a function's 256 bytes there are no
 * extended capabilities, which is a zero. */
static void access_word(struct pci_host *host, unsigned slot, unsigned number,
                        unsigned offset, struct data data, size_t size)
{
    struct vmm_pci_function *function = host->functions[slot];

    if (!function || number != 0)
        return;
    if (offset >= VMM_PCI_CONFIG_BYTES) {
        if (data.read)
            memset(data.read, 0, size);
    } else if (data.read) {
        pci_config_read(function, offset, data.read, size);
    } else {
        pci_config_write(function, offset, data.write, size);
    }
}

static void access_ecam(struct pci_host *host, uint64_t at, struct data data,
                        size_t size)
{
    while (size > 0) {
        size_t piece = (size_t)min_u64(4 - at % 4, size);

        access_word(host, (unsigned)(at >> 15) % VMM_PCI_SLOTS,
                    (unsigned)(at >> 12) % 8, at % ECAM_FUNCTION_BYTES, data,
                    piece);
        at += piece;
        size -= piece;
        if (data.read)
            data.read += piece;
        else
            data.write += piece;
    }
}

static void access_data_port(struct pci_host *host, uint64_t port,
                             struct data data, size_t size)
{
    uint32_t address = host->address;
    unsigned offset = (unsigned)((address & 0xfc) + port - DATA_PORT);

    if (port < DATA_PORT || !(address & ADDRESS_ENABLE) || address >> 16 & 0xff)
        return;
    access_word(host, address >> 11 & 0x1f, address >> 8 & 7, offset, data,
                size);
}

/* ---- regions --------------------------------------------------------------
 */

static struct pci_host *host_of(struct vmm_device *device)
{
    return (struct pci_host *)device;
}

static void ports_read(struct vmm_device *device, uint64_t port, uint8_t *value,
                       size_t size)
{
    if (port == ADDRESS_PORT && size == 4)
        store_le32(value, host_of(device)->address);
    else
        access_data_port(host_of(device), port, (struct data){.read = value},
                         size);
}

static void ports_write(struct vmm_device *device, uint64_t port,
                        const uint8_t *value, size_t size)
{
    if (port == ADDRESS_PORT && size == 4)
        host_of(device)->address = load_le32(value);
    else
        access_data_port(host_of(device), port, (struct data){.write = value},
                         size);
}

static void ecam_read(struct vmm_device *device, uint64_t offset,
                      uint8_t *value, size_t size)
{
    access_ecam(host_of(device), offset, (struct data){.read = value}, size);
}

static void ecam_write(struct vmm_device *device, uint64_t offset,
                       const uint8_t *value, size_t size)
{
    access_ecam(host_of(device), offset, (struct data){.write = value}, size);
}

/* ---- life -----------------------------------------------------------------
 */

static void host_reset(struct vmm_device *device)
{
    struct pci_host *host = host_of(device);

    host->address = 0;
    for (unsigned slot = 0; slot < VMM_PCI_SLOTS; slot++) {
        if (!host->functions[slot])
            continue;
        vmm_device_reset(&host->functions[slot]->device);
        pci_function_reset(host->functions[slot]);
    }
    pci_decode(host);
}

/* The buses may hold functions longer. */
static void forget(struct vmm_pci_function *function)
{
    pthread_mutex_lock(&function->interrupt_lock);
    function->host = NULL;
    pthread_mutex_unlock(&function->interrupt_lock);
    vmm_device_unref(&function->device);
}

static void host_destroy(struct vmm_device *device)
{
    struct pci_host *host = host_of(device);

    for (unsigned slot = 0; slot < VMM_PCI_SLOTS; slot++)
        if (host->functions[slot])
            forget(host->functions[slot]);
    pthread_mutex_destroy(&host->lines_lock);
    free(host);
}

static const struct vmm_region_ops host_regions[] = {
    [VMM_PCI_REGION_PORTS] = {ports_read, ports_write, VMM_PCI_PORTS},
    [VMM_PCI_REGION_ECAM] = {ecam_read, ecam_write, VMM_PCI_ECAM_BYTES},
};

static const struct vmm_device_ops host_ops = {
    .name = "pci-host",
    .reset = host_reset,
    .destroy = host_destroy,
};

struct pci_host *pci_host_of(struct vmm_device *device)
{
    return device->ops == &host_ops ? host_of(device) : NULL;
}

/* The bridge's own function is a part of the bridge. */
static void bridge_destroy(struct vmm_device *device)
{
    vmm_pci_function_fini((struct vmm_pci_function *)device);
}

static const struct vmm_device_ops bridge_ops = {.name = "pci-host",
                                                 .destroy = bridge_destroy};
static const struct vmm_pci_function_ops bridge_function_ops = {0};

/* Connect a function with its slot. */
static void take(struct pci_host *host, unsigned slot,
                 struct vmm_pci_function *function)
{
    memcpy(function->initial, function->config, VMM_PCI_CONFIG_BYTES);
    function->host = &host->device;
    function->slot = slot;
    host->functions[slot] = function;
}

int vmm_pci_host_new(const struct vmm_pci_host_config *config,
                     struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    if (config->window_count > VMM_PCI_WINDOWS_MAX ||
        config->line_count > VMM_PCI_LINES_MAX)
        return vmm_error_set(err, EINVAL,
                             "pci-host: up to %d windows and %d lines",
                             VMM_PCI_WINDOWS_MAX, VMM_PCI_LINES_MAX);
    struct pci_host *host = calloc(1, sizeof(*host));
    if (!host)
        return vmm_error_set(err, ENOMEM, "pci-host: out of memory");
    vmm_device_init(&host->device, &host_ops, host_regions, 2);
    pthread_mutex_init(&host->lines_lock, NULL);
    host->mmio = config->mmio;
    host->window_count = config->window_count;
    for (size_t i = 0; i < config->window_count; i++)
        host->windows[i] = config->windows[i];
    host->line_count = config->line_count;
    for (size_t i = 0; i < config->line_count; i++)
        host->lines[i] = config->lines[i];
    vmm_pci_function_init(&host->bridge, &bridge_ops, NULL, 0,
                          &bridge_function_ops, &bridge_identity);
    take(host, 0, &host->bridge);
    *device = &host->device;
    return 0;
}

int vmm_pci_host_add(struct vmm_device *device, unsigned slot,
                     struct vmm_pci_function *function, struct vmm_error *err)
{
    struct pci_host *host = pci_host_of(device);
    int rc = 0;

    vmm_error_clear(err);
    if (!host || slot == 0 || slot >= VMM_PCI_SLOTS) {
        vmm_device_unref(&function->device);
        return vmm_error_set(err, EINVAL,
                             host ? "PCI slot %u: 1 to 31"
                                  : "slot %u of what is no PCI host bridge",
                             slot);
    }
    vmm_device_enter(device);
    if (host->functions[slot])
        rc = vmm_error_set(err, EBUSY, "PCI slot %u has a function already",
                           slot);
    else
        take(host, slot, function);
    vmm_device_leave(device);
    if (rc)
        vmm_device_unref(&function->device);
    return rc;
}
