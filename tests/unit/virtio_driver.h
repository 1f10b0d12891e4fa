/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A driver of virtio devices over the virtio-mmio registers, or over virtio-pci
 * as if it had them, with no VM: the rings are virtq_driver.h's, one set a
 * queue. */
#ifndef VIRTIO_DRIVER_H
#define VIRTIO_DRIVER_H

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#include <vmm/bus.h>
#include <vmm/virtio.h>

#include "virtio_pci_driver.h"
#include "virtq_driver.h"

#define BASE 0xd0000000u

struct wire {
    unsigned pulses;
};

struct host {
    struct driver driver; /* of queue 0; its memory is everybody's */
    struct vmm_loop *loop;
    struct vmm_bus *bus;
    struct vmm_virtio *virtio; /* referenced */
    struct wire wire;
    bool over_pci;
    struct vmm_device *pci_host;
    struct messages messages;
};

/* Which transport the tests of a group are about: RUN_OVER_BOTH. */
static bool driver_over_pci;

static void on_wire(void *context, bool level)
{
    ((struct wire *)context)->pulses += level;
}

static uint32_t get(struct host *h, uint32_t offset)
{
    uint32_t value = 0;

    if (h->over_pci)
        return pci_get(h->bus, &h->messages, offset);
    vmm_bus_read(h->bus, BASE + offset, (uint8_t *)&value, 4);
    return value;
}

static void put(struct host *h, uint32_t offset, uint32_t value)
{
    if (h->over_pci) {
        pci_put(h->bus, &h->messages, offset, value);
        return;
    }
    vmm_bus_write(h->bus, BASE + offset, (const uint8_t *)&value, 4);
}

/* Where a byte of the device's configuration space is, for accesses of any
 * width. */
static inline uint64_t config_byte(const struct host *h, uint32_t offset)
{
    return (h->over_pci ? BAR + BAR_CONFIG : BASE + VIRTIO_MMIO_CONFIG) +
           offset;
}

/* Configuration space of so many bytes reads the same at any width and offset,
 * and as zeros beyond its end; writes change nothing but [from, to), where all
 * of it becomes ones. */
static inline void assert_config_holds(struct host *h, uint32_t bytes,
                                       uint32_t from, uint32_t to)
{
    uint8_t before[96] = {0}, value[8];
    const uint64_t ones = UINT64_MAX;

    assert_true(bytes + 16 <= sizeof(before));
    for (uint32_t i = 0; i < bytes + 16; i++)
        vmm_bus_read(h->bus, config_byte(h, i), before + i, 1);
    for (uint32_t i = bytes; i < bytes + 16; i++)
        assert_int_equal(before[i], 0);
    for (uint32_t offset = 0; offset < bytes + 8; offset++)
        for (size_t size = 1; size <= 8; size++) {
            vmm_bus_read(h->bus, config_byte(h, offset), value, size);
            assert_int_equal(memcmp(value, before + offset, size), 0);
        }
    for (uint32_t offset = 0; offset < bytes + 8; offset++)
        for (size_t size = 1; size <= 8; size++)
            vmm_bus_write(h->bus, config_byte(h, offset),
                          (const uint8_t *)&ones, size);
    memset(before + from, 0xff, to - from);
    for (uint32_t i = 0; i < bytes + 16; i++) {
        vmm_bus_read(h->bus, config_byte(h, i), value, 1);
        assert_int_equal(value[0], before[i]);
    }
}

/* Let the loop serve what it has been notified of. */
static inline void serve(struct host *h)
{
    while (vmm_loop_step(h->loop, 0) > 0)
        ;
}

#define ACKNOWLEDGE VIRTIO_CONFIG_S_ACKNOWLEDGE
#define DRIVER      VIRTIO_CONFIG_S_DRIVER
#define FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define VERSION_1   (UINT64_C(1) << VIRTIO_F_VERSION_1)

static void negotiate(struct host *h, uint64_t features)
{
    put(h, VIRTIO_MMIO_STATUS, 0);
    put(h, VIRTIO_MMIO_STATUS, ACKNOWLEDGE);
    put(h, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER);
    for (uint32_t i = 0; i < 2; i++) {
        put(h, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
        put(h, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32 * i));
    }
    put(h, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
}

/* Lay queue 0 out as the driver has it, and say that it is ready. */
static void set_up_queue(struct host *h, uint32_t queue, uint32_t size)
{
    put(h, VIRTIO_MMIO_QUEUE_SEL, queue);
    put(h, VIRTIO_MMIO_QUEUE_NUM, size);
    put(h, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
    put(h, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
    put(h, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
    put(h, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void drive_ok(struct host *h)
{
    put(h, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* Bring the device up with its queue 0. */
static inline void bring_up(struct host *h, uint64_t features)
{
    h->driver.next = h->driver.seen = 0;
    MUST(vmm_memory_fill(h->driver.memory, DESC, 0, INDIRECT - DESC));
    negotiate(h, VERSION_1 | features);
    set_up_queue(h, 0, RING_SIZE);
    drive_ok(h);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

static void host_set_up(struct host *h)
{
    struct vmm_error err;

    *h = (struct host){.over_pci = driver_over_pci};
    h->messages.pulses = &h->wire.pulses;
    driver_set_up(&h->driver, RING_SIZE, 0);
    if (vmm_loop_new(&h->loop, &err) ||
        vmm_bus_new("mmio", UINT64_MAX >> 12, &h->bus, &err))
        fail_msg("%s", err.text);
}

/* Put a device on the bus; it takes the reference, and the test keeps one. */
static void host_attach(struct host *h, struct vmm_virtio *virtio)
{
    struct vmm_irq_line line = {on_wire, &h->wire};
    struct vmm_device *device;
    struct vmm_error err;

    h->virtio = vmm_virtio_ref(virtio);
    if (h->over_pci) {
        h->pci_host = pci_host_on(h->bus, &line);
        pci_attach(h->bus, h->pci_host, virtio, &h->messages);
        return;
    }
    if (vmm_virtio_mmio_new(virtio, &line, &device, &err) ||
        vmm_bus_add(h->bus, BASE, VMM_VIRTIO_MMIO_BYTES, device, 0, &err))
        fail_msg("%s", err.text);
    vmm_device_unref(device);
}

/* The device goes, as at the end of a machine: with its bus. */
static void host_detach(struct host *h)
{
    vmm_device_unref(h->pci_host);
    h->pci_host = NULL;
    vmm_bus_free(h->bus);
    h->bus = NULL;
}

static void host_tear_down(struct host *h)
{
    host_detach(h);
    vmm_virtio_unref(h->virtio);
    vmm_loop_free(h->loop);
    driver_tear_down(&h->driver);
}

__attribute__((unused)) static int over_mmio(void **state)
{
    (void)state;
    driver_over_pci = false;
    return 0;
}

__attribute__((unused)) static int over_pci(void **state)
{
    (void)state;
    driver_over_pci = true;
    return 0;
}

/* Run an array of tests over each transport; what main returns. */
#define RUN_OVER_BOTH(name, tests)                                             \
    (cmocka_run_group_tests_name(name " over mmio", tests, over_mmio, NULL) +  \
     cmocka_run_group_tests_name(name " over pci", tests, over_pci, NULL))

#endif
