/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio-pci transport: its capabilities, registers, vectors and ISR,
 * doorbells that move with the BAR; and a driver that breaks the rules.  (What
 * lies behind it is tested over both transports in test_virtio_mmio.c.) */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "virtio_echo.h"

#define NO_VECTOR VIRTIO_MSI_NO_VECTOR
#define QUEUES    ECHO_QUEUES

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

/* ---- accesses ---- */

static uint32_t config_get(struct host *h, unsigned offset, size_t size)
{
    return (uint32_t)load_at(h->bus, config_at(1, offset), size);
}

static void config_put(struct host *h, unsigned offset, uint32_t value,
                       size_t size)
{
    store_at(h->bus, config_at(1, offset), value, size);
}

static uint64_t bar_get(struct host *h, uint64_t offset, size_t size)
{
    return load_at(h->bus, BAR + offset, size);
}

static void bar_put(struct host *h, uint64_t offset, uint64_t value,
                    size_t size)
{
    store_at(h->bus, BAR + offset, value, size);
}

/* The virtio capability of a type. */
static unsigned find_structure(struct host *h, uint8_t type)
{
    unsigned at = 0;

    while ((at = find_capability(h->bus, 1, PCI_CAP_ID_VNDR, at)))
        if (config_get(h, at + VIRTIO_PCI_CAP_CFG_TYPE, 1) == type)
            return at;
    fail_msg("there is no capability of type %u", type);
    return 0;
}

static void msix_off(struct host *h)
{
    unsigned msix = find_capability(h->bus, 1, PCI_CAP_ID_MSIX, 0);

    config_put(h, msix + PCI_MSIX_FLAGS, 0, 2);
}

static void change_config(struct host *h)
{
    vmm_virtio_enter(h->virtio);
    vmm_virtio_config_changed(h->virtio);
    vmm_virtio_leave(h->virtio);
}

/* ---- what it is ---- */

static void it_says_what_it_is(void **state)
{
    struct host *h = *state;

    assert_int_equal(config_get(h, PCI_VENDOR_ID, 4), 0x106a1af4);
    assert_int_equal(config_get(h, PCI_REVISION_ID, 1), 1);
    assert_in_range(config_get(h, PCI_SUBSYSTEM_ID, 2), 0x40, 0xffff);
    assert_int_equal(config_get(h, PCI_INTERRUPT_LINE, 2), 0x0110);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_NUMQ, 2), QUEUES);
}

static void its_capabilities_say_where_everything_is(void **state)
{
    struct host *h = *state;
    static const struct {
        uint8_t type, length;
        uint32_t offset, bytes;
    } structures[] = {
        {VIRTIO_PCI_CAP_COMMON_CFG, 16, BAR_COMMON, 0x3c},
        {VIRTIO_PCI_CAP_ISR_CFG, 16, BAR_ISR, 1},
        {VIRTIO_PCI_CAP_DEVICE_CFG, 16, BAR_CONFIG, 6},
        {VIRTIO_PCI_CAP_NOTIFY_CFG, 20, BAR_NOTIFY, 4 * QUEUES},
        {VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0},
    };

    assert_true(config_get(h, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
    for (size_t i = 0; i < sizeof(structures) / sizeof(*structures); i++) {
        unsigned at = find_structure(h, structures[i].type);

        assert_int_equal(at % 4, 0);
        assert_int_equal(config_get(h, at + VIRTIO_PCI_CAP_LEN, 1),
                         structures[i].length);
        assert_int_equal(config_get(h, at + VIRTIO_PCI_CAP_BAR, 1), 0);
        assert_int_equal(config_get(h, at + VIRTIO_PCI_CAP_OFFSET, 4),
                         structures[i].offset);
        assert_int_equal(config_get(h, at + VIRTIO_PCI_CAP_LENGTH, 4),
                         structures[i].bytes);
    }
    unsigned notify = find_structure(h, VIRTIO_PCI_CAP_NOTIFY_CFG);
    assert_int_equal(config_get(h, notify + VIRTIO_PCI_NOTIFY_CAP_MULT, 4), 4);
}

static void each_queue_has_its_place_to_notify(void **state)
{
    struct host *h = *state;

    for (uint16_t queue = 0; queue < QUEUES; queue++) {
        bar_put(h, VIRTIO_PCI_COMMON_Q_SELECT, queue, 2);
        assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_SELECT, 2), queue);
        assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_NOFF, 2), queue);
        assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_SIZE, 2),
                         queue ? 16 : RING_SIZE);
    }
    bring_up(h, 0);
    go_round(h);
}

