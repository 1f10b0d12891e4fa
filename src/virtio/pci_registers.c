/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a virtio-pci function has in its BAR: virtio 1.2, section 4.1.4. */
#include <linux/virtio_pci.h>
#include <string.h>

#include "base/endian.h"
#include "virtio/pci.h"

#define ISR_QUEUE 1

static struct virtio_pci *pci_of(struct vmm_device *device)
{
    return (struct virtio_pci *)device;
}

/* ---- interrupts: any thread -----------------------------------------------
 */

static void set_isr(struct virtio_pci *pci, uint8_t bits)
{
    pthread_mutex_lock(&pci->isr_lock);
    pci->isr |= bits;
    vmm_pci_set_intx(&pci->function, true);
    pthread_mutex_unlock(&pci->isr_lock);
}

/* Reading it acknowledges (section 4.1.4.5). */
static uint8_t take_isr(struct virtio_pci *pci)
{
    pthread_mutex_lock(&pci->isr_lock);
    uint8_t isr = pci->isr;
    pci->isr = 0;
    vmm_pci_set_intx(&pci->function, false);
    pthread_mutex_unlock(&pci->isr_lock);
    return isr;
}

/* No function has as many vectors as VIRTIO_MSI_NO_VECTOR says. */
static void interrupt(struct virtio_pci *pci, uint16_t vector, uint8_t bits)
{
    if (vmm_pci_msix_enabled(&pci->function))
        vmm_pci_raise(&pci->function, vector);
    else
        set_isr(pci, bits);
}

void virtio_pci_on_queue(void *context, unsigned queue)
{
    struct virtio_pci *pci = context;

    interrupt(pci, pci->queue_vectors[queue], ISR_QUEUE);
}

