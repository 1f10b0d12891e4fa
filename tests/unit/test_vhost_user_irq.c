/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Interrupts that a back end raises by itself: MSI-X vectors, masked, moved
 * and turned off while it runs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vhost_driver.h"

#define WRITE  VRING_DESC_F_WRITE
#define VECTOR 1 /* that all queues of the mock driver have */
#define MASK   (BAR + BAR_TABLE + 16 * VECTOR + PCI_MSIX_ENTRY_VECTOR_CTRL)

static int set_up(void **state)
{
    static struct vhost v;

    driver_over_pci = true;
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.h.messages.lends = true;
    vhost_attach(&v);
    bring_up(&v.h, 0);
    *state = &v;
    return 0;
}

static int tear_down(void **state)
{
    struct vhost *v = *state;

    vhost_tear_down(v);
    for (unsigned i = 0; i < VECTORS_MAX; i++)
        close(v->h.messages.fds[i]);
    return 0;
}

/* Have the back end serve a buffer. */
static void request(struct vhost *v)
{
    driver_offer_buffer(&v->h.driver, 0, DATA, 16, WRITE);
    put(&v->h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* It raises the vector's own eventfd: nobody steps the loop meanwhile. */
static void assert_raises(struct vhost *v)
{
    struct pollfd ready = {.fd = v->h.messages.fds[VECTOR], .events = POLLIN};
    eventfd_t count;

    request(v);
    assert_int_equal(poll(&ready, 1, 10000), 1);
    assert_int_equal(eventfd_read(ready.fd, &count), 0);
}

static unsigned calls(struct vhost *v)
{
    return v->backend.seen[VHOST_SET_VRING_CALL];
}

static void the_back_end_raises_the_vector_itself(void **state)
{
    struct vhost *v = *state;
    uint32_t id, len;

    assert_raises(v);
    assert_true(driver_collect(&v->h.driver, &id, &len));
    assert_raises(v);
    assert_int_equal(v->h.messages.raises[VECTOR], 0);
    assert_false(v->h.messages.held[VECTOR]);
}

static void what_it_raises_is_held_while_the_vector_is_masked(void **state)
{
    struct vhost *v = *state;

    store_at(v->h.bus, MASK, PCI_MSIX_ENTRY_CTRL_MASKBIT, 4);
    assert_true(v->h.messages.held[VECTOR]);
    assert_int_equal(load_at(v->h.bus, BAR + BAR_PBA, 8), 0);
    request(v);
    AWAIT(v, load_at(v->h.bus, BAR + BAR_PBA, 8) == 1 << VECTOR);
    store_at(v->h.bus, MASK, 0, 4);
    assert_false(v->h.messages.held[VECTOR]);
    /* It was not asked to do anything about it. */
    assert_int_equal(calls(v), 1);
}

static void masking_the_function_holds_it_too(void **state)
{
    struct vhost *v = *state;
    unsigned msix = find_capability(v->h.bus, 1, PCI_CAP_ID_MSIX, 0);
    uint64_t flags = config_at(1, msix + PCI_MSIX_FLAGS);

    store_at(v->h.bus, flags, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL,
             2);
    assert_true(v->h.messages.held[VECTOR]);
    store_at(v->h.bus, flags, PCI_MSIX_FLAGS_ENABLE, 2);
    assert_false(v->h.messages.held[VECTOR]);
    assert_raises(v);
}

static void a_message_that_the_host_does_not_take_holds_it(void **state)
{
    struct vhost *v = *state;

    v->h.messages.refuse = true;
    store_at(v->h.bus, BAR + BAR_TABLE + 16 * VECTOR, 0x12345670, 4);
    assert_true(v->h.messages.held[VECTOR]);
    v->h.messages.refuse = false;
    store_at(v->h.bus, BAR + BAR_TABLE + 16 * VECTOR, 0xfee01000, 4);
    assert_false(v->h.messages.held[VECTOR]);
    assert_int_equal(v->h.messages.address[VECTOR], 0xfee01000);
}

static void without_msix_interrupts_come_by_the_legacy_line(void **state)
{
    struct vhost *v = *state;
    unsigned msix = find_capability(v->h.bus, 1, PCI_CAP_ID_MSIX, 0);

    store_at(v->h.bus, config_at(1, msix + PCI_MSIX_FLAGS), 0, 2);
    assert_int_equal(calls(v), 2);
    /* One for what may have been under way. */
    unsigned pulses = v->h.wire.pulses;
    assert_int_equal(pulses, 1);
    assert_int_equal(load_at(v->h.bus, BAR + BAR_ISR, 1), 1);
    request(v);
    AWAIT(v, v->h.wire.pulses > pulses);
    /* And back. */
    store_at(v->h.bus, config_at(1, msix + PCI_MSIX_FLAGS),
             PCI_MSIX_FLAGS_ENABLE, 2);
    assert_int_equal(calls(v), 3);
    assert_raises(v);
}

static void a_queue_that_gets_another_vector_is_told_of_it(void **state)
{
    struct vhost *v = *state;
    struct pollfd ready = {.fd = v->h.messages.fds[0], .events = POLLIN};

    store_at(v->h.bus, BAR + BAR_COMMON + VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
    store_at(v->h.bus, BAR + BAR_COMMON + VIRTIO_PCI_COMMON_Q_MSIX, 0, 2);
    assert_int_equal(calls(v), 2);
    request(v);
    assert_int_equal(poll(&ready, 1, 10000), 1);
    /* None at all: nobody is interrupted, nothing breaks. */
    store_at(v->h.bus, BAR + BAR_COMMON + VIRTIO_PCI_COMMON_Q_MSIX, 0xffff, 2);
    assert_int_equal(calls(v), 3);
    request(v);
    AWAIT(v, v->backend.served == 2);
    assert_string_equal(failure(v), "");
}

static void one_that_hangs_at_that_fails_the_device(void **state)
{
    struct vhost *v = *state;

    atomic_store(&v->backend.lie, DIES);
    atomic_store(&v->backend.lie_at, VHOST_SET_VRING_CALL);
    store_at(v->h.bus, BAR + BAR_COMMON + VIRTIO_PCI_COMMON_Q_SELECT, 0, 2);
    store_at(v->h.bus, BAR + BAR_COMMON + VIRTIO_PCI_COMMON_Q_MSIX, 0, 2);
    assert_int_equal(get(&v->h, VIRTIO_MMIO_STATUS), EVERYTHING | NEEDS_RESET);
    assert_int_equal(v->failures, 1);
}

static void a_reset_of_the_machine_forgets_what_was_held(void **state)
{
    struct vhost *v = *state;
    eventfd_t count;

    store_at(v->h.bus, MASK, PCI_MSIX_ENTRY_CTRL_MASKBIT, 4);
    request(v);
    AWAIT(v, load_at(v->h.bus, BAR + BAR_PBA, 8) == 1 << VECTOR);
    vmm_device_reset(v->h.pci_host);
    assert_false(v->h.messages.held[VECTOR]);
    assert_int_equal(eventfd_read(v->h.messages.fds[VECTOR], &count), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(the_back_end_raises_the_vector_itself),
        TEST(what_it_raises_is_held_while_the_vector_is_masked),
        TEST(masking_the_function_holds_it_too),
        TEST(a_message_that_the_host_does_not_take_holds_it),
        TEST(without_msix_interrupts_come_by_the_legacy_line),
        TEST(a_queue_that_gets_another_vector_is_told_of_it),
        TEST(one_that_hangs_at_that_fails_the_device),
        TEST(a_reset_of_the_machine_forgets_what_was_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
