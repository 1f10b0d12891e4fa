/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A virtio device on the PCI bus while everybody works on it at the same time:
 * a driver that resets it under load, a vCPU that moves its BAR and switches
 * MSI-X, one that accesses both places, and the I/O thread. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "virtio_driver.h"

#define ROUNDS    30000
#define ELSEWHERE 0xd8800000u
#define WRITE     VRING_DESC_F_WRITE

struct crowd {
    struct host host;
    atomic_bool done;
};

static void set_bar(struct host *h, uint64_t base)
{
    store_at(h->bus, config_at(1, PCI_BASE_ADDRESS_0), base, 4);
}

static void set_msix(struct host *h, bool on)
{
    unsigned msix = find_capability(h->bus, 1, PCI_CAP_ID_MSIX, 0);

    store_at(h->bus, config_at(1, msix + PCI_MSIX_FLAGS),
             on ? PCI_MSIX_FLAGS_ENABLE : 0, 2);
}

static void *mover_main(void *argument)
{
    struct crowd *crowd = argument;
    struct host *h = &crowd->host;

    for (unsigned i = 0; !crowd->done; i++) {
        set_bar(h, i & 1 ? BAR : ELSEWHERE);
        set_msix(h, i & 2);
        store_at(h->bus, config_at(1, PCI_COMMAND),
                 i % 5 ? PCI_COMMAND_MEMORY : 0, 2);
    }
    return NULL;
}

static void *toucher_main(void *argument)
{
    struct crowd *crowd = argument;
    struct host *h = &crowd->host;

    for (unsigned i = 0; !crowd->done; i++) {
        uint64_t base = i & 1 ? BAR : ELSEWHERE;

        store_at(h->bus, base + BAR_TABLE + 16 * (i % 2), 0xfee00000 + 16 * i,
                 4);
        store_at(h->bus, base + BAR_TABLE + 16 * (i % 2) + 12, i % 3 == 0, 4);
        (void)load_at(h->bus, base + BAR_PBA, 8);
        (void)load_at(h->bus, base + BAR_ISR, 1);
        vmm_virtio_enter(h->virtio);
        vmm_virtio_config_changed(h->virtio);
        vmm_virtio_leave(h->virtio);
    }
    return NULL;
}

/* Bring it up, wherever it is at the moment, and load it. */
static void drive(struct host *h, uint64_t base)
{
    static const struct {
        unsigned offset, size;
        uint32_t value;
    } writes[] = {
        {VIRTIO_PCI_COMMON_STATUS, 1, 0},
        {VIRTIO_PCI_COMMON_STATUS, 1, ACKNOWLEDGE | DRIVER},
        {VIRTIO_PCI_COMMON_GFSELECT, 4, 1},
        {VIRTIO_PCI_COMMON_GF, 4, 1},
        {VIRTIO_PCI_COMMON_STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK},
        {VIRTIO_PCI_COMMON_MSIX, 2, 0},
        {VIRTIO_PCI_COMMON_Q_SELECT, 2, 0},
        {VIRTIO_PCI_COMMON_Q_SIZE, 2, RING_SIZE},
        {VIRTIO_PCI_COMMON_Q_DESCLO, 4, DESC},
        {VIRTIO_PCI_COMMON_Q_AVAILLO, 4, AVAIL},
        {VIRTIO_PCI_COMMON_Q_USEDLO, 4, USED},
        {VIRTIO_PCI_COMMON_Q_MSIX, 2, 1},
        {VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1},
        {VIRTIO_PCI_COMMON_STATUS, 1,
         ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK},
        {BAR_NOTIFY, 2, 0},
    };

    for (size_t i = 0; i < sizeof(writes) / sizeof(*writes); i++)
        store_at(h->bus, base + writes[i].offset, writes[i].value,
                 writes[i].size);
}

static void set_up_crowd(struct crowd *crowd)
{
    struct vmm_virtio *virtio;
    struct vmm_error err;
    struct host *h = &crowd->host;

    host_set_up(h);
    if (vmm_virtio_rng_new(h->driver.memory, h->loop, 0, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(h, virtio);
    /* Chains for all rounds: the device takes what it gets to. */
    for (uint16_t i = 0; i < RING_SIZE; i++)
        driver_offer_buffer(&h->driver, i, DATA, 64, WRITE);
    MUST(vmm_loop_start_thread(h->loop, "io", &err));
}

static void a_device_that_all_work_on_is_whole_afterwards(void **state)
{
    static struct crowd crowd;
    struct host *h = &crowd.host;
    pthread_t mover, toucher;

    (void)state;
    set_up_crowd(&crowd);
    crowd.done = false;
    assert_int_equal(pthread_create(&mover, NULL, mover_main, &crowd), 0);
    assert_int_equal(pthread_create(&toucher, NULL, toucher_main, &crowd), 0);
    for (int i = 0; i < ROUNDS; i++)
        drive(h, i & 1 ? BAR : ELSEWHERE);
    crowd.done = true;
    pthread_join(mover, NULL);
    pthread_join(toucher, NULL);
    vmm_loop_stop_thread(h->loop);

    vmm_device_reset(h->pci_host);
    pci_enable(h->bus, 1);
    bring_up(h, 0);
    uint32_t id, len;
    unsigned raises = h->messages.raises[1];
    driver_offer_buffer(&h->driver, 3, DATA, 64, WRITE);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_true(driver_collect(&h->driver, &id, &len));
    assert_int_equal(len, 64);
    assert_int_equal(h->messages.raises[1], raises + 1);
    host_tear_down(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_all_work_on_is_whole_afterwards),
    };

    return cmocka_run_group_tests_name("virtio_pci_threads", tests, over_pci,
                                       NULL);
}
