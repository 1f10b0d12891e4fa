/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio-mmio transport, version 2: virtio 1.2, section 4.2.2. */
#include <errno.h>
#include <linux/virtio_mmio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "virtio/device.h"

#define MAGIC   0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR  0x4d4d5656 /* "VVMM" */

struct mmio {
    struct vmm_device device;
    struct vmm_virtio *virtio;
    struct vmm_irq_line irq;
    atomic_uint interrupts; /* InterruptStatus */
    /* Under the device's lock: */
    uint32_t offered_select, accepted_select, queue_select;
};

static struct mmio *mmio_of(struct vmm_device *device)
{
    return (struct mmio *)device;
}

/* ---- interrupts: any thread -----------------------------------------------
 */

/*
 * The line is edge-triggered.  A driver reads the status, acknowledges it, then
 * looks at its rings: a bit that is set between the first two is lost, but what
 * it told of is seen, and the edge made one more interrupt.
 */
static void interrupt(struct mmio *mmio, unsigned bit)
{
    atomic_fetch_or(&mmio->interrupts, bit);
    vmm_irq_set(&mmio->irq, true);
    vmm_irq_set(&mmio->irq, false);
}

static void on_queue(void *context, unsigned queue)
{
    (void)queue;
    interrupt(context, VIRTIO_MMIO_INT_VRING);
}

static void on_config(void *context)
{
    interrupt(context, VIRTIO_MMIO_INT_CONFIG);
}

/* ---- registers: reads -----------------------------------------------------
 */

static uint32_t read_register(struct mmio *mmio, uint32_t offset)
{
    struct vmm_virtio *virtio = mmio->virtio;

    switch (offset) {
    case VIRTIO_MMIO_MAGIC_VALUE:
        return MAGIC;
    case VIRTIO_MMIO_VERSION:
        return VERSION;
    case VIRTIO_MMIO_DEVICE_ID:
        return virtio->ops->id;
    case VIRTIO_MMIO_VENDOR_ID:
        return VENDOR;
    case VIRTIO_MMIO_DEVICE_FEATURES:
        return virtio_offered(virtio, mmio->offered_select);
    case VIRTIO_MMIO_QUEUE_NUM_MAX:
        return virtio_queue_size_max(virtio, mmio->queue_select);
    case VIRTIO_MMIO_QUEUE_READY:
        return virtio_queue_ready(virtio, mmio->queue_select);
    case VIRTIO_MMIO_INTERRUPT_STATUS:
        return atomic_load(&mmio->interrupts);
    case VIRTIO_MMIO_STATUS:
        return virtio_status(virtio);
    case VIRTIO_MMIO_CONFIG_GENERATION:
        return virtio_generation(virtio);
    case VIRTIO_MMIO_SHM_LEN_LOW: /* no shared memory: all-ones */
    case VIRTIO_MMIO_SHM_LEN_HIGH:
    case VIRTIO_MMIO_SHM_BASE_LOW:
    case VIRTIO_MMIO_SHM_BASE_HIGH:
        return UINT32_MAX;
    default:
        return 0;
    }
}

/* ---- registers: writes ----------------------------------------------------
 */

/* Registers that lay a queue out. */
static void lay_out(struct mmio *mmio, uint32_t offset, uint32_t value)
{
    static const struct {
        uint32_t offset;
        enum virtio_layout part;
    } registers[] = {
        {VIRTIO_MMIO_QUEUE_NUM, VIRTIO_SIZE},
        {VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_DESC_LOW},
        {VIRTIO_MMIO_QUEUE_DESC_HIGH, VIRTIO_DESC_HIGH},
        {VIRTIO_MMIO_QUEUE_AVAIL_LOW, VIRTIO_AVAIL_LOW},
        {VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_AVAIL_HIGH},
        {VIRTIO_MMIO_QUEUE_USED_LOW, VIRTIO_USED_LOW},
        {VIRTIO_MMIO_QUEUE_USED_HIGH, VIRTIO_USED_HIGH},
    };

    for (size_t i = 0; i < sizeof(registers) / sizeof(*registers); i++)
        if (registers[i].offset == offset)
            virtio_lay_out(mmio->virtio, mmio->queue_select, registers[i].part,
                           value);
}

