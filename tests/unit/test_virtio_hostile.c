/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a driver may do wrong to any virtio device, over both transports: each
 * costs it the device until a reset, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "virtio_echo.h"

#define NEXT VRING_DESC_F_NEXT

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

static void assert_up_again(struct host *h)
{
    bring_up(h, 0);
    assert_works(h);
}

/* ---- rings ---- */

static void lay_out(struct host *h, uint64_t desc, uint64_t avail,
                    uint64_t used)
{
    put(h, VIRTIO_MMIO_QUEUE_SEL, 0);
    put(h, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
    put(h, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)desc);
    put(h, VIRTIO_MMIO_QUEUE_DESC_HIGH, (uint32_t)(desc >> 32));
    put(h, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)avail);
    put(h, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, (uint32_t)(avail >> 32));
    put(h, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)used);
    put(h, VIRTIO_MMIO_QUEUE_USED_HIGH, (uint32_t)(used >> 32));
}

static void rings_at_addresses_that_cannot_be_need_a_reset(void **state)
{
    struct host *h = *state;
    const uint64_t registers = config_byte(h, 0) & ~UINT64_C(0xfff);
    const uint64_t places[][3] = {
        {DESC + 8, AVAIL, USED}, /* unaligned */
        {DESC, AVAIL + 1, USED},
        {DESC, AVAIL, USED + 2},
        {DESC, DESC + 64, USED}, /* overlapping */
        {DESC, AVAIL, AVAIL},
        {registers, AVAIL, USED}, /* the device's own registers */
        {DESC, registers, USED},
        {DESC, AVAIL, registers},
        {RAM_END - 16, AVAIL, USED},
        {UINT64_MAX - 15, AVAIL, USED}, /* wraps */
        {DESC | UINT64_C(1) << 32, AVAIL, USED},
    };

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        negotiate(h, VERSION_1);
        lay_out(h, places[i][0], places[i][1], places[i][2]);
        put(h, VIRTIO_MMIO_QUEUE_READY, 1);
        assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 0);
        assert_true(get(h, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
        assert_up_again(h);
    }
}

