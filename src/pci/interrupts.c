/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* How a function interrupts: MSI-X (PCI Local Bus 3.0, section 6.8.2), or its
 * legacy line. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "pci/pci.h"

/* ---- the line: interrupt_lock held ----------------------------------------
 */

static void drive_intx(struct vmm_pci_function *function)
{
    bool level = function->intx_asserted && !function->intx_disabled &&
                 !function->msix_enabled;

    if (level == function->intx_driven || !function->host)
        return;
    function->intx_driven = level;
    pci_host_drive(pci_host_of(function->host), function->slot, level);
}

/* ---- vectors: interrupt_lock held -----------------------------------------
 */

/* Have what others raise kept, or no longer. */
static void set_held(struct vmm_pci_function *function, unsigned index,
                     bool held)
{
    struct vmm_pci_vector *vector = &function->vectors[index];

    if (!vector->lent || vector->held == held)
        return;
    vector->held = held;
    function->lines.hold(function->lines.context, index, held);
}

/* Send what is pending, if nothing forbids it.  A message that the host does
 * not take stays pending until the guest has written another. */
static void settle(struct vmm_pci_function *function, unsigned index)
{
    struct vmm_pci_vector *vector = &function->vectors[index];
    const struct vmm_msi_lines *lines = &function->lines;
    const bool open =
        function->msix_enabled && !function->msix_masked && !vector->masked;

    if (open && !vector->routed)
        vector->routed = lines->route(lines->context, index, vector->address,
                                      vector->data) == 0;
    set_held(function, index, !open || !vector->routed);
    if (!open || !vector->routed || !vector->pending)
        return;
    vector->pending = false;
    lines->raise(lines->context, index);
}

static void settle_all(struct vmm_pci_function *function)
{
    for (unsigned i = 0; i < function->lines.count; i++)
        settle(function, i);
}

static void reset_vectors(struct vmm_pci_function *function)
{
    const struct vmm_msi_lines *lines = &function->lines;

    for (unsigned i = 0; i < lines->count; i++) {
        /* What has been kept is forgotten. */
        if (function->vectors[i].held)
            lines->kept(lines->context, i, true);
        set_held(function, i, false);
        function->vectors[i] = (struct vmm_pci_vector){.masked = true};
    }
}

/* ---- by the guest's configuration accesses --------------------------------
 */

static uint16_t config_word(const struct vmm_pci_function *function,
                            unsigned offset)
{
    return load_le16(function->config + offset);
}

