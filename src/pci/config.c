/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The configuration space of a function (PCI Local Bus 3.0, chapter 6): bytes,
 * of which some bits can be written, and what a write has for an effect. */
#include <errno.h>
#include <inttypes.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "base/arith.h"
#include "base/endian.h"
#include "pci/pci.h"

/* Bits of the command register that a guest may change: no function of ours
 * has I/O ports, nor does more than keep the rest. */
#define COMMAND_WRITABLE                                                       \
    (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |            \
     PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

#define BAR_BYTES_MIN 4096
#define BAR_BYTES_MAX (UINT64_C(1) << 40)

/* ---- life -----------------------------------------------------------------
 */

void vmm_pci_function_init(struct vmm_pci_function *function,
                           const struct vmm_device_ops *device_ops,
                           const struct vmm_region_ops *regions,
                           size_t region_count,
                           const struct vmm_pci_function_ops *ops,
                           const struct vmm_pci_identity *identity)
{
    uint8_t *config = function->config;

    memset(function, 0, sizeof(*function));
    vmm_device_init(&function->device, device_ops, regions, region_count);
    function->ops = ops;
    function->capabilities_end = PCI_STD_HEADER_SIZEOF;
    pthread_mutex_init(&function->interrupt_lock, NULL);
    store_le16(config + PCI_VENDOR_ID, identity->vendor);
    store_le16(config + PCI_DEVICE_ID, identity->device);
    store_le32(config + PCI_CLASS_REVISION,
               identity->class_code << 8 | identity->revision);
    store_le16(config + PCI_SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor);
    store_le16(config + PCI_SUBSYSTEM_ID, identity->subsystem);
    store_le16(function->writable + PCI_COMMAND, COMMAND_WRITABLE);
    function->writable[PCI_CACHE_LINE_SIZE] = 0xff;
    function->writable[PCI_INTERRUPT_LINE] = 0xff;
}

void vmm_pci_function_fini(struct vmm_pci_function *function)
{
    pthread_mutex_destroy(&function->interrupt_lock);
    free(function->vectors);
    function->vectors = NULL;
}

/* ---- its parts ------------------------------------------------------------
 */

int vmm_pci_add_bar(struct vmm_pci_function *function, unsigned bar,
                    uint64_t size, uint64_t base, struct vmm_error *err)
{
    vmm_error_clear(err);
    if (bar >= VMM_PCI_BARS || bar >= function->device.region_count ||
        size < BAR_BYTES_MIN || size > BAR_BYTES_MAX || size & (size - 1) ||
        !is_aligned(base, size))
        return vmm_error_set(err, EINVAL,
                             "%s: BAR %u of 0x%" PRIx64 " bytes at 0x%" PRIx64
                             ": a power of two from 4096, aligned to itself",
                             function->device.ops->name, bar, size, base);
    uint8_t *word = function->config + PCI_BASE_ADDRESS_0 + 8 * bar;
    function->bars[bar].size = size;
    store_le64(word, base | PCI_BASE_ADDRESS_MEM_TYPE_64);
    store_le64(function->writable + (word - function->config), ~(size - 1));
    return 0;
}

int vmm_pci_add_capability(struct vmm_pci_function *function, uint8_t id,
                           const void *bytes, const void *mask, size_t len)
{
    unsigned offset = function->capabilities_end;
    uint8_t *config = function->config;

    if (len < 2 || len > VMM_PCI_CONFIG_BYTES - offset)
        return -ENOSPC;
    memcpy(config + offset, bytes, len);
    if (mask)
        memcpy(function->writable + offset, mask, len);
    config[offset] = id;
    config[offset + 1] = 0;
    function->writable[offset] = function->writable[offset + 1] = 0;
    config[function->last_capability ? function->last_capability + 1
                                     : PCI_CAPABILITY_LIST] = (uint8_t)offset;
    config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
    function->last_capability = offset;
    function->capabilities_end = (unsigned)align_down(offset + len + 3, 4);
    return (int)offset;
}

void vmm_pci_set_window(struct vmm_pci_function *function, unsigned offset,
                        unsigned bytes)
{
    function->window = offset;
    function->window_bytes = bytes;
}

void pci_function_reset(struct vmm_pci_function *function)
{
    memcpy(function->config, function->initial, VMM_PCI_CONFIG_BYTES);
    pci_interrupts_reset(function);
}

/* ---- accesses -------------------------------------------------------------
 */

static bool touches(unsigned offset, size_t size, unsigned base, unsigned bytes)
{
    return offset < base + bytes && base < offset + size;
}

static bool touches_window(const struct vmm_pci_function *function,
                           unsigned offset, size_t size)
{
    return touches(offset, size, function->window, function->window_bytes);
}

static bool intx_is_asserted(struct vmm_pci_function *function)
{
    pthread_mutex_lock(&function->interrupt_lock);
    bool asserted = function->intx_asserted;
    pthread_mutex_unlock(&function->interrupt_lock);
    return asserted;
}

void pci_config_read(struct vmm_pci_function *function, unsigned offset,
                     uint8_t *value, size_t size)
{
    if (function->ops->read_window && touches_window(function, offset, size))
        function->ops->read_window(function);
    memcpy(value, function->config + offset, size);
    if (touches(offset, size, PCI_STATUS, 1) && intx_is_asserted(function))
        value[PCI_STATUS - offset] |= PCI_STATUS_INTERRUPT;
}

void pci_config_write(struct vmm_pci_function *function, unsigned offset,
                      const uint8_t *value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t mask = function->writable[offset + i];
        uint8_t *byte = &function->config[offset + i];

        *byte = (uint8_t)((*byte & ~mask) | (value[i] & mask));
    }
    bool command = touches(offset, size, PCI_COMMAND, 2);
    if (command || touches(offset, size, PCI_BASE_ADDRESS_0, 8 * VMM_PCI_BARS))
        pci_decode(pci_host_of(function->host));
    if (command)
        pci_intx_update(function);
    if (function->msix &&
        touches(offset, size, function->msix + PCI_MSIX_FLAGS, 2))
        pci_msix_update(function);
    if (function->ops->wrote_window && touches_window(function, offset, size))
        function->ops->wrote_window(function);
}