/* After a notification the device asks for a reset, and serves no more. */
static void assert_broken_by_a_notification(struct host *h)
{
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_true(get(h, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
    assert_true(get(h, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
    unsigned served = echo_in(h)->served;
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_int_equal(echo_in(h)->served, served);
    assert_up_again(h);
}

static void an_index_more_than_a_queue_ahead_needs_a_reset(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    assert_works(h);
    MUST(vmm_memory_store_u16(h->driver.memory, AVAIL + 2, RING_SIZE + 2));
    assert_broken_by_a_notification(h);
}

static void a_chain_that_loops_needs_a_reset(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    driver_desc(&h->driver, 0, DATA, 1, NEXT, 1);
    driver_desc(&h->driver, 1, DATA, 1, NEXT, 0);
    driver_offer(&h->driver, 0);
    assert_broken_by_a_notification(h);
}

/* ---- queues ---- */

/* What is ready is laid out no more; over virtio-mmio it can be taken back. */
static void
a_queue_that_is_readied_over_and_over_is_where_it_was_first(void **state)
{
    struct host *h = *state;

    h->driver.next = h->driver.seen = 0;
    MUST(vmm_memory_fill(h->driver.memory, DESC, 0, INDIRECT - DESC));
    negotiate(h, VERSION_1);
    set_up_queue(h, 0, RING_SIZE);
    for (int i = 0; i < 1000; i++) {
        lay_out(h, ISLAND, ISLAND + 0x400, ISLAND + 0x800);
        if (h->over_pci)
            assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_DESC_LOW), DESC);
        else
            put(h, VIRTIO_MMIO_QUEUE_READY, 0);
        put(h, VIRTIO_MMIO_QUEUE_READY, 1);
        assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 1);
    }
    drive_ok(h);
    assert_works(h);
}

static void a_queue_that_there_is_not_is_never_ready(void **state)
{
    static const uint32_t queues[] = {ECHO_QUEUES, 0x7fff, 0xffff};
    struct host *h = *state;

    negotiate(h, VERSION_1);
    for (size_t i = 0; i < sizeof(queues) / sizeof(*queues); i++) {
        set_up_queue(h, queues[i], RING_SIZE);
        assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_READY), 0);
        assert_int_equal(get(h, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
        put(h, VIRTIO_MMIO_QUEUE_NOTIFY, queues[i]);
    }
    drive_ok(h);
    serve(h);
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    assert_int_equal(echo_in(h)->served, 0);
    assert_up_again(h);
}

static void a_notification_that_a_reset_overtakes_is_forgotten(void **state)
{
    struct host *h = *state;
    uint16_t used;

    bring_up(h, 0);
    serve(h);
    unsigned served = echo_in(h)->served;
    driver_offer_buffer(&h->driver, 0, DATA, 4, 0);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    put(h, VIRTIO_MMIO_STATUS, 0);
    serve(h);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(h);
    assert_int_equal(echo_in(h)->served, served);
    MUST(vmm_memory_load_u16(h->driver.memory, USED + 2, &used));
    assert_int_equal(used, 0);
    assert_int_equal(h->wire.pulses, 0);
    assert_up_again(h);
}

/* ---- status ---- */

/* Any two writes after a reset, with features that are fine or not. */
static void status_bits_in_any_order_start_it_only_with_features(void **state)
{
    struct host *h = *state;

    for (uint32_t i = 0; i < 1u << 17; i++) {
        uint32_t first = i & 0xff, second = i >> 8 & 0xff, fine = i >> 16;
        unsigned starts = echo_in(h)->starts;

        put(h, VIRTIO_MMIO_STATUS, 0);
        put(h, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
        put(h, VIRTIO_MMIO_DRIVER_FEATURES, fine);
        put(h, VIRTIO_MMIO_STATUS, first);
        put(h, VIRTIO_MMIO_STATUS, second);
        uint32_t status = get(h, VIRTIO_MMIO_STATUS);
        bool running = status & DRIVER_OK;
        if (status & NEEDS_RESET || (status & FEATURES_OK && !fine) ||
            (running && !(status & FEATURES_OK)) ||
            (running && echo_in(h)->starts == starts) ||
            (echo_in(h)->starts > starts + 2))
            fail_msg("0x%x, 0x%x: status 0x%x", first, second, status);
    }
    assert_int_equal(echo_in(h)->starts,
                     echo_in(h)->stops +
                         (get(h, VIRTIO_MMIO_STATUS) & DRIVER_OK) / DRIVER_OK);
    assert_up_again(h);
}

/* ---- neighbours ---- */

/* Another one right behind the first; where that is. */
static uint64_t attach_neighbour(struct host *h)
{
    struct vmm_irq_line line = {on_wire, &h->wire};
    struct vmm_virtio *virtio = echo_new(h);
    struct vmm_device *device;
    struct vmm_error err;
    uint64_t at = BASE + VMM_VIRTIO_MMIO_BYTES;

    if (!h->over_pci) {
        if (vmm_virtio_mmio_new(virtio, &line, &device, &err) ||
            vmm_bus_add(h->bus, at, VMM_VIRTIO_MMIO_BYTES, device, 0, &err))
            fail_msg("%s", err.text);
        vmm_device_unref(device);
        return at;
    }
    at = BAR + VMM_VIRTIO_PCI_BAR_BYTES;
    struct vmm_virtio_pci_config config = {.host = h->pci_host,
                                           .slot = 2,
                                           .bar = at,
                                           .lines = {.route = on_route,
                                                     .raise = on_raise,
                                                     .context = &h->messages,
                                                     .count = 1}};
    if (vmm_virtio_pci_new(virtio, &config, &err))
        fail_msg("%s", err.text);
    store_at(h->bus, config_at(2, PCI_COMMAND), PCI_COMMAND_MEMORY, 2);
    return at;
}

/* The first register behind the border is the magic number, or the select of
 * features, which can be written. */
static void an_access_to_two_devices_is_each_one_s_part(void **state)
{
    struct host *h = *state;
    const uint32_t magic = 0x74726976;
    uint64_t border = attach_neighbour(h);

    bring_up(h, 0);
    for (size_t before = 1; before < 8; before++)
        for (size_t size = before + 1; size <= 8; size++) {
            bool whole = size - before == 4;
            uint64_t ones = size == 8 ? UINT64_MAX : (1ull << 8 * size) - 1;

            store_at(h->bus, border, 0, 4);
            store_at(h->bus, border - before, ones, size);
            uint32_t there = (uint32_t)load_at(h->bus, border, 4);
            assert_int_equal(there, !h->over_pci ? magic
                                    : whole      ? UINT32_MAX
                                                 : 0);
            assert_int_equal(load_at(h->bus, border - before, size),
                             whole ? (uint64_t)there << 8 * before : 0);
        }
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    assert_works(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rings_at_addresses_that_cannot_be_need_a_reset),
        TEST(an_index_more_than_a_queue_ahead_needs_a_reset),
        TEST(a_chain_that_loops_needs_a_reset),
        TEST(a_queue_that_is_readied_over_and_over_is_where_it_was_first),
        TEST(a_queue_that_there_is_not_is_never_ready),
        TEST(a_notification_that_a_reset_overtakes_is_forgotten),
        TEST(status_bits_in_any_order_start_it_only_with_features),
        TEST(an_access_to_two_devices_is_each_one_s_part),
    };

    return RUN_OVER_BOTH("virtio_hostile", tests);
}
