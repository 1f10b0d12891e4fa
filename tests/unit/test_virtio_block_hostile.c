/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a driver may do wrong to a block device: each costs it an answer, and a
 * valid request works afterwards. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "block_driver.h"

static int set_up(void **state)
{
    static struct disk d;

    disk_set_up_in(&d, "/dev/shm");
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    disk_tear_down(*state);
    return 0;
}

static struct disk *start(void **state)
{
    struct disk *d = *state;

    disk_attach(d);
    bring_up(&d->host, FLUSH_BIT | (d->config.read_only ? 0 : TRIM_BITS));
    return d;
}

static void assert_refused(struct disk *d, uint8_t status, uint8_t expected)
{
    assert_int_equal(status, expected);
    assert_disk_works(d);
}

static void sectors_outside_of_the_disk_are_refused(void **state)
{
    static const uint64_t sectors[] = {SECTORS,
                                       SECTORS - 1, /* of two */
                                       UINT64_MAX,
                                       UINT64_MAX / 512,
                                       UINT64_MAX / 512 + 1,
                                       UINT64_MAX / 512 + 8,
                                       INT64_MAX / 512,
                                       UINT64_MAX - 1};
    struct disk *d = start(state);

    for (size_t i = 0; i < sizeof(sectors) / sizeof(*sectors); i++) {
        disk_fill(d, 0xee, 2 * SECTOR);
        assert_refused(d, disk_read(d, sectors[i], 2 * SECTOR),
                       VIRTIO_BLK_S_IOERR);
        assert_refused(d, disk_write(d, sectors[i], 2 * SECTOR),
                       VIRTIO_BLK_S_IOERR);
    }
    struct stat st;
    assert_int_equal(fstat(d->fd, &st), 0);
    assert_int_equal(st.st_size, SECTORS * SECTOR);
    assert_file(d, SECTORS - 1, (uint8_t)SECTORS);
}

static void a_part_of_a_sector_is_refused(void **state)
{
    struct disk *d = start(state);

    assert_refused(d, disk_read(d, 1, 511), VIRTIO_BLK_S_IOERR);
    assert_refused(d, disk_write(d, 1, 513), VIRTIO_BLK_S_IOERR);
    assert_file(d, 1, 2);
}

static void buffers_that_are_not_ram_are_refused(void **state)
{
    static const uint64_t places[] = {RAM_END - 10, RAM_END, 0x70000,
                                      UINT64_MAX - 255, UINT64_MAX - 4095};
    struct disk *d = start(state);

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
        assert_refused(
            d, disk_request(d, VIRTIO_BLK_T_IN, 1, places[i], 2 * SECTOR, IN),
            VIRTIO_BLK_S_IOERR);
        assert_refused(
            d, disk_request(d, VIRTIO_BLK_T_OUT, 1, places[i], 2 * SECTOR, OUT),
            VIRTIO_BLK_S_IOERR);
        assert_refused(
            d,
            disk_request(d, VIRTIO_BLK_T_GET_ID, 0, places[i], 2 * SECTOR, IN),
            VIRTIO_BLK_S_IOERR);
    }
    assert_file(d, 1, 2);
}

static void a_data_buffer_of_four_gigabytes_is_refused(void **state)
{
    struct disk *d = start(state);

    assert_refused(
        d, disk_request(d, VIRTIO_BLK_T_IN, 0, 0, UINT32_MAX & ~511u, IN),
        VIRTIO_BLK_S_IOERR);
}

static void a_short_header_is_refused(void **state)
{
    struct disk *d = start(state);
    struct driver *driver = &d->host.driver;
    uint32_t id, len;

    for (uint32_t bytes = 0; bytes < 16; bytes++) {
        disk_header(d, VIRTIO_BLK_T_FLUSH, 0);
        driver_desc(driver, 0, HEADER, bytes, OUT, 1);
        driver_desc(driver, 1, STATUS, 1, VRING_DESC_F_WRITE, 0);
        driver_offer(driver, 0);
        put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        disk_await(d, &id, &len);
        assert_refused(d, disk_status(d), VIRTIO_BLK_S_IOERR);
    }
}

