/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The entropy device, driven over both transports. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "virtio_driver.h"

#define WRITE VRING_DESC_F_WRITE

static void set_up_with(void **state, uint32_t rate)
{
    static struct host h;
    struct vmm_virtio *virtio;
    struct vmm_error err;

    host_set_up(&h);
    if (vmm_virtio_rng_new(h.driver.memory, h.loop, rate, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&h, virtio);
    bring_up(&h, EVENT_BIT | INDIRECT_BIT);
    *state = &h;
}

static int set_up(void **state)
{
    set_up_with(state, 0);
    return 0;
}

static int set_up_slow(void **state)
{
    set_up_with(state, 1000);
    return 0;
}

static int tear_down(void **state)
{
    host_tear_down(*state);
    return 0;
}

static uint32_t used_length(struct host *h)
{
    uint32_t id, len;

    if (!driver_collect(&h->driver, &id, &len))
        fail_msg("nothing was used");
    return len;
}

/* One buffer, served; how much of it was filled. */
static uint32_t request(struct host *h, uint64_t gpa, uint32_t len,
                        uint16_t flags)
{
    driver_offer_buffer(&h->driver, 0, gpa, len, flags);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    return used_length(h);
}

static void it_is_an_entropy_device(void **state)
{
    assert_int_equal(get(*state, VIRTIO_MMIO_DEVICE_ID), 4);
}

static void it_fills_a_buffer_with_what_differs_each_time(void **state)
{
    struct host *h = *state;
    uint8_t first[64] = {0}, second[64];

    assert_int_equal(request(h, DATA, 64, WRITE), 64);
    MUST(vmm_memory_read(h->driver.memory, DATA, second, 64));
    assert_memory_not_equal(first, second, 64);
    assert_int_equal(request(h, DATA, 64, WRITE), 64);
    MUST(vmm_memory_read(h->driver.memory, DATA, first, 64));
    assert_memory_not_equal(first, second, 64);
}

static void a_buffer_of_many_parts_is_filled_whole(void **state)
{
    struct host *h = *state;

    driver_desc(&h->driver, 0, DATA, 300, WRITE | VRING_DESC_F_NEXT, 1);
    driver_desc(&h->driver, 1, ISLAND, 700, WRITE, 0);
    driver_offer(&h->driver, 0);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_int_equal(used_length(h), 1000);
}

static void a_buffer_that_cannot_be_filled_is_given_back_empty(void **state)
{
    struct host *h = *state;

    assert_int_equal(request(h, RAM_END, 64, WRITE), 0);
    assert_int_equal(request(h, UINT64_MAX, 64, WRITE), 0);
    assert_int_equal(request(h, DATA, 64, 0), 0); /* not for the device */
    assert_int_equal(request(h, DATA, 0, WRITE), 0);
    assert_int_equal(request(h, DATA, 64, WRITE), 64);
}

static void a_buffer_that_ends_outside_ram_is_filled_up_to_there(void **state)
{
    assert_int_equal(request(*state, RAM_END - 256, UINT32_MAX, WRITE), 256);
    assert_int_equal(request(*state, DATA, 64, WRITE), 64);
}

static void a_huge_buffer_is_filled_in_part(void **state)
{
    assert_int_equal(request(*state, DATA, 0x20000, WRITE), 0x10000);
}

static void
a_limit_lets_a_second_s_worth_pass_and_then_as_much_as_it_says(void **state)
{
    struct host *h = *state;

    assert_int_equal(request(h, DATA, 4096, WRITE), 1000);
    driver_offer_buffer(&h->driver, 1, DATA, 4096, WRITE);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    uint32_t id, len, waits = 0;
    while (!driver_collect(&h->driver, &id, &len)) {
        assert_true(waits++ < 100);
        /* The timer's turn. */
        assert_true(vmm_loop_step(h->loop, 10000000000) > 0);
    }
    assert_in_range(len, 1, 999);
}

static void what_has_to_wait_for_the_limit_keeps_nobody_busy(void **state)
{
    struct host *h = *state;
    unsigned turns = 0;

    request(h, DATA, 4096, WRITE);
    for (uint16_t i = 1; i < 3; i++)
        driver_offer_buffer(&h->driver, i, DATA, 4096, WRITE);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    while (vmm_loop_step(h->loop, 0) > 0)
        turns++;
    /* One by the notification; a slow host may see the timer's as well. */
    assert_in_range(turns, 1, 10);
}

static void a_reset_while_it_waits_for_its_limit_is_clean(void **state)
{
    struct host *h = *state;

    request(h, DATA, 4096, WRITE);
    driver_offer_buffer(&h->driver, 1, DATA, 4096, WRITE);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    put(h, VIRTIO_MMIO_STATUS, 0);
    vmm_loop_step(h->loop, 50000000);
    bring_up(h, 0);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SLOW(name)                                                        \
    cmocka_unit_test_setup_teardown(name, set_up_slow, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_an_entropy_device),
        TEST(it_fills_a_buffer_with_what_differs_each_time),
        TEST(a_buffer_of_many_parts_is_filled_whole),
        TEST(a_buffer_that_cannot_be_filled_is_given_back_empty),
        TEST(a_buffer_that_ends_outside_ram_is_filled_up_to_there),
        TEST(a_huge_buffer_is_filled_in_part),
        TEST_SLOW(
            a_limit_lets_a_second_s_worth_pass_and_then_as_much_as_it_says),
        TEST_SLOW(what_has_to_wait_for_the_limit_keeps_nobody_busy),
        TEST_SLOW(a_reset_while_it_waits_for_its_limit_is_clean),
    };

    return RUN_OVER_BOTH("virtio_rng", tests);
}
