/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The block device: its requests, its file, its engines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "block_driver.h"

/* Set by main: the same tests for both engines. */
static const bool with_uring = false, with_threads = true;

static int set_up(void **state)
{
    static struct disk d;
    bool threads = *(const bool *)*state;

    disk_set_up_in(&d, "/dev/shm"); /* it has holes */
    d.config.threads = threads;
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    disk_tear_down(*state);
    return 0;
}

static void start(struct disk *d)
{
    disk_attach(d);
    bring_up(&d->host, FLUSH_BIT | (d->config.read_only ? 0 : TRIM_BITS));
}

/* ---- reading and writing ---- */

static void sectors_are_read(void **state)
{
    struct disk *d = *state;
    uint32_t id, len;

    start(d);
    disk_offer(d, VIRTIO_BLK_T_IN, 100, BUFFER, 3 * SECTOR, IN);
    disk_await(d, &id, &len);
    assert_int_equal(disk_status(d), VIRTIO_BLK_S_OK);
    assert_int_equal(len, 3 * SECTOR + 1);
    assert_buffer(d, 0, 101);
    assert_buffer(d, 2 * SECTOR - 1, 102);
    assert_buffer(d, 3 * SECTOR - 1, 103);
    assert_int_equal(d->host.wire.pulses, 1);
}

static void sectors_are_written(void **state)
{
    struct disk *d = *state;
    uint32_t id, len;

    start(d);
    disk_fill(d, 0xab, 2 * SECTOR);
    disk_offer(d, VIRTIO_BLK_T_OUT, 50, BUFFER, 2 * SECTOR, OUT);
    disk_await(d, &id, &len);
    assert_int_equal(disk_status(d), VIRTIO_BLK_S_OK);
    assert_int_equal(len, 1);
    assert_file(d, 49, 50);
    assert_file(d, 50, 0xab);
    assert_file(d, 51, 0xab);
    assert_file(d, 52, 53);
}

static void the_last_sector_is_one_of_the_disk(void **state)
{
    struct disk *d = *state;

    start(d);
    disk_fill(d, 0x77, SECTOR);
    assert_int_equal(disk_write(d, SECTORS - 1, SECTOR), VIRTIO_BLK_S_OK);
    assert_file(d, SECTORS - 1, 0x77);
    assert_int_equal(disk_read(d, SECTORS - 1, SECTOR), VIRTIO_BLK_S_OK);
}

static void buffers_may_be_divided_anywhere(void **state)
{
    struct disk *d = *state;
    struct driver *driver = &d->host.driver;
    uint32_t id, len;

    start(d);
    disk_header(d, VIRTIO_BLK_T_IN, 20);
    /* The header in two, the data in three, the status with the last. */
    driver_desc(driver, 0, HEADER, 5, OUT, 1);
    driver_desc(driver, 1, HEADER + 5, 11, OUT, 2);
    driver_desc(driver, 2, BUFFER, 3, IN, 3);
    driver_desc(driver, 3, BUFFER + 0x1000, 600, IN, 4);
    driver_desc(driver, 4, BUFFER + 0x2000, 421 + 1, VRING_DESC_F_WRITE, 0);
    driver_offer(driver, 0);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    disk_await(d, &id, &len);
    assert_int_equal(len, 2 * SECTOR + 1);
    assert_buffer(d, 2, 21);
    assert_buffer(d, 0x1000 + 508, 21);
    assert_buffer(d, 0x1000 + 509, 22);
    assert_buffer(d, 0x2000 + 420, 22);
    assert_buffer(d, 0x2000 + 421, VIRTIO_BLK_S_OK);
}

/* A discard is always the threads', reads are io_uring's where it is used, and
 * both tell of their ends by one fd. */
