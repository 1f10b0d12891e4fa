/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Finds a virtio-mmio device where the kernel command line says that there is
 * one, and reads what differs each time from it: it is an entropy device.
 * (virtio_mmio.device=SIZE@BASE:IRQ; virtio 1.2, sections 2.7 and 4.2.) */
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "lib/guest.h"

#define ZP_CMDLINE 0x228
#define PARAMETER  "virtio_mmio.device="
#define ENTROPY    4

static struct vring_desc desc[1] __attribute__((aligned(16)));
static struct {
    uint16_t flags, idx, ring[1], event;
} avail __attribute__((aligned(2)));
static struct {
    uint16_t flags, idx;
    struct vring_used_elem ring[1];
    uint16_t event;
} used __attribute__((aligned(4)));
static uint64_t bytes[2];

static volatile uint32_t *registers;

static uint32_t get(uint32_t offset)
{
    return registers[offset / 4];
}

static void set(uint32_t offset, uint32_t value)
{
    registers[offset / 4] = value;
}

static void set_address(uint32_t low, const void *at)
{
    set(low, (uint32_t)(uintptr_t)at);
    set(low + 4, (uint32_t)((uintptr_t)at >> 32));
}

/* A number in the way C has it; what follows it. */
static const char *number(const char *text, uint64_t *value)
{
    unsigned base = text[0] == '0' && text[1] == 'x' ? 16 : 10;

    for (*value = 0, text += base == 16 ? 2 : 0;; text++) {
        unsigned digit = (unsigned)*text - '0';

        if (digit > 9)
            digit = *text < 'a' ? base : (unsigned)*text - 'a' + 10;
        if (digit >= base)
            return text;
        *value = *value * base + digit;
    }
}

/* What follows the parameter's name, or NULL. */
static const char *find(const char *cmdline)
{
    for (; *cmdline; cmdline++) {
        size_t i = 0;

        while (PARAMETER[i] && cmdline[i] == PARAMETER[i])
            i++;
        if (!PARAMETER[i])
            return cmdline + i;
    }
    return NULL;
}

static void bring_up(void)
{
    const uint32_t ok = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
                        VIRTIO_CONFIG_S_FEATURES_OK;

    set(VIRTIO_MMIO_STATUS, 0);
    set(VIRTIO_MMIO_STATUS,
        VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    set(VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
    set(VIRTIO_MMIO_DRIVER_FEATURES, 1u << (VIRTIO_F_VERSION_1 - 32));
    set(VIRTIO_MMIO_STATUS, ok);
    set(VIRTIO_MMIO_QUEUE_SEL, 0);
    set(VIRTIO_MMIO_QUEUE_NUM, 1);
    set_address(VIRTIO_MMIO_QUEUE_DESC_LOW, desc);
    set_address(VIRTIO_MMIO_QUEUE_AVAIL_LOW, &avail);
    set_address(VIRTIO_MMIO_QUEUE_USED_LOW, &used);
    set(VIRTIO_MMIO_QUEUE_READY, 1);
    set(VIRTIO_MMIO_STATUS, ok | VIRTIO_CONFIG_S_DRIVER_OK);
    expect("status", get(VIRTIO_MMIO_STATUS), ok | VIRTIO_CONFIG_S_DRIVER_OK);
}

/* Eight bytes from the device, waited for. */
static void read_entropy(uint64_t *to)
{
    desc[0].addr = (uintptr_t)to;
    desc[0].len = sizeof(*to);
    desc[0].flags = VRING_DESC_F_WRITE;
    __atomic_store_n(&avail.idx, avail.idx + 1, __ATOMIC_RELEASE);
    set(VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    while (__atomic_load_n(&used.idx, __ATOMIC_ACQUIRE) != avail.idx)
        ;
    expect("length", used.ring[0].len, sizeof(*to));
}

void guest(void *rsi)
{
    uint32_t at = *(const uint32_t *)((const char *)rsi + ZP_CMDLINE);
    const char *text = find((const char *)(uintptr_t)at);
    uint64_t size, base, irq;

    if (!text)
        fail("parameter", 0, 1);
    text = number(text, &size);
    expect("separator", (uint8_t)*text, '@');
    text = number(text + 1, &base);
    expect("separator", (uint8_t)*text, ':');
    number(text + 1, &irq);
    put("irq ");
    put_decimal(irq);
    put("\n");
    registers = (volatile uint32_t *)base;
    expect("magic", get(VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    expect("device", get(VIRTIO_MMIO_DEVICE_ID), ENTROPY);
    expect("size", size, 0x1000);
    bring_up();
    read_entropy(&bytes[0]);
    read_entropy(&bytes[1]);
    expect("entropy differs", bytes[0] != bytes[1], 1);
    pass();
}