void pci_intx_update(struct vmm_pci_function *function)
{
    pthread_mutex_lock(&function->interrupt_lock);
    function->intx_disabled =
        config_word(function, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
    drive_intx(function);
    pthread_mutex_unlock(&function->interrupt_lock);
}

void pci_msix_update(struct vmm_pci_function *function)
{
    uint16_t flags = config_word(function, function->msix + PCI_MSIX_FLAGS);

    pthread_mutex_lock(&function->interrupt_lock);
    function->msix_enabled = flags & PCI_MSIX_FLAGS_ENABLE;
    function->msix_masked = flags & PCI_MSIX_FLAGS_MASKALL;
    drive_intx(function);
    settle_all(function);
    pthread_mutex_unlock(&function->interrupt_lock);
    if (function->ops->msix_changed)
        function->ops->msix_changed(function);
}

void pci_interrupts_reset(struct vmm_pci_function *function)
{
    pthread_mutex_lock(&function->interrupt_lock);
    function->intx_asserted = function->intx_disabled = false;
    function->msix_enabled = function->msix_masked = false;
    reset_vectors(function);
    drive_intx(function);
    pthread_mutex_unlock(&function->interrupt_lock);
}

/* ---- MSI-X ----------------------------------------------------------------
 */

int vmm_pci_add_msix(struct vmm_pci_function *function,
                     const struct vmm_msi_lines *lines, unsigned bar,
                     uint32_t table_offset, uint32_t pending_offset,
                     struct vmm_error *err)
{
    const char *name = function->device.ops->name;
    uint8_t bytes[PCI_CAP_MSIX_SIZEOF] = {0};
    uint8_t mask[PCI_CAP_MSIX_SIZEOF] = {0};

    vmm_error_clear(err);
    if (lines->count == 0 || lines->count > VMM_PCI_VECTORS_MAX)
        return vmm_error_set(err, EINVAL, "%s: %u MSI-X vectors, 1 to %d", name,
                             lines->count, VMM_PCI_VECTORS_MAX);
    store_le16(bytes + PCI_MSIX_FLAGS, (uint16_t)(lines->count - 1));
    store_le16(mask + PCI_MSIX_FLAGS,
               PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
    store_le32(bytes + PCI_MSIX_TABLE, table_offset | 2 * bar);
    store_le32(bytes + PCI_MSIX_PBA, pending_offset | 2 * bar);
    int offset = vmm_pci_add_capability(function, PCI_CAP_ID_MSIX, bytes, mask,
                                        sizeof(bytes));
    if (offset < 0)
        return vmm_error_set(err, ENOSPC, "%s: no room for MSI-X", name);
    function->vectors = calloc(lines->count, sizeof(*function->vectors));
    if (!function->vectors)
        return vmm_error_set(err, ENOMEM, "%s: out of memory", name);
    function->lines = *lines;
    function->msix = (unsigned)offset;
    reset_vectors(function);
    return 0;
}

static struct vmm_pci_vector *vector_at(struct vmm_pci_function *function,
                                        uint64_t offset)
{
    uint64_t index = offset / PCI_MSIX_ENTRY_SIZE;

    return index < function->lines.count ? &function->vectors[index] : NULL;
}

static uint32_t read_word(const struct vmm_pci_vector *vector, uint64_t offset)
{
    switch (offset % PCI_MSIX_ENTRY_SIZE) {
    case PCI_MSIX_ENTRY_LOWER_ADDR:
        return (uint32_t)vector->address;
    case PCI_MSIX_ENTRY_UPPER_ADDR:
        return (uint32_t)(vector->address >> 32);
    case PCI_MSIX_ENTRY_DATA:
        return vector->data;
    default:
        return vector->masked ? PCI_MSIX_ENTRY_CTRL_MASKBIT : 0;
    }
}

static void write_word(struct vmm_pci_vector *vector, uint64_t offset,
                       uint32_t value)
{
    struct vmm_pci_vector old = *vector;

    switch (offset % PCI_MSIX_ENTRY_SIZE) {
    case PCI_MSIX_ENTRY_LOWER_ADDR:
        vector->address = (old.address & ~UINT64_C(0xffffffff)) | (value & ~3u);
        break;
    case PCI_MSIX_ENTRY_UPPER_ADDR:
        vector->address = (old.address & 0xffffffff) | (uint64_t)value << 32;
        break;
    case PCI_MSIX_ENTRY_DATA:
        vector->data = value;
        break;
    default:
        vector->masked = value & PCI_MSIX_ENTRY_CTRL_MASKBIT;
    }
    if (vector->address != old.address || vector->data != old.data)
        vector->routed = false;
}

/* The table takes aligned words of 4 and 8 bytes (section 6.8.2): other reads
 * give zeros, other writes are ignored. */
static bool is_words(uint64_t offset, size_t size)
{
    return (size == 4 || size == 8) && offset % size == 0;
}

void vmm_pci_msix_read(struct vmm_pci_function *function, uint64_t offset,
                       uint8_t *value, size_t size)
{
    const struct vmm_pci_vector *vector = vector_at(function, offset);

    memset(value, 0, size);
    if (!vector || !is_words(offset, size))
        return;
    pthread_mutex_lock(&function->interrupt_lock);
    for (size_t done = 0; done < size; done += 4)
        store_le32(value + done, read_word(vector, offset + done));
    pthread_mutex_unlock(&function->interrupt_lock);
}

void vmm_pci_msix_write(struct vmm_pci_function *function, uint64_t offset,
                        const uint8_t *value, size_t size)
{
    struct vmm_pci_vector *vector = vector_at(function, offset);

    if (!vector || !is_words(offset, size))
        return;
    pthread_mutex_lock(&function->interrupt_lock);
    for (size_t done = 0; done < size; done += 4)
        write_word(vector, offset + done, load_le32(value + done));
    settle(function, (unsigned)(vector - function->vectors));
    pthread_mutex_unlock(&function->interrupt_lock);
}

static bool is_pending(const struct vmm_pci_function *function, unsigned index)
{
    const struct vmm_pci_vector *vector = &function->vectors[index];
    const struct vmm_msi_lines *lines = &function->lines;

    return vector->pending ||
           (vector->held && lines->kept(lines->context, index, false));
}

void vmm_pci_pending_read(struct vmm_pci_function *function, uint64_t offset,
                          uint8_t *value, size_t size)
{
    memset(value, 0, size);
    pthread_mutex_lock(&function->interrupt_lock);
    for (size_t byte = 0; byte < size; byte++)
        for (unsigned bit = 0; bit < 8; bit++) {
            uint64_t index = 8 * (offset + byte) + bit;

            if (index < function->lines.count &&
                is_pending(function, (unsigned)index))
                value[byte] |= (uint8_t)(1u << bit);
        }
    pthread_mutex_unlock(&function->interrupt_lock);
}

/* ---- by the model ---------------------------------------------------------
 */

bool vmm_pci_msix_enabled(struct vmm_pci_function *function)
{
    pthread_mutex_lock(&function->interrupt_lock);
    bool enabled = function->msix_enabled;
    pthread_mutex_unlock(&function->interrupt_lock);
    return enabled;
}

unsigned vmm_pci_vector_count(const struct vmm_pci_function *function)
{
    return function->lines.count;
}

void vmm_pci_raise(struct vmm_pci_function *function, unsigned vector)
{
    pthread_mutex_lock(&function->interrupt_lock);
    if (function->msix_enabled && vector < function->lines.count) {
        function->vectors[vector].pending = true;
        settle(function, vector);
    }
    pthread_mutex_unlock(&function->interrupt_lock);
}

int vmm_pci_vector_fd(struct vmm_pci_function *function, unsigned vector)
{
    const struct vmm_msi_lines *lines = &function->lines;
    int fd = -1;

    pthread_mutex_lock(&function->interrupt_lock);
    if (function->msix_enabled && vector < lines->count && lines->fd) {
        fd = lines->fd(lines->context, vector);
        function->vectors[vector].lent = true;
        settle(function, vector);
    }
    pthread_mutex_unlock(&function->interrupt_lock);
    return fd;
}

void vmm_pci_set_intx(struct vmm_pci_function *function, bool asserted)
{
    pthread_mutex_lock(&function->interrupt_lock);
    function->intx_asserted = asserted;
    drive_intx(function);
    pthread_mutex_unlock(&function->interrupt_lock);
}