static void requests_of_both_engines_in_one_kick_are_all_answered(void **state)
{
    const vmm_gpa_t trim_header = BUFFER + 0x4000, trim_range = BUFFER + 0x4100;
    const struct virtio_blk_outhdr header = {.type = VIRTIO_BLK_T_DISCARD};
    const struct virtio_blk_discard_write_zeroes range = {.sector = 8,
                                                          .num_sectors = 8};
    struct disk *d = *state;
    struct driver *driver = &d->host.driver;
    uint32_t id, len;

    start(d);
    disk_header(d, VIRTIO_BLK_T_IN, 3);
    MUST(
        vmm_memory_write(driver->memory, trim_header, &header, sizeof(header)));
    MUST(vmm_memory_write(driver->memory, trim_range, &range, sizeof(range)));
    driver_desc(driver, 6, HEADER, 16, OUT, 7);
    driver_desc(driver, 7, BUFFER, SECTOR + 1, VRING_DESC_F_WRITE, 0);
    driver_desc(driver, 3, trim_header, 16, OUT, 4);
    driver_desc(driver, 4, trim_range, sizeof(range), OUT, 5);
    driver_desc(driver, 5, STATUS, 1, VRING_DESC_F_WRITE, 0);
    for (int turn = 0; turn < 2000; turn++) {
        driver_offer(driver, 3);
        for (int i = 0; i < turn % (RING_SIZE - 1); i++)
            driver_offer(driver, 6);
        put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        for (int i = 0; i < turn % (RING_SIZE - 1) + 1; i++)
            disk_await(d, &id, &len);
    }
    assert_disk_works(d);
}

static void many_requests_in_one_kick_are_all_answered(void **state)
{
    struct disk *d = *state;
    struct driver *driver = &d->host.driver;
    uint32_t id, len, seen = 0;

    start(d);
    disk_header(d, VIRTIO_BLK_T_IN, 3);
    driver_desc(driver, 6, HEADER, 16, OUT, 7);
    driver_desc(driver, 7, BUFFER, SECTOR + 1, VRING_DESC_F_WRITE, 0);
    for (int i = 0; i < RING_SIZE; i++)
        driver_offer(driver, 6);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    for (; seen < RING_SIZE; seen++) {
        disk_await(d, &id, &len);
        assert_int_equal(len, SECTOR + 1);
    }
    assert_disk_works(d);
}

static void no_data_is_no_work(void **state)
{
    struct disk *d = *state;

    start(d);
    assert_int_equal(disk_read(d, 0, 0), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_write(d, SECTORS, 0), VIRTIO_BLK_S_OK);
    assert_disk_works(d);
}

static void direct_requests_need_no_alignment_in_memory(void **state)
{
    struct disk *d = *state;
    struct vmm_error err;
    struct vmm_virtio *probe;

    /* Where the disk's own file system has it. */
    close(d->fd);
    unlink(d->path);
    disk_file(d, ".");
    d->config =
        (struct vmm_virtio_block_config){.memory = d->host.driver.memory,
                                         .loop = d->host.loop,
                                         .path = d->path,
                                         .queues = 1,
                                         .threads = d->config.threads,
                                         .direct = true};
    if (vmm_virtio_block_new(&d->config, &probe, &err))
        skip();
    host_attach(&d->host, probe);
    bring_up(&d->host, FLUSH_BIT);
    disk_fill(d, 0x5c, 8193);
    assert_int_equal(
        disk_request(d, VIRTIO_BLK_T_OUT, 8, BUFFER + 1, 8192, OUT),
        VIRTIO_BLK_S_OK);
    assert_int_equal(disk_write(d, 32, 4096), VIRTIO_BLK_S_OK);
    assert_file(d, 8, 0x5c);
    assert_file(d, 23, 0x5c);
    assert_file(d, 24, 25);
    assert_file(d, 39, 0x5c);
    disk_fill(d, 0, 8193);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_IN, 16, BUFFER + 3, 8192, IN),
                     VIRTIO_BLK_S_OK);
    assert_buffer(d, 2, 0);
    assert_buffer(d, 3, 0x5c);
    assert_buffer(d, 3 + 8191, 32);
}

/* ---- flush, discard, zeroes, serial ---- */

static void a_flush_is_answered(void **state)
{
    struct disk *d = *state;

    start(d);
    assert_int_equal(disk_write(d, 1, SECTOR), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0),
                     VIRTIO_BLK_S_OK);
}

