/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio-pci transport, modern only: the PCI function of a virtio device,
 * its capabilities (virtio 1.2, section 4.1.4) and its life. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "virtio/pci.h"

#define VENDOR         0x1af4
#define DEVICE(id)     (uint16_t)(0x1040 + (id))
#define ACCESS_DATA    offsetof(struct virtio_pci_cfg_cap, pci_cfg_data)
#define CLASS_OTHER    0x00ff00 /* fits no class */
#define REVISION       1        /* not transitional */
#define INTERRUPT_PINA 1

static struct virtio_pci *pci_of(struct vmm_pci_function *function)
{
    return (struct virtio_pci *)function;
}

/* ---- what it is -----------------------------------------------------------
 */

/* Guests go by the virtio id; the class is for people. */
static uint32_t class_of(uint32_t id)
{
    static const struct {
        uint32_t id, class_code;
    } classes[] = {
        {VIRTIO_ID_NET, 0x020000},     {VIRTIO_ID_BLOCK, 0x010000},
        {VIRTIO_ID_CONSOLE, 0x078000}, {VIRTIO_ID_VSOCK, 0x078000},
        {VIRTIO_ID_FS, 0x018000},
    };

    for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++)
        if (classes[i].id == id)
            return classes[i].class_code;
    return CLASS_OTHER;
}

/* A capability that says where in BAR 0 a structure is; extra bytes follow. */
static int add_structure(struct vmm_pci_function *function, uint8_t type,
                         uint32_t offset, uint32_t length, uint32_t extra,
                         size_t len)
{
    uint8_t bytes[sizeof(struct virtio_pci_notify_cap)] = {0};

    bytes[VIRTIO_PCI_CAP_LEN] = (uint8_t)len;
    bytes[VIRTIO_PCI_CAP_CFG_TYPE] = type;
    store_le32(bytes + VIRTIO_PCI_CAP_OFFSET, offset);
    store_le32(bytes + VIRTIO_PCI_CAP_LENGTH, length);
    store_le32(bytes + VIRTIO_PCI_NOTIFY_CAP_MULT, extra);
    return vmm_pci_add_capability(function, PCI_CAP_ID_VNDR, bytes, NULL, len);
}

/* The one by which a driver accesses the BAR through configuration space
 * (section 4.1.4.9). */
static int add_access(struct virtio_pci *pci)
{
    uint8_t bytes[sizeof(struct virtio_pci_cfg_cap)] = {0};
    uint8_t mask[sizeof(struct virtio_pci_cfg_cap)] = {0};

    bytes[VIRTIO_PCI_CAP_LEN] = sizeof(bytes);
    bytes[VIRTIO_PCI_CAP_CFG_TYPE] = VIRTIO_PCI_CAP_PCI_CFG;
    mask[VIRTIO_PCI_CAP_BAR] = 0xff;
    memset(mask + VIRTIO_PCI_CAP_OFFSET, 0xff,
           sizeof(mask) - VIRTIO_PCI_CAP_OFFSET);
    int offset = vmm_pci_add_capability(&pci->function, PCI_CAP_ID_VNDR, bytes,
                                        mask, sizeof(bytes));
    if (offset < 0)
        return offset;
    pci->access = (unsigned)offset;
    vmm_pci_set_window(&pci->function, pci->access + ACCESS_DATA, 4);
    return 0;
}

static int add_capabilities(struct virtio_pci *pci,
                            const struct vmm_msi_lines *lines,
                            struct vmm_error *err)
{
    struct vmm_pci_function *function = &pci->function;
    const struct vmm_virtio *virtio = pci->virtio;
    size_t plain = sizeof(struct virtio_pci_cap);

    if (add_structure(function, VIRTIO_PCI_CAP_COMMON_CFG, AREA_COMMON,
                      COMMON_BYTES, 0, plain) < 0 ||
        add_structure(function, VIRTIO_PCI_CAP_ISR_CFG, AREA_ISR, 1, 0, plain) <
            0 ||
        (virtio->config_bytes &&
         add_structure(function, VIRTIO_PCI_CAP_DEVICE_CFG, AREA_DEVICE,
                       virtio->config_bytes, 0, plain) < 0) ||
        add_structure(function, VIRTIO_PCI_CAP_NOTIFY_CFG, AREA_NOTIFY,
                      NOTIFY_MULTIPLIER * virtio->queue_count,
                      NOTIFY_MULTIPLIER,
                      sizeof(struct virtio_pci_notify_cap)) < 0 ||
        add_access(pci) < 0)
        return vmm_error_set(err, ENOSPC, "virtio-pci: capabilities");
    return vmm_pci_add_msix(function, lines, 0, AREA_TABLE, AREA_PENDING, err);
}