static void addresses_of_a_queue_read_back(void **state)
{
    struct host *h = *state;

    for (unsigned offset = VIRTIO_PCI_COMMON_Q_DESCLO;
         offset <= VIRTIO_PCI_COMMON_Q_USEDHI; offset += 4)
        bar_put(h, offset, 0x01010101 * (uint64_t)offset, 4);
    for (unsigned offset = VIRTIO_PCI_COMMON_Q_DESCLO;
         offset <= VIRTIO_PCI_COMMON_Q_USEDHI; offset += 4)
        assert_int_equal(bar_get(h, offset, 4), 0x01010101 * offset);
    bar_put(h, VIRTIO_PCI_COMMON_Q_SIZE, 4, 2);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_SIZE, 2), 4);
}

static void a_queue_that_there_is_not_has_nothing(void **state)
{
    struct host *h = *state;

    bar_put(h, VIRTIO_PCI_COMMON_Q_SELECT, 0xffff, 2);
    for (unsigned offset = VIRTIO_PCI_COMMON_Q_DESCLO;
         offset <= VIRTIO_PCI_COMMON_Q_USEDHI; offset += 4) {
        bar_put(h, offset, UINT32_MAX, 4);
        assert_int_equal(bar_get(h, offset, 4), 0);
    }
    bar_put(h, VIRTIO_PCI_COMMON_Q_SIZE, 8, 2);
    bar_put(h, VIRTIO_PCI_COMMON_Q_MSIX, 1, 2);
    bar_put(h, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_SIZE, 2), 0);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    bring_up(h, 0);
    go_round(h);
}

/* ---- accesses of other kinds ---- */

/* Each width at each offset of all areas: nothing but registers accessed whole
 * has an effect. */
static void only_whole_registers_are_registers(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    for (unsigned offset = 0; offset < 0x40; offset++)
        for (size_t size = 1; size <= 8; size++) {
            if (size == 1 || size == 2 || size == 4)
                continue;
            bar_put(h, offset, 0, size);
            assert_int_equal(bar_get(h, offset, size), 0);
        }
    bar_put(h, VIRTIO_PCI_COMMON_STATUS, 0, 2); /* with the generation */
    bar_put(h, VIRTIO_PCI_COMMON_STATUS - 1, 0, 2);
    bar_put(h, VIRTIO_PCI_COMMON_NUMQ, 0, 4);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_STATUS, 1),
                     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    go_round(h);
}

static void areas_end_where_they_end(void **state)
{
    struct host *h = *state;

    for (uint64_t offset = 0x3c; offset < VMM_VIRTIO_PCI_BAR_BYTES;
         offset += 4) {
        if (offset >= BAR_CONFIG && offset < BAR_CONFIG + 8)
            continue;
        if (offset >= BAR_TABLE && offset < BAR_TABLE + 16 * (QUEUES + 1))
            continue;
        assert_int_equal(bar_get(h, offset, 4), 0);
        bar_put(h, offset, UINT32_MAX, 4);
        assert_int_equal(bar_get(h, offset, 4), 0);
    }
    bring_up(h, 0);
    go_round(h);
}

