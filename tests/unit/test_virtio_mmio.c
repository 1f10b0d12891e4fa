/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio-mmio transport, and over both transports the core behind them:
 * status, features, queues, configuration, interrupts; and a driver that breaks
 * the rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "virtio_echo.h"

/* ---- set-up ---- */

static int set_up(void **state)
{
    static struct host h;

    host_set_up(&h);
    host_attach(&h, echo_new(&h));
    *state = &h;
    return 0;
}

static int tear_down(void **state)
{
    host_tear_down(*state);
    return 0;
}

/* ---- identity ---- */

static void it_says_what_it_is(void **state)
{
    struct host *h = *state;

    assert_int_equal(get(h, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
    assert_int_equal(get(h, VIRTIO_MMIO_VERSION), 2);
    assert_int_equal(get(h, VIRTIO_MMIO_DEVICE_ID), 42);
    assert_int_equal(get(h, VIRTIO_MMIO_SHM_LEN_LOW), 0xffffffff);
    put(h, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    assert_int_equal(get(h, VIRTIO_MMIO_DEVICE_FEATURES),
                     1 << 5 | INDIRECT_BIT | EVENT_BIT);
    put(h, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    assert_int_equal(get(h, VIRTIO_MMIO_DEVICE_FEATURES), 1);
    put(h, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
    assert_int_equal(get(h, VIRTIO_MMIO_DEVICE_FEATURES), 0);
}

static void it_has_as_many_queues_as_it_has(void **state)
{
    struct host *h = *state;

    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_NUM_MAX), RING_SIZE);
    put(h, VIRTIO_MMIO_QUEUE_SEL, 1);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_NUM_MAX), 16);
    put(h, VIRTIO_MMIO_QUEUE_SEL, 2);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    put(h, VIRTIO_MMIO_QUEUE_SEL, UINT32_MAX);
    put(h, VIRTIO_MMIO_QUEUE_NUM, 8);
    put(h, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 0);
}

/* ---- life ---- */

static void a_driver_brings_it_up_and_buffers_go_round(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    assert_int_equal(echo_in(h)->starts, 1);
    for (int i = 0; i < 20; i++)
        assert_works(h);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_MMIO_INT_VRING);
    put(h, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void
buffers_that_came_before_the_driver_was_ready_are_served(void **state)
{
    struct host *h = *state;

    h->driver.next = h->driver.seen = 0;
    negotiate(h, VERSION_1);
    set_up_queue(h, 0, RING_SIZE);
    driver_offer_buffer(&h->driver, 0, DATA, 4, 0);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_int_equal(echo_in(h)->served, 0);
    drive_ok(h);
    serve(h);
    assert_true(driver_collect(&h->driver, &(uint32_t){0}, &(uint32_t){0}));
}

static void a_reset_stops_it_and_it_comes_up_again(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    assert_works(h);
    put(h, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS), 0);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 0);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
    assert_int_equal(echo_in(h)->stops, 1);
    bring_up(h, 0);
    assert_works(h);
}

static void ten_thousand_resets_leave_it_whole(void **state)
{
    struct host *h = *state;

    for (int i = 0; i < 10000; i++) {
        bring_up(h, i & 1 ? EVENT_BIT : 0);
        driver_offer_buffer(&h->driver, 0, DATA, 4, 0);
        put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        if (i & 2)
            serve(h);
    }
    bring_up(h, 0);
    serve(h);
    assert_works(h);
}

static void a_model_that_cannot_start_needs_a_reset(void **state)
{
    struct host *h = *state;

    echo_in(h)->refuses = true;
    negotiate(h, VERSION_1);
    set_up_queue(h, 0, RING_SIZE);
    drive_ok(h);
    assert_true(get(h, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_MMIO_INT_CONFIG);
    echo_in(h)->refuses = false;
    bring_up(h, 0);
    assert_works(h);
}

/* ---- negotiation ---- */

static void features_that_were_not_offered_are_not_ok(void **state)
{
    struct host *h = *state;

    negotiate(h, VERSION_1 | 1 << 6);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS), ACKNOWLEDGE | DRIVER);
    negotiate(h, VERSION_1 | UINT64_C(1) << 63);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS), ACKNOWLEDGE | DRIVER);
    bring_up(h, 1 << 5);
    assert_works(h);
}

static void a_legacy_driver_is_not_ok(void **state)
{
    struct host *h = *state;

    negotiate(h, 1 << 5);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS), ACKNOWLEDGE | DRIVER);
}

static void features_stay_once_they_are_ok(void **state)
{
    struct host *h = *state;

    negotiate(h, VERSION_1 | 1 << 5);
    put(h, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
    put(h, VIRTIO_MMIO_DRIVER_FEATURES, 0);
    assert_true(vmm_virtio_has(h->virtio, 5));
}

static void a_driver_is_not_ready_before_features_are_ok(void **state)
{
    struct host *h = *state;

    put(h, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS), ACKNOWLEDGE | DRIVER);
    assert_int_equal(echo_in(h)->starts, 0);
}

static void status_bits_are_never_taken_away(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    put(h, VIRTIO_MMIO_STATUS, ACKNOWLEDGE);
    put(h, VIRTIO_MMIO_STATUS, NEEDS_RESET);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    drive_ok(h);
    assert_int_equal(echo_in(h)->starts, 1);
    assert_works(h);
}

/* ---- queues ---- */