/* ---- the BAR by way of configuration space --------------------------------
 */

/* Do what the capability says, between the BAR and its data. */
static void access_bar(struct vmm_pci_function *function, bool is_write)
{
    uint8_t *bytes = function->config + pci_of(function)->access;
    uint32_t offset = load_le32(bytes + VIRTIO_PCI_CAP_OFFSET);
    uint32_t length = load_le32(bytes + VIRTIO_PCI_CAP_LENGTH);

    if (bytes[VIRTIO_PCI_CAP_BAR] != 0 ||
        (length != 1 && length != 2 && length != 4) || offset % length ||
        offset >= VMM_VIRTIO_PCI_BAR_BYTES)
        return;
    vmm_pci_bar_access(function, 0, offset, bytes + ACCESS_DATA, length,
                       is_write);
}

static void read_window(struct vmm_pci_function *function)
{
    access_bar(function, false);
}

static void wrote_window(struct vmm_pci_function *function)
{
    access_bar(function, true);
}

/* ---- doorbells ------------------------------------------------------------
 */

static void placed(struct vmm_pci_function *function, unsigned bar,
                   uint64_t base, bool decoded)
{
    const struct virtio_pci *pci = pci_of(function);
    int fd;

    (void)bar;
    for (unsigned queue = 0;
         pci->doorbell && (fd = vmm_virtio_notify_fd(pci->virtio, queue)) >= 0;
         queue++)
        pci->doorbell(pci->doorbell_context,
                      base + AREA_NOTIFY + NOTIFY_MULTIPLIER * queue, fd,
                      decoded);
}

static void msix_changed(struct vmm_pci_function *function)
{
    virtio_rewire(pci_of(function)->virtio);
}

static const struct vmm_pci_function_ops function_ops = {
    .read_window = read_window,
    .wrote_window = wrote_window,
    .placed = placed,
    .msix_changed = msix_changed,
};

/* ---- life -----------------------------------------------------------------
 */

static void pci_reset(struct vmm_device *device)
{
    virtio_pci_reset_registers((struct virtio_pci *)device);
}

static void pci_destroy(struct vmm_device *device)
{
    struct virtio_pci *pci = (struct virtio_pci *)device;

    vmm_virtio_close(pci->virtio);
    vmm_virtio_unref(pci->virtio);
    vmm_pci_function_fini(&pci->function);
    pthread_mutex_destroy(&pci->isr_lock);
    free(pci);
}

static const struct vmm_device_ops pci_ops = {
    .name = "virtio-pci",
    .reset = pci_reset,
    .destroy = pci_destroy,
};

static struct virtio_pci *make(struct vmm_virtio *virtio,
                               const struct vmm_virtio_pci_config *config)
{
    const struct vmm_pci_identity identity = {
        .vendor = VENDOR,
        .device = DEVICE(virtio->ops->id),
        .subsystem_vendor = VENDOR,
        .subsystem = DEVICE(virtio->ops->id),
        .class_code = class_of(virtio->ops->id),
        .revision = REVISION,
    };
    struct virtio_pci *pci = calloc(1, sizeof(*pci));

    if (!pci)
        return NULL;
    vmm_pci_function_init(&pci->function, &pci_ops, virtio_pci_regions, 1,
                          &function_ops, &identity);
    pci->function.config[PCI_INTERRUPT_PIN] = INTERRUPT_PINA;
    pci->function.config[PCI_INTERRUPT_LINE] = config->interrupt_line;
    pthread_mutex_init(&pci->isr_lock, NULL);
    pci->virtio = virtio;
    pci->doorbell = config->doorbell;
    pci->doorbell_context = config->doorbell_context;
    return pci;
}

int vmm_virtio_pci_new(struct vmm_virtio *virtio,
                       const struct vmm_virtio_pci_config *config,
                       struct vmm_error *err)
{
    vmm_error_clear(err);
    struct virtio_pci *pci = make(virtio, config);
    if (!pci) {
        vmm_virtio_unref(virtio);
        return vmm_error_set(err, ENOMEM, "virtio-pci: out of memory");
    }
    int rc = vmm_pci_add_bar(&pci->function, 0, VMM_VIRTIO_PCI_BAR_BYTES,
                             config->bar, err);
    if (rc == 0)
        rc = add_capabilities(pci, &config->lines, err);
    if (rc) {
        vmm_device_unref(&pci->function.device);
        return rc;
    }
    virtio_pci_reset_registers(pci);
    virtio_connect(virtio, &(struct vmm_virtio_interrupt){
                               virtio_pci_on_queue, virtio_pci_on_config, pci,
                               virtio_pci_queue_fd});
    return vmm_pci_host_add(config->host, config->slot, &pci->function, err);
}