static void configuration_is_accessed_at_any_width_up_to_its_end(void **state)
{
    struct host *h = *state;
    uint8_t *config = echo_in(h)->config;

    for (uint64_t offset = 0; offset < 12; offset++)
        for (size_t size = 1; size <= 8; size++) {
            uint8_t value[8], expected[8] = {0};

            memset(config, 0, 6);
            bar_put(h, BAR_CONFIG + offset, 0x0807060504030201, size);
            vmm_bus_read(h->bus, BAR + BAR_CONFIG + offset, value, size);
            for (size_t i = 0; i < size && offset + i < 6; i++)
                expected[i] = (uint8_t)(i + 1);
            assert_memory_equal(value, expected, size);
        }
}

static void notifications_of_no_queue_do_nothing(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    serve(h);
    unsigned served = echo_in(h)->served;
    for (unsigned offset = 1; offset < 0x1000; offset++)
        bar_put(h, BAR_NOTIFY + offset, 0, 2);
    serve(h);
    assert_int_equal(echo_in(h)->served, served);
    go_round(h);
}

/* ---- interrupts ---- */

static void each_queue_has_the_vector_that_the_driver_gave_it(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    go_round(h);
    assert_int_equal(h->messages.raises[1], 1);
    assert_int_equal(h->messages.sent_data, 0x41);
    change_config(h);
    assert_int_equal(h->messages.raises[0], 1);
    assert_int_equal(h->messages.sent_data, 0x40);
    assert_int_equal(bar_get(h, BAR_ISR, 1), 0); /* it is not used */
}

static void without_a_vector_there_is_no_interrupt(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    bar_put(h, VIRTIO_PCI_COMMON_Q_MSIX, NO_VECTOR, 2);
    bar_put(h, VIRTIO_PCI_COMMON_MSIX, NO_VECTOR, 2);
    go_round(h);
    change_config(h);
    assert_int_equal(h->wire.pulses, 0);
}

static void a_vector_that_there_is_not_reads_back_as_none(void **state)
{
    struct host *h = *state;
    static const uint16_t wrong[] = {QUEUES + 1, 0x100, 0x7ff, 0xfffe};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        bar_put(h, VIRTIO_PCI_COMMON_MSIX, wrong[i], 2);
        assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
        bar_put(h, VIRTIO_PCI_COMMON_Q_MSIX, wrong[i], 2);
        assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
    }
    bar_put(h, VIRTIO_PCI_COMMON_Q_MSIX, QUEUES, 2);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_MSIX, 2), QUEUES);
}

static void a_masked_queue_s_interrupt_waits(void **state)
{
    struct host *h = *state;

    bring_up(h, 0);
    bar_put(h, BAR_TABLE + 16 + 12, 1, 4);
    go_round(h);
    assert_int_equal(h->messages.raises[1], 0);
    assert_int_equal(bar_get(h, BAR_PBA, 8), 2);
    bar_put(h, BAR_TABLE + 16 + 12, 0, 4);
    assert_int_equal(h->messages.raises[1], 1);
}