static void a_queue_that_cannot_be_needs_a_reset(void **state)
{
    static const uint32_t sizes[] = {0, 3, 16, 0x10008};
    struct host *h = *state;

    for (size_t i = 0; i < 4; i++) {
        negotiate(h, VERSION_1);
        set_up_queue(h, 0, sizes[i]);
        assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 0);
        assert_true(get(h, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
    }
    bring_up(h, 0);
    assert_works(h);
}

static void a_queue_is_frozen_while_the_driver_is_ready(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    put(h, VIRTIO_MMIO_QUEUE_READY, 0);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 1);
    put(h, VIRTIO_MMIO_QUEUE_NUM, 2);
    put(h, VIRTIO_MMIO_QUEUE_USED_LOW, DESC);
    put(h, VIRTIO_MMIO_QUEUE_READY, 1);
    assert_works(h);
    set_up_queue(h, 1, RING_SIZE);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void a_queue_waits_for_features(void **state)
{
    struct host *h = *state;

    put(h, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER);
    set_up_queue(h, 0, RING_SIZE);
    assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 0);
}

static void a_broken_ring_needs_a_reset(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    driver_offer(&h->driver, RING_SIZE);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_true(get(h, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
    unsigned served = echo_in(h)->served;
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_int_equal(echo_in(h)->served, served);
    bring_up(h, 0);
    assert_works(h);
}

static void notifications_of_no_queue_do_nothing(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    serve(h);
    unsigned served = echo_in(h)->served;
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 1); /* not enabled */
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 2);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
    serve(h);
    assert_int_equal(echo_in(h)->served, served);
    assert_works(h);
}

/* ---- accesses ---- */

static void registers_are_accessed_as_words_only(void **state)
{
    struct host *h = *state;
    uint64_t value;

    for (size_t size = 1; size <= 8; size++) {
        value = UINT64_MAX;
        vmm_bus_read(h->bus, BASE + 1, (uint8_t *)&value, size);
        assert_int_equal(
            value & (size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * size) - 1),
            0);
    }
    value = ACKNOWLEDGE;
    vmm_bus_write(h->bus, BASE + VIRTIO_MMIO_STATUS, (uint8_t *)&value, 1);
    vmm_bus_write(h->bus, BASE + VIRTIO_MMIO_STATUS, (uint8_t *)&value, 2);
    vmm_bus_write(h->bus, BASE + VIRTIO_MMIO_STATUS, (uint8_t *)&value, 8);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS), 0);
}

static void configuration_is_accessed_at_any_width_up_to_its_end(void **state)
{
    struct host *h = *state;
    static const uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    for (uint64_t offset = 0; offset < 12; offset++)
        for (size_t size = 1; size <= 8; size++) {
            uint8_t value[8], expected[8] = {0};

            memset(echo_in(h)->config, 0, 6);
            vmm_bus_write(h->bus, BASE + VIRTIO_MMIO_CONFIG + offset, bytes,
                          size);
            vmm_bus_read(h->bus, BASE + VIRTIO_MMIO_CONFIG + offset, value,
                         size);
            for (size_t i = 0; i < size && offset + i < 6; i++)
                expected[i] = bytes[i];
            assert_memory_equal(value, expected, size);
        }
}

static void a_change_of_the_configuration_is_told(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    uint32_t generation = get(h, VIRTIO_MMIO_CONFIG_GENERATION);
    vmm_virtio_enter(h->virtio);
    vmm_virtio_config_changed(h->virtio);
    vmm_virtio_leave(h->virtio);
    assert_int_not_equal(get(h, VIRTIO_MMIO_CONFIG_GENERATION), generation);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_MMIO_INT_CONFIG);
    assert_int_equal(h->wire.pulses, 1);
}

static void it_outlives_its_transport_as_a_husk(void **state)
{
    struct host *h = *state;
    struct vmm_error err;

    bring_up(h, 0);
    MUST(vmm_bus_remove(h->bus, BASE, &err));
    assert_int_equal(echo_in(h)->stops, 1);
    vmm_virtio_kick(h->virtio, 0);
    vmm_virtio_enter(h->virtio);
    vmm_virtio_config_changed(h->virtio);
    vmm_virtio_leave(h->virtio);
    serve(h);
    assert_int_equal(h->wire.pulses, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest core[] = {
        TEST(a_driver_brings_it_up_and_buffers_go_round),
        TEST(buffers_that_came_before_the_driver_was_ready_are_served),
        TEST(a_reset_stops_it_and_it_comes_up_again),
        TEST(ten_thousand_resets_leave_it_whole),
        TEST(a_model_that_cannot_start_needs_a_reset),
        TEST(features_that_were_not_offered_are_not_ok),
        TEST(a_legacy_driver_is_not_ok),
        TEST(features_stay_once_they_are_ok),
        TEST(a_driver_is_not_ready_before_features_are_ok),
        TEST(status_bits_are_never_taken_away),
        TEST(a_queue_that_cannot_be_needs_a_reset),
        TEST(a_queue_is_frozen_while_the_driver_is_ready),
        TEST(a_queue_waits_for_features),
        TEST(a_broken_ring_needs_a_reset),
        TEST(notifications_of_no_queue_do_nothing),
        TEST(a_change_of_the_configuration_is_told),
    };
    const struct CMUnitTest mmio[] = {
        TEST(it_says_what_it_is),
        TEST(it_has_as_many_queues_as_it_has),
        TEST(registers_are_accessed_as_words_only),
        TEST(configuration_is_accessed_at_any_width_up_to_its_end),
        TEST(it_outlives_its_transport_as_a_husk),
    };

    return RUN_OVER_BOTH("virtio", core) +
           cmocka_run_group_tests_name("virtio_mmio", mmio, over_mmio, NULL);
}