/* Ranges as the driver writes them. */
static uint8_t trim(struct disk *d, uint32_t type,
                    const struct virtio_blk_discard_write_zeroes *ranges,
                    unsigned count)
{
    MUST(vmm_memory_write(d->host.driver.memory, BUFFER, ranges,
                          count * sizeof(*ranges)));
    return disk_request(d, type, 0, BUFFER, (uint32_t)(count * sizeof(*ranges)),
                        OUT);
}

static blkcnt_t blocks(struct disk *d)
{
    struct stat st;

    assert_int_equal(fstat(d->fd, &st), 0);
    return st.st_blocks;
}

static void a_discard_frees_blocks_of_the_host(void **state)
{
    static const struct virtio_blk_discard_write_zeroes ranges[] = {{8, 16, 0},
                                                                    {64, 8, 0}};
    struct disk *d = *state;

    start(d);
    assert_int_equal(blocks(d), SECTORS);
    assert_int_equal(trim(d, VIRTIO_BLK_T_DISCARD, ranges, 2), VIRTIO_BLK_S_OK);
    assert_int_equal(blocks(d), SECTORS - 24);
    assert_file(d, 7, 8);
    assert_file(d, 8, 0);
    assert_file(d, 23, 0);
    assert_file(d, 24, 25);
    assert_file(d, 64, 0);
    assert_file(d, 72, 73);
}

static void zeroes_are_written_with_and_without_a_hole(void **state)
{
    static const struct virtio_blk_discard_write_zeroes
        hole = {16, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP},
        kept = {33, 5, 0};
    struct disk *d = *state;

    start(d);
    assert_int_equal(trim(d, VIRTIO_BLK_T_WRITE_ZEROES, &hole, 1),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(blocks(d), SECTORS - 8);
    assert_int_equal(trim(d, VIRTIO_BLK_T_WRITE_ZEROES, &kept, 1),
                     VIRTIO_BLK_S_OK);
    assert_int_equal(blocks(d), SECTORS - 8);
    assert_file(d, 16, 0);
    assert_file(d, 23, 0);
    assert_file(d, 32, 33);
    assert_file(d, 33, 0);
    assert_file(d, 37, 0);
    assert_file(d, 38, 39);
}

static void the_serial_number_is_padded_and_cut(void **state)
{
    struct disk *d = *state;

    d->config.serial = "01234567890123456789";
    start(d);
    disk_fill(d, 0xcc, 32);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_GET_ID, 0, BUFFER, 20, IN),
                     VIRTIO_BLK_S_OK);
    assert_buffer(d, 19, '9');
    assert_buffer(d, 20, 0xcc);
    disk_fill(d, 0xcc, 32);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_GET_ID, 0, BUFFER, 4, IN),
                     VIRTIO_BLK_S_OK);
    assert_buffer(d, 3, '3');
    assert_buffer(d, 4, 0xcc);
}

/* ---- configuration and size ---- */

static uint32_t config32(struct disk *d, size_t offset)
{
    return get(&d->host, (uint32_t)(VIRTIO_MMIO_CONFIG + offset));
}
#define CONFIG(d, field) config32(d, offsetof(struct virtio_blk_config, field))