static void without_msix_the_line_is_high_until_the_isr_is_read(void **state)
{
    struct host *h = *state;

    msix_off(h);
    bring_up(h, 0);
    go_round(h);
    assert_int_equal(h->wire.pulses, 1);
    change_config(h);
    assert_int_equal(h->wire.pulses, 1); /* it is high already */
    assert_true(config_get(h, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    assert_int_equal(bar_get(h, BAR_ISR, 1), 3);
    assert_false(config_get(h, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    assert_int_equal(bar_get(h, BAR_ISR, 1), 0);
    go_round(h);
    assert_int_equal(h->wire.pulses, 2);
    assert_int_equal(h->messages.raises[1], 0);
}

static void a_reset_forgets_vectors_and_isr(void **state)
{
    struct host *h = *state;

    msix_off(h);
    bring_up(h, 0);
    go_round(h);
    bar_put(h, VIRTIO_PCI_COMMON_STATUS, 0, 1);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_STATUS, 1), 0);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_MSIX, 2), NO_VECTOR);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_MSIX, 2), NO_VECTOR);
    assert_int_equal(bar_get(h, VIRTIO_PCI_COMMON_Q_ENABLE, 2), 0);
    assert_false(config_get(h, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
    assert_int_equal(bar_get(h, BAR_ISR, 1), 0);
}

/* ---- the BAR by way of configuration space ---- */

static void set_access(struct host *h, uint8_t bar, uint32_t offset,
                       uint32_t length)
{
    unsigned at = find_structure(h, VIRTIO_PCI_CAP_PCI_CFG);

    config_put(h, at + VIRTIO_PCI_CAP_BAR, bar, 1);
    config_put(h, at + VIRTIO_PCI_CAP_OFFSET, offset, 4);
    config_put(h, at + VIRTIO_PCI_CAP_LENGTH, length, 4);
}

static void the_bar_is_accessed_through_configuration_space(void **state)
{
    struct host *h = *state;
    unsigned data = find_structure(h, VIRTIO_PCI_CAP_PCI_CFG) + 16;

    config_put(h, PCI_COMMAND, 0, 2); /* not decoded */
    set_access(h, 0, VIRTIO_PCI_COMMON_NUMQ, 2);
    assert_int_equal(config_get(h, data, 2), QUEUES);
    set_access(h, 0, VIRTIO_PCI_COMMON_STATUS, 1);
    config_put(h, data, ACKNOWLEDGE, 1);
    assert_int_equal(config_get(h, data, 1), ACKNOWLEDGE);
    set_access(h, 0, VIRTIO_PCI_COMMON_DFSELECT, 4);
    config_put(h, data, 1, 4);
    set_access(h, 0, VIRTIO_PCI_COMMON_DF, 4);
    assert_int_equal(config_get(h, data, 4), 1);
}

static void accesses_out_of_range_do_nothing(void **state)
{
    struct host *h = *state;
    unsigned data = find_structure(h, VIRTIO_PCI_CAP_PCI_CFG) + 16;
    static const struct {
        uint8_t bar;
        uint32_t offset, length;
    } wrong[] = {
        {1, 4, 4},           {2, 4, 4}, /* would read features */
        {255, 4, 4},         {0, VMM_VIRTIO_PCI_BAR_BYTES, 4},
        {0, UINT32_MAX, 1},  {0, UINT32_MAX - 3, 4},
        {0, 2, 4},           {0, 1, 2},
        {0, 0, 0},           {0, 0, 3},
        {0, 0, 8},           {0, 0, UINT32_MAX},
        {0, 0x80000000u, 4},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        set_access(h, wrong[i].bar, wrong[i].offset, wrong[i].length);
        config_put(h, data, 0x5a5a5a5a, 4);
        assert_int_equal(config_get(h, data, 4), 0x5a5a5a5a);
    }
    set_access(h, 0, VMM_VIRTIO_PCI_BAR_BYTES - 4, 4);
    assert_int_equal(config_get(h, data, 4), 0);
    bring_up(h, 0);
    go_round(h);
}

/* ---- moves, and reset under load ---- */

static void a_bar_that_is_away_loses_nothing_but_accesses(void **state)
{
    struct host *h = *state;
    uint32_t id, len;

    bring_up(h, 0);
    driver_offer_buffer(&h->driver, 1, DATA, 4, 0);
    put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    config_put(h, PCI_COMMAND, 0, 2);
    serve(h);
    assert_true(driver_collect(&h->driver, &id, &len));
    assert_int_equal(h->messages.raises[1], 1);
    assert_int_equal(bar_get(h, 0, 4), 0xffffffff);
    config_put(h, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    go_round(h);
}

struct doorbells {
    int fds[8];
    uint64_t at[8];
    unsigned count;
};

static void on_doorbell(void *context, uint64_t address, int fd, bool on)
{
    struct doorbells *d = context;

    for (unsigned i = 0; !on && i < d->count; i++)
        if (d->at[i] == address && d->fds[i] == fd) {
            d->at[i] = 0;
            return;
        }
    if (!on)
        fail_msg("no doorbell was at 0x%llx", (unsigned long long)address);
    d->at[d->count] = address;
    d->fds[d->count++] = fd;
}

static void doorbells_move_with_the_bar(void **state)
{
    struct host *h = *state;
    struct doorbells d = {0};
    struct vmm_error err;
    struct vmm_virtio *second = echo_new(h);
    struct vmm_virtio_pci_config config = {.host = h->pci_host,
                                           .slot = 5,
                                           .bar = 0xd8200000,
                                           .lines = {.route = on_route,
                                                     .raise = on_raise,
                                                     .context = &h->messages,
                                                     .count = QUEUES + 1},
                                           .doorbell = on_doorbell,
                                           .doorbell_context = &d};

    MUST(vmm_virtio_pci_new(second, &config, &err));
    assert_int_equal(d.count, 0);
    store_at(h->bus, config_at(5, PCI_COMMAND), PCI_COMMAND_MEMORY, 2);
    assert_int_equal(d.count, QUEUES);
    assert_int_equal(d.at[0], 0xd8200000 + BAR_NOTIFY);
    assert_int_equal(d.at[1], 0xd8200004 + BAR_NOTIFY);
    assert_int_equal(d.fds[1], vmm_virtio_notify_fd(second, 1));
    store_at(h->bus, config_at(5, PCI_BASE_ADDRESS_0), 0xd8300000, 4);
    assert_int_equal(d.at[0], 0);
    assert_int_equal(d.at[1], 0);
    assert_int_equal(d.at[2], 0xd8300000 + BAR_NOTIFY);
    /* Over the first device. */
    store_at(h->bus, config_at(5, PCI_BASE_ADDRESS_0), BAR, 4);
    assert_int_equal(d.count, 4);
    assert_int_equal(d.at[2], 0);
    bring_up(h, 0);
    go_round(h);
}

static void resets_under_load_leave_it_whole(void **state)
{
    struct host *h = *state;

    for (int i = 0; i < 10000; i++) {
        bring_up(h, i & 1 ? EVENT_BIT : 0);
        driver_offer_buffer(&h->driver, 0, DATA, 4, 0);
        put(h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        if (i % 3 == 0)
            serve(h);
        if (i % 7 == 0) {
            config_put(h, PCI_COMMAND, 0, 2);
            config_put(h, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
        }
    }
    bring_up(h, 0);
    serve(h);
    go_round(h);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_says_what_it_is),
        TEST(its_capabilities_say_where_everything_is),
        TEST(each_queue_has_its_place_to_notify),
        TEST(addresses_of_a_queue_read_back),
        TEST(a_queue_that_there_is_not_has_nothing),
        TEST(only_whole_registers_are_registers),
        TEST(areas_end_where_they_end),
        TEST(configuration_is_accessed_at_any_width_up_to_its_end),
        TEST(notifications_of_no_queue_do_nothing),
        TEST(each_queue_has_the_vector_that_the_driver_gave_it),
        TEST(without_a_vector_there_is_no_interrupt),
        TEST(a_vector_that_there_is_not_reads_back_as_none),
        TEST(a_masked_queue_s_interrupt_waits),
        TEST(without_msix_the_line_is_high_until_the_isr_is_read),
        TEST(a_reset_forgets_vectors_and_isr),
        TEST(the_bar_is_accessed_through_configuration_space),
        TEST(accesses_out_of_range_do_nothing),
        TEST(a_bar_that_is_away_loses_nothing_but_accesses),
        TEST(doorbells_move_with_the_bar),
        TEST(resets_under_load_leave_it_whole),
    };

    return cmocka_run_group_tests_name("virtio_pci", tests, over_pci, NULL);
}