static void a_request_with_no_room_for_its_answer_needs_a_reset(void **state)
{
    struct disk *d = start(state);
    uint32_t id, len;

    disk_header(d, VIRTIO_BLK_T_FLUSH, 0);
    driver_offer_buffer(&d->host.driver, 0, HEADER, 16, 0);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    disk_await(d, &id, &len);
    assert_int_equal(len, 0);
    assert_true(get(&d->host, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
    bring_up(&d->host, FLUSH_BIT);
    assert_disk_works(d);
}

/* Behind data to write it comes too late; behind data to read it is data. */
static void a_status_byte_that_is_read_only_needs_a_reset(void **state)
{
    static const struct {
        uint32_t type;
        uint16_t flags;
    } cases[] = {{VIRTIO_BLK_T_IN, IN}, {VIRTIO_BLK_T_OUT, OUT}};
    struct disk *d = start(state);
    struct driver *driver = &d->host.driver;

    for (size_t i = 0; i < 2; i++) {
        disk_fill(d, 0xee, SECTOR);
        disk_header(d, cases[i].type, 1);
        driver_desc(driver, 0, HEADER, 16, OUT, 1);
        driver_desc(driver, 1, BUFFER, SECTOR, cases[i].flags, 2);
        driver_desc(driver, 2, STATUS, 1, 0, 0);
        driver_offer(driver, 0);
        put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        serve(&d->host);
        assert_true(get(&d->host, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
        assert_int_equal(disk_status(d), 0xee);
        assert_file(d, 1, 2);
        bring_up(&d->host, FLUSH_BIT);
        assert_disk_works(d);
    }
}

/* Once the device has a request, what the driver writes over it is too late. */
static void a_request_that_is_rewritten_is_done_as_it_was(void **state)
{
    static const struct virtio_blk_outhdr other = {VIRTIO_BLK_T_OUT, 0, 5};
    static const struct vmm_block_fault hold = {
        .ops = 1 << VMM_BLOCK_READ,
        .last = UINT64_MAX,
        .nth = 1,
        .times = 1,
        .delay_ns = UINT64_C(3600000000000),
    };
    struct disk *d = *state;
    struct driver *driver = &d->host.driver;
    unsigned held;
    uint32_t id, len;

    d->config.threads = true;
    start(state);
    MUST(vmm_virtio_block_fault(d->host.virtio, &hold, &held, NULL));
    disk_fill(d, 0xee, 2 * SECTOR);
    disk_offer(d, VIRTIO_BLK_T_IN, 1, BUFFER, SECTOR, IN);
    serve(&d->host);
    assert_int_equal(disk_status(d), 0xee);
    MUST(vmm_memory_write(driver->memory, HEADER, &other, sizeof(other)));
    driver_desc(driver, 0, HEADER, 0, OUT, 7);
    driver_desc(driver, 1, BUFFER + SECTOR, SECTOR, OUT, 0xffff);
    driver_desc(driver, 2, BUFFER + SECTOR, 1, VRING_DESC_F_WRITE, 1);
    vmm_virtio_block_fault_remove(d->host.virtio, held);
    disk_await(d, &id, &len);
    assert_int_equal(id, 0);
    assert_int_equal(len, SECTOR + 1);
    assert_buffer(d, 0, 2);
    assert_buffer(d, SECTOR - 1, 2);
    assert_buffer(d, SECTOR, 0xee);
    assert_file(d, 5, 6);
    assert_int_equal(disk_status(d), VIRTIO_BLK_S_OK);
    assert_disk_works(d);
}

static void a_status_byte_that_is_not_ram_costs_its_own_request(void **state)
{
    struct disk *d = start(state);
    struct driver *driver = &d->host.driver;
    uint32_t id, len = 99;

    disk_header(d, VIRTIO_BLK_T_IN, 0);
    driver_desc(driver, 0, HEADER, 16, OUT, 1);
    driver_desc(driver, 1, BUFFER, SECTOR, IN, 2);
    driver_desc(driver, 2, RAM_END, 1, VRING_DESC_F_WRITE, 0);
    driver_offer(driver, 0);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    disk_await(d, &id, &len);
    assert_int_equal(len, 0);
    assert_disk_works(d);
}

static void data_of_the_wrong_direction_is_no_data(void **state)
{
    struct disk *d = start(state);

    /* Nothing to write to, or from, is nothing to do. */
    disk_fill(d, 0xee, SECTOR);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_IN, 1, BUFFER, SECTOR, OUT),
                     VIRTIO_BLK_S_OK);
    assert_buffer(d, 0, 0xee);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_OUT, 1, BUFFER, SECTOR, IN),
                     VIRTIO_BLK_S_OK);
    assert_file(d, 1, 2);
    assert_disk_works(d);
}