void virtio_pci_on_config(void *context)
{
    struct virtio_pci *pci = context;

    interrupt(pci, pci->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

int virtio_pci_queue_fd(void *context, unsigned queue)
{
    struct virtio_pci *pci = context;

    return vmm_pci_vector_fd(&pci->function, pci->queue_vectors[queue]);
}

/* ---- common configuration (section 4.1.4.3) -------------------------------
 */

/* Of each register, 0 where none begins. */
static const uint8_t widths[COMMON_BYTES] = {
    [VIRTIO_PCI_COMMON_DFSELECT] = 4,  [VIRTIO_PCI_COMMON_DF] = 4,
    [VIRTIO_PCI_COMMON_GFSELECT] = 4,  [VIRTIO_PCI_COMMON_GF] = 4,
    [VIRTIO_PCI_COMMON_MSIX] = 2,      [VIRTIO_PCI_COMMON_NUMQ] = 2,
    [VIRTIO_PCI_COMMON_STATUS] = 1,    [VIRTIO_PCI_COMMON_CFGGENERATION] = 1,
    [VIRTIO_PCI_COMMON_Q_SELECT] = 2,  [VIRTIO_PCI_COMMON_Q_SIZE] = 2,
    [VIRTIO_PCI_COMMON_Q_MSIX] = 2,    [VIRTIO_PCI_COMMON_Q_ENABLE] = 2,
    [VIRTIO_PCI_COMMON_Q_NOFF] = 2,    [VIRTIO_PCI_COMMON_Q_DESCLO] = 4,
    [VIRTIO_PCI_COMMON_Q_DESCHI] = 4,  [VIRTIO_PCI_COMMON_Q_AVAILLO] = 4,
    [VIRTIO_PCI_COMMON_Q_AVAILHI] = 4, [VIRTIO_PCI_COMMON_Q_USEDLO] = 4,
    [VIRTIO_PCI_COMMON_Q_USEDHI] = 4,
};

/* The vector of the selected queue, or NULL. */
static _Atomic uint16_t *selected_vector(struct virtio_pci *pci)
{
    return pci->queue_select < pci->virtio->queue_count
               ? &pci->queue_vectors[pci->queue_select]
               : NULL;
}

static uint32_t read_queue_register(struct virtio_pci *pci, uint64_t offset)
{
    struct vmm_virtq_layout layout =
        virtio_queue_layout(pci->virtio, pci->queue_select);
    _Atomic uint16_t *vector = selected_vector(pci);

    switch (offset) {
    case VIRTIO_PCI_COMMON_Q_SIZE:
        return layout.size;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        return vector ? *vector : VIRTIO_MSI_NO_VECTOR;
    case VIRTIO_PCI_COMMON_Q_ENABLE:
        return virtio_queue_ready(pci->virtio, pci->queue_select);
    case VIRTIO_PCI_COMMON_Q_NOFF:
        return vector ? pci->queue_select : 0;
    case VIRTIO_PCI_COMMON_Q_DESCLO:
        return (uint32_t)layout.desc;
    case VIRTIO_PCI_COMMON_Q_DESCHI:
        return (uint32_t)(layout.desc >> 32);
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
        return (uint32_t)layout.avail;
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
        return (uint32_t)(layout.avail >> 32);
    case VIRTIO_PCI_COMMON_Q_USEDLO:
        return (uint32_t)layout.used;
    default: /* VIRTIO_PCI_COMMON_Q_USEDHI */
        return (uint32_t)(layout.used >> 32);
    }
}

static uint32_t read_register(struct virtio_pci *pci, uint64_t offset)
{
    struct vmm_virtio *virtio = pci->virtio;

    switch (offset) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        return pci->offered_select;
    case VIRTIO_PCI_COMMON_DF:
        return virtio_offered(virtio, pci->offered_select);
    case VIRTIO_PCI_COMMON_GFSELECT:
        return pci->accepted_select;
    case VIRTIO_PCI_COMMON_GF:
        return virtio_accepted(virtio, pci->accepted_select);
    case VIRTIO_PCI_COMMON_MSIX:
        return pci->config_vector;
    case VIRTIO_PCI_COMMON_NUMQ:
        return virtio->queue_count;
    case VIRTIO_PCI_COMMON_STATUS:
        return virtio_status(virtio);
    case VIRTIO_PCI_COMMON_CFGGENERATION:
        return virtio_generation(virtio);
    case VIRTIO_PCI_COMMON_Q_SELECT:
        return pci->queue_select;
    default:
        return read_queue_register(pci, offset);
    }
}

/* A vector that there is not reads back as none (section 4.1.5.1.2). */
static void set_vector(struct virtio_pci *pci, _Atomic uint16_t *vector,
                       uint32_t value)
{
    if (vector)
        *vector = value < vmm_pci_vector_count(&pci->function)
                      ? (uint16_t)value
                      : VIRTIO_MSI_NO_VECTOR;
}

void virtio_pci_reset_registers(struct virtio_pci *pci)
{
    virtio_reset(pci->virtio);
    pci->config_vector = VIRTIO_MSI_NO_VECTOR;
    for (unsigned i = 0; i < VMM_VIRTIO_QUEUES_MAX; i++)
        pci->queue_vectors[i] = VIRTIO_MSI_NO_VECTOR;
    pci->offered_select = pci->accepted_select = 0;
    pci->queue_select = 0;
    take_isr(pci);
}

static void set_status(struct virtio_pci *pci, uint32_t value)
{
    if (value == 0)
        virtio_pci_reset_registers(pci);
    else
        virtio_set_status(pci->virtio, (uint8_t)value);
}

static void lay_out(struct virtio_pci *pci, uint64_t offset, uint32_t value)
{
    static const struct {
        uint8_t offset;
        enum virtio_layout part;
    } registers[] = {
        {VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_SIZE},
        {VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_DESC_LOW},
        {VIRTIO_PCI_COMMON_Q_DESCHI, VIRTIO_DESC_HIGH},
        {VIRTIO_PCI_COMMON_Q_AVAILLO, VIRTIO_AVAIL_LOW},
        {VIRTIO_PCI_COMMON_Q_AVAILHI, VIRTIO_AVAIL_HIGH},
        {VIRTIO_PCI_COMMON_Q_USEDLO, VIRTIO_USED_LOW},
        {VIRTIO_PCI_COMMON_Q_USEDHI, VIRTIO_USED_HIGH},
    };

    for (size_t i = 0; i < sizeof(registers) / sizeof(*registers); i++)
        if (registers[i].offset == offset)
            virtio_lay_out(pci->virtio, pci->queue_select, registers[i].part,
                           value);
}

static void write_register(struct virtio_pci *pci, uint64_t offset,
                           uint32_t value)
{
    switch (offset) {
    case VIRTIO_PCI_COMMON_DFSELECT:
        pci->offered_select = value;
        break;
    case VIRTIO_PCI_COMMON_GFSELECT:
        pci->accepted_select = value;
        break;
    case VIRTIO_PCI_COMMON_GF:
        virtio_accept(pci->virtio, pci->accepted_select, value);
        break;
    case VIRTIO_PCI_COMMON_MSIX:
        set_vector(pci, &pci->config_vector, value);
        break;
    case VIRTIO_PCI_COMMON_STATUS:
        set_status(pci, value);
        break;
    case VIRTIO_PCI_COMMON_Q_SELECT:
        pci->queue_select = (uint16_t)value;
        break;
    case VIRTIO_PCI_COMMON_Q_MSIX:
        set_vector(pci, selected_vector(pci), value);
        virtio_rewire(pci->virtio);
        break;
    case VIRTIO_PCI_COMMON_Q_ENABLE: /* only a reset disables it */
        if (value == 1)
            virtio_enable_queue(pci->virtio, pci->queue_select);
        break;
    default:
        lay_out(pci, offset, value);
    }
}

/* A register is accessed whole; anything else reads as zeros and does
 * nothing. */
static bool is_register(uint64_t offset, size_t size)
{
    return offset < COMMON_BYTES && widths[offset] == size;
}

/* ---- the BAR --------------------------------------------------------------
 */

static void bar_read(struct vmm_device *device, uint64_t offset, uint8_t *value,
                     size_t size)
{
    struct virtio_pci *pci = pci_of(device);
    uint64_t within = offset % AREA_BYTES;
    uint8_t word[4];

    memset(value, 0, size);
    switch (offset - within) {
    case AREA_COMMON:
        if (!is_register(within, size))
            break;
        store_le32(word, read_register(pci, within));
        memcpy(value, word, size);
        break;
    case AREA_ISR:
        if (within == 0)
            value[0] = take_isr(pci);
        break;
    case AREA_DEVICE:
        virtio_read_config(pci->virtio, within, value, (uint32_t)size);
        break;
    case AREA_TABLE:
        vmm_pci_msix_read(&pci->function, within, value, size);
        break;
    case AREA_PENDING:
        vmm_pci_pending_read(&pci->function, within, value, size);
        break;
    default:
        break;
    }
}

static void bar_write(struct vmm_device *device, uint64_t offset,
                      const uint8_t *value, size_t size)
{
    struct virtio_pci *pci = pci_of(device);
    uint64_t within = offset % AREA_BYTES;
    uint8_t word[4] = {0};

    switch (offset - within) {
    case AREA_COMMON:
        if (!is_register(within, size))
            break;
        memcpy(word, value, size);
        write_register(pci, within, load_le32(word));
        break;
    case AREA_DEVICE:
        virtio_write_config(pci->virtio, within, value, (uint32_t)size);
        break;
    case AREA_NOTIFY: /* the place says which queue */
        if (within % NOTIFY_MULTIPLIER == 0)
            vmm_virtio_kick(pci->virtio, (unsigned)within / NOTIFY_MULTIPLIER);
        break;
    case AREA_TABLE:
        vmm_pci_msix_write(&pci->function, within, value, size);
        break;
    default:
        break;
    }
}

const struct vmm_region_ops virtio_pci_regions[1] = {
    {bar_read, bar_write, VMM_VIRTIO_PCI_BAR_BYTES},
};