static void its_configuration_says_what_it_is(void **state)
{
    struct disk *d = *state;

    d->config.queues = 4;
    disk_attach(d);
    assert_int_equal(get(&d->host, VIRTIO_MMIO_DEVICE_ID), 2);
    assert_int_equal(CONFIG(d, capacity), SECTORS);
    assert_int_equal(CONFIG(d, seg_max), 254);
    assert_int_equal(CONFIG(d, blk_size), 512);
    assert_int_equal(CONFIG(d, physical_block_exp) & 0xff, 3);
    assert_int_equal(CONFIG(d, wce) >> 16, 4);
    assert_int_equal(CONFIG(d, discard_sector_alignment), 8);
    assert_int_equal(CONFIG(d, max_discard_seg), 16);
    put(&d->host, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    uint32_t features = get(&d->host, VIRTIO_MMIO_DEVICE_FEATURES);
    assert_int_equal(features >> VIRTIO_BLK_F_MQ & 1, 1);
    assert_int_equal(features >> VIRTIO_BLK_F_RO & 1, 0);
    put(&d->host, VIRTIO_MMIO_QUEUE_SEL, 3);
    assert_int_equal(get(&d->host, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
}

static void it_grows_and_shrinks_and_the_driver_is_told(void **state)
{
    struct disk *d = *state;
    struct vmm_error err;

    start(d);
    MUST(vmm_virtio_block_resize(d->host.virtio, 2 * SECTORS * SECTOR, &err));
    assert_int_equal(CONFIG(d, capacity), 2 * SECTORS);
    assert_int_equal(get(&d->host, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_MMIO_INT_CONFIG);
    assert_int_equal(disk_write(d, 2 * SECTORS - 1, SECTOR), VIRTIO_BLK_S_OK);
    assert_int_equal(ftruncate(d->fd, 64 * SECTOR), 0);
    MUST(vmm_virtio_block_refresh(d->host.virtio, &err));
    assert_int_equal(vmm_virtio_block_size(d->host.virtio), 64 * SECTOR);
    assert_int_equal(CONFIG(d, capacity), 64);
    assert_int_equal(disk_read(d, 64, SECTOR), VIRTIO_BLK_S_IOERR);
    assert_disk_works(d);
    assert_int_equal(vmm_virtio_block_resize(d->host.virtio, 1000, &err),
                     -EINVAL);
    assert_int_equal(vmm_virtio_block_size(d->host.virtio), 64 * SECTOR);
}

static void what_is_cut_off_behind_its_back_cannot_be_read(void **state)
{
    struct disk *d = *state;

    start(d);
    assert_int_equal(ftruncate(d->fd, 64 * SECTOR), 0);
    assert_int_equal(disk_read(d, 60, 8 * SECTOR), VIRTIO_BLK_S_IOERR);
    assert_disk_works(d);
}

/* ---- opening ---- */

static int try_open(struct disk *d, struct vmm_error *err)
{
    struct vmm_virtio *virtio;
    int rc = vmm_virtio_block_new(&d->config, &virtio, err);

    if (rc == 0)
        vmm_virtio_unref(virtio);
    else
        assert_null(virtio);
    return rc;
}

static void one_writes_it_or_many_read_it(void **state)
{
    struct disk *d = *state;
    struct vmm_error err;
    struct vmm_virtio *other;

    disk_attach(d);
    assert_int_equal(try_open(d, &err), -EBUSY);
    d->config.read_only = true;
    assert_int_equal(try_open(d, &err), -EBUSY);
    host_tear_down(&d->host);
    host_set_up(&d->host);
    disk_attach(d);
    MUST(vmm_virtio_block_new(&d->config, &other, &err));
    vmm_virtio_unref(other);
    d->config.read_only = false;
    assert_int_equal(try_open(d, &err), -EBUSY);
}

static void what_is_no_disk_is_refused(void **state)
{
    struct disk *d = *state;
    struct vmm_error err;

    disk_attach(d);
    d->config.path = "/dev/null";
    assert_int_equal(try_open(d, &err), -EINVAL);
    assert_string_equal(err.text,
                        "/dev/null: is neither a file nor a block device");
    d->config.path = "/tmp";
    assert_int_equal(try_open(d, &err), -EISDIR);
    d->config.read_only = true;
    assert_int_equal(try_open(d, &err), -EISDIR);
    d->config.path = "/no/such";
    assert_int_equal(try_open(d, &err), -ENOENT);
    d->config.path = d->path;
    host_tear_down(&d->host);
    host_set_up(&d->host);
    assert_int_equal(ftruncate(d->fd, 1000), 0);
    d->config.read_only = false;
    d->config.memory = d->host.driver.memory;
    d->config.loop = d->host.loop;
    assert_int_equal(try_open(d, &err), -EINVAL);
    assert_non_null(strstr(err.text, "1000 bytes are no multiple of 512"));
    assert_int_equal(ftruncate(d->fd, SECTORS * SECTOR), 0);
    d->config.serial = "012345678901234567890";
    assert_int_equal(try_open(d, &err), -EINVAL);
    d->config.serial = NULL;
    disk_attach(d);
}

/* ---- resets ---- */

/* A few requests are on their way when the driver resets the device: nothing of
 * them is seen afterwards. */
static void reset_under_way(struct disk *d, bool served)
{
    struct driver *driver = &d->host.driver;
    uint16_t used;

    bring_up(&d->host, FLUSH_BIT);
    disk_header(d, VIRTIO_BLK_T_IN, 3);
    driver_desc(driver, 0, HEADER, 16, OUT, 1);
    driver_desc(driver, 1, BUFFER, 32 * SECTOR, IN, 2);
    driver_desc(driver, 2, STATUS, 1, VRING_DESC_F_WRITE, 0);
    /* io_uring does not flush at once, as it reads from tmpfs. */
    MUST(
        vmm_memory_fill(driver->memory, HEADER + 0x100, VIRTIO_BLK_T_FLUSH, 1));
    driver_desc(driver, 3, HEADER + 0x100, 16, OUT, 4);
    driver_desc(driver, 4, STATUS, 1, VRING_DESC_F_WRITE, 0);
    for (int i = 0; i < 4; i++)
        driver_offer(driver, i & 1 ? 3 : 0);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    if (served)
        vmm_loop_step(d->host.loop, 0);
    put(&d->host, VIRTIO_MMIO_STATUS, 0);
    MUST(vmm_memory_load_u16(driver->memory, USED + 2, &used));
    disk_fill(d, 0xee, 32 * SECTOR);
    MUST(vmm_memory_fill(driver->memory, STATUS, 0xee, 1));
    serve(&d->host);
    assert_int_equal(disk_status(d), 0xee);
    assert_buffer(d, 0, 0xee);
    assert_buffer(d, 32 * SECTOR - 1, 0xee);
    uint16_t after;
    MUST(vmm_memory_load_u16(driver->memory, USED + 2, &after));
    assert_int_equal(after, used);
}

static void ten_thousand_resets_under_io_leave_it_whole(void **state)
{
    struct disk *d = *state;

    disk_attach(d);
    for (int i = 0; i < 10000; i++)
        reset_under_way(d, i % 4);
    bring_up(&d->host, FLUSH_BIT);
    assert_disk_works(d);
}

static void it_goes_with_requests_on_their_way(void **state)
{
    struct disk *d = *state;

    start(d);
    for (int i = 0; i < 4; i++)
        disk_offer(d, VIRTIO_BLK_T_IN, 0, BUFFER, 64 * SECTOR, IN);
    vmm_loop_step(d->host.loop, 0);
    /* The tear-down is what is tested. */
}

static void the_engine_is_the_one_that_was_asked_for(void **state)
{
    struct disk *d = *state;

    disk_attach(d);
    if (d->config.threads)
        assert_string_equal(vmm_virtio_block_engine(d->host.virtio), "threads");
    else if (strcmp(vmm_virtio_block_engine(d->host.virtio), "io_uring") != 0)
        skip();
}

#define TEST(name)                                                             \
    cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down,          \
                                             (void *)(uintptr_t)&with_uring),  \
        cmocka_unit_test_prestate_setup_teardown(                              \
            name, set_up, tear_down, (void *)(uintptr_t)&with_threads)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sectors_are_read),
        TEST(sectors_are_written),
        TEST(the_last_sector_is_one_of_the_disk),
        TEST(buffers_may_be_divided_anywhere),
        TEST(requests_of_both_engines_in_one_kick_are_all_answered),
        TEST(many_requests_in_one_kick_are_all_answered),
        TEST(no_data_is_no_work),
        TEST(direct_requests_need_no_alignment_in_memory),
        TEST(a_flush_is_answered),
        TEST(a_discard_frees_blocks_of_the_host),
        TEST(zeroes_are_written_with_and_without_a_hole),
        TEST(the_serial_number_is_padded_and_cut),
        TEST(its_configuration_says_what_it_is),
        TEST(it_grows_and_shrinks_and_the_driver_is_told),
        TEST(what_is_cut_off_behind_its_back_cannot_be_read),
        TEST(one_writes_it_or_many_read_it),
        TEST(what_is_no_disk_is_refused),
        TEST(ten_thousand_resets_under_io_leave_it_whole),
        TEST(it_goes_with_requests_on_their_way),
        TEST(the_engine_is_the_one_that_was_asked_for),
    };

    return RUN_OVER_BOTH("virtio_block", tests);
}