static void unknown_requests_are_not_supported(void **state)
{
    static const uint32_t types[] = {2,  3,  5,  7,    9,          10,
                                     12, 14, 15, 1000, 0x80000000, UINT32_MAX};
    struct disk *d = start(state);

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        assert_refused(d, disk_request(d, types[i], 0, BUFFER, SECTOR, IN),
                       VIRTIO_BLK_S_UNSUPP);
}

static uint8_t trim(struct disk *d, uint32_t type, uint64_t sector,
                    uint32_t count, uint32_t flags)
{
    struct virtio_blk_discard_write_zeroes range = {sector, count, flags};

    MUST(
        vmm_memory_write(d->host.driver.memory, BUFFER, &range, sizeof(range)));
    return disk_request(d, type, 0, BUFFER, sizeof(range), OUT);
}

static void ranges_outside_of_the_disk_are_refused(void **state)
{
    static const uint32_t types[] = {VIRTIO_BLK_T_DISCARD,
                                     VIRTIO_BLK_T_WRITE_ZEROES};
    struct disk *d = start(state);

    for (int i = 0; i < 2; i++) {
        assert_refused(d, trim(d, types[i], SECTORS, 1, 0), VIRTIO_BLK_S_IOERR);
        assert_refused(d, trim(d, types[i], SECTORS - 1, 2, 0),
                       VIRTIO_BLK_S_IOERR);
        assert_refused(d, trim(d, types[i], UINT64_MAX, 2, 0),
                       VIRTIO_BLK_S_IOERR);
        assert_refused(d, trim(d, types[i], 0, UINT32_MAX, 0),
                       VIRTIO_BLK_S_IOERR);
        assert_int_equal(trim(d, types[i], 0, 0, 0), VIRTIO_BLK_S_OK);
    }
    assert_file(d, 0, 1);
    assert_file(d, SECTORS - 1, (uint8_t)SECTORS);
}

static void unknown_flags_of_ranges_are_not_supported(void **state)
{
    struct disk *d = start(state);

    assert_refused(d, trim(d, VIRTIO_BLK_T_DISCARD, 0, 8, 1),
                   VIRTIO_BLK_S_UNSUPP);
    assert_refused(d, trim(d, VIRTIO_BLK_T_DISCARD, 0, 8, 0x80000000),
                   VIRTIO_BLK_S_UNSUPP);
    assert_refused(d, trim(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 3),
                   VIRTIO_BLK_S_UNSUPP);
    assert_file(d, 0, 1);
}

static void a_list_of_ranges_of_a_wrong_length_is_refused(void **state)
{
    static const uint32_t lengths[] = {0, 1, 15, 17, 40, 17 * 16, 0x10000};
    struct disk *d = start(state);

    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        disk_fill(d, 0, lengths[i]);
        assert_refused(
            d,
            disk_request(d, VIRTIO_BLK_T_DISCARD, 0, BUFFER, lengths[i], OUT),
            VIRTIO_BLK_S_IOERR);
    }
    /* The first of the ranges is fine, the second is not: neither is done. */
    static const struct virtio_blk_discard_write_zeroes ranges[] = {
        {0, 8, 0}, {SECTORS, 8, 0}};
    MUST(vmm_memory_write(d->host.driver.memory, BUFFER, ranges,
                          sizeof(ranges)));
    assert_refused(
        d,
        disk_request(d, VIRTIO_BLK_T_DISCARD, 0, BUFFER, sizeof(ranges), OUT),
        VIRTIO_BLK_S_IOERR);
    assert_file(d, 0, 1);
}