static void set_status(struct mmio *mmio, uint32_t value)
{
    virtio_set_status(mmio->virtio, (uint8_t)value);
    if ((uint8_t)value == 0)
        atomic_store(&mmio->interrupts, 0);
}

static void write_register(struct mmio *mmio, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
        mmio->offered_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
        mmio->accepted_select = value;
        break;
    case VIRTIO_MMIO_DRIVER_FEATURES:
        virtio_accept(mmio->virtio, mmio->accepted_select, value);
        break;
    case VIRTIO_MMIO_QUEUE_SEL:
        mmio->queue_select = value;
        break;
    case VIRTIO_MMIO_QUEUE_READY:
        if (value == 1)
            virtio_enable_queue(mmio->virtio, mmio->queue_select);
        else if (value == 0)
            virtio_disable_queue(mmio->virtio, mmio->queue_select);
        break;
    case VIRTIO_MMIO_QUEUE_NOTIFY:
        vmm_virtio_kick(mmio->virtio, value);
        break;
    case VIRTIO_MMIO_INTERRUPT_ACK:
        atomic_fetch_and(&mmio->interrupts, ~value);
        break;
    case VIRTIO_MMIO_STATUS:
        set_status(mmio, value);
        break;
    default:
        lay_out(mmio, offset, value);
    }
}

/* ---- the region -----------------------------------------------------------
 */

/* Registers are accessed as they are, 32 bits aligned; else they read as zeros
 * and ignore writes.  Configuration space has bytes. */
static void mmio_read(struct vmm_device *device, uint64_t offset,
                      uint8_t *value, size_t size)
{
    struct mmio *mmio = mmio_of(device);

    memset(value, 0, size);
    if (offset >= VIRTIO_MMIO_CONFIG)
        virtio_read_config(mmio->virtio, offset - VIRTIO_MMIO_CONFIG, value,
                           (uint32_t)size);
    else if (size == 4 && offset % 4 == 0)
        store_le32(value, read_register(mmio, (uint32_t)offset));
}

static void mmio_write(struct vmm_device *device, uint64_t offset,
                       const uint8_t *value, size_t size)
{
    struct mmio *mmio = mmio_of(device);

    if (offset >= VIRTIO_MMIO_CONFIG)
        virtio_write_config(mmio->virtio, offset - VIRTIO_MMIO_CONFIG, value,
                            (uint32_t)size);
    else if (size == 4 && offset % 4 == 0)
        write_register(mmio, (uint32_t)offset, load_le32(value));
}

static void mmio_reset(struct vmm_device *device)
{
    struct mmio *mmio = mmio_of(device);

    mmio->offered_select = mmio->accepted_select = mmio->queue_select = 0;
    set_status(mmio, 0);
}

static void mmio_destroy(struct vmm_device *device)
{
    struct mmio *mmio = mmio_of(device);

    vmm_virtio_close(mmio->virtio);
    vmm_virtio_unref(mmio->virtio);
    free(mmio);
}

static const struct vmm_region_ops mmio_regions[] = {
    {mmio_read, mmio_write, VMM_VIRTIO_MMIO_BYTES},
};

static const struct vmm_device_ops mmio_ops = {
    .name = "virtio-mmio",
    .reset = mmio_reset,
    .destroy = mmio_destroy,
};

int vmm_virtio_mmio_new(struct vmm_virtio *virtio,
                        const struct vmm_irq_line *irq,
                        struct vmm_device **device, struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct mmio *mmio = calloc(1, sizeof(*mmio));
    if (!mmio) {
        vmm_virtio_unref(virtio);
        return vmm_error_set(err, ENOMEM, "virtio-mmio: out of memory");
    }
    vmm_device_init(&mmio->device, &mmio_ops, mmio_regions, 1);
    mmio->virtio = virtio;
    mmio->irq = *irq;
    virtio_connect(virtio, &(struct vmm_virtio_interrupt){on_queue, on_config,
                                                          mmio, NULL});
    *device = &mmio->device;
    return 0;
}