static void what_was_not_negotiated_is_not_supported(void **state)
{
    struct disk *d = *state;

    disk_attach(d);
    bring_up(&d->host, 0);
    assert_refused(d, trim(d, VIRTIO_BLK_T_DISCARD, 0, 8, 0),
                   VIRTIO_BLK_S_UNSUPP);
    assert_refused(d, trim(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 8, 0),
                   VIRTIO_BLK_S_UNSUPP);
    assert_file(d, 0, 1);
}

static void a_read_only_disk_is_not_changed(void **state)
{
    struct disk *d = *state;

    d->config.read_only = true;
    start(state);
    assert_refused(d, disk_write(d, 1, SECTOR), VIRTIO_BLK_S_IOERR);
    assert_refused(d, trim(d, VIRTIO_BLK_T_DISCARD, 0, 8, 0),
                   VIRTIO_BLK_S_UNSUPP);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0),
                     VIRTIO_BLK_S_OK);
    assert_file(d, 1, 2);
    assert_int_equal(vmm_virtio_block_resize(d->host.virtio, 512, NULL),
                     -EROFS);
    /* Nor is what it does not offer accepted. */
    negotiate(&d->host, VERSION_1 | TRIM_BITS);
    assert_int_equal(get(&d->host, VIRTIO_MMIO_STATUS), ACKNOWLEDGE | DRIVER);
}

static void the_configuration_is_read_at_any_width_and_offset(void **state)
{
    struct disk *d = start(state);
    uint8_t all[64] = {0}, value[8];

    for (uint32_t i = 0; i < 64; i++)
        vmm_bus_read(d->host.bus, config_byte(&d->host, i), all + i, 1);
    assert_int_equal(all[60] | all[61] | all[62] | all[63], 0);
    for (uint32_t offset = 0; offset < 56; offset++)
        for (size_t size = 1; size <= 8; size++) {
            vmm_bus_read(d->host.bus, config_byte(&d->host, offset), value,
                         size);
            assert_memory_equal(value, all + offset, size);
        }
}

/* Offsets around the one field that may be written. */
static void only_the_cache_mode_is_written(void **state)
{
    struct disk *d = *state;
    uint8_t before[64], after[64];
    const uint64_t zeroes = 0;

    disk_attach(d);
    bring_up(&d->host, FLUSH_BIT | UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE);
    for (uint32_t i = 0; i < 64; i++)
        vmm_bus_read(d->host.bus, config_byte(&d->host, i), before + i, 1);
    assert_int_equal(before[32], 1);
    for (uint32_t offset = 0; offset < 60; offset++)
        for (size_t size = 1; size <= 8; size++)
            vmm_bus_write(d->host.bus, config_byte(&d->host, offset),
                          (const uint8_t *)&zeroes, size);
    for (uint32_t i = 0; i < 64; i++)
        vmm_bus_read(d->host.bus, config_byte(&d->host, i), after + i, 1);
    before[32] = 0;
    assert_memory_equal(before, after, 64);
    assert_int_equal(disk_write(d, 3, SECTOR), VIRTIO_BLK_S_OK);
    assert_disk_works(d);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sectors_outside_of_the_disk_are_refused),
        TEST(a_part_of_a_sector_is_refused),
        TEST(buffers_that_are_not_ram_are_refused),
        TEST(a_data_buffer_of_four_gigabytes_is_refused),
        TEST(a_short_header_is_refused),
        TEST(a_request_with_no_room_for_its_answer_needs_a_reset),
        TEST(a_status_byte_that_is_read_only_needs_a_reset),
        TEST(a_request_that_is_rewritten_is_done_as_it_was),
        TEST(a_status_byte_that_is_not_ram_costs_its_own_request),
        TEST(data_of_the_wrong_direction_is_no_data),
        TEST(unknown_requests_are_not_supported),
        TEST(ranges_outside_of_the_disk_are_refused),
        TEST(unknown_flags_of_ranges_are_not_supported),
        TEST(a_list_of_ranges_of_a_wrong_length_is_refused),
        TEST(what_was_not_negotiated_is_not_supported),
        TEST(a_read_only_disk_is_not_changed),
        TEST(the_configuration_is_read_at_any_width_and_offset),
        TEST(only_the_cache_mode_is_written),
    };

    return RUN_OVER_BOTH("virtio_block_hostile", tests);
}
