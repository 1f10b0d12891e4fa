/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Limits of a block device: what waits, and what ends the wait. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "block_driver.h"

#define OK    VIRTIO_BLK_S_OK
#define BURST UINT64_C(1000000000)
#define NEVER ((struct vmm_limit){1, 0, 1}) /* within an hour, after 4 KiB */
#define EIGHT (8 * SECTOR)

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

static void start(struct disk *d, struct vmm_limit limit)
{
    d->config.limit = limit;
    disk_attach(d);
    bring_up(&d->host, FLUSH_BIT | TRIM_BITS);
}

static bool is_answered(struct disk *d)
{
    uint32_t id, len;

    serve(&d->host);
    return driver_collect(&d->host.driver, &id, &len);
}

static void assert_waits(struct disk *d)
{
    disk_offer(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
    assert_false(is_answered(d));
}

static void lift(struct disk *d)
{
    const struct vmm_limit none = {0};
    uint32_t id, len;

    vmm_virtio_block_limit(d->host.virtio, &none);
    disk_await(d, &id, &len);
    assert_int_equal(disk_status(d), OK);
}

static void without_a_limit_nothing_waits(void **state)
{
    struct disk *d = *state;

    start(d, (struct vmm_limit){0, 0, BURST});
    for (int i = 0; i < 100; i++)
        assert_int_equal(disk_read(d, 0, EIGHT), OK);
}

/* A request that has to wait for the next second, by the clock. */
static void assert_waits_since(struct disk *d, uint64_t before)
{
    disk_offer(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
    bool answered = is_answered(d);
    if (vmm_now_ns() - before < BURST)
        assert_false(answered);
    if (!answered)
        lift(d);
}

static void a_burst_passes_and_the_next_request_waits(void **state)
{
    struct disk *d = *state;
    uint64_t before = vmm_now_ns();

    start(d, (struct vmm_limit){0, 1, 3 * BURST});
    for (int i = 0; i < 3; i++)
        assert_int_equal(disk_read(d, 0, EIGHT), OK);
    assert_waits_since(d, before);
}

static void bytes_are_limited_and_a_request_is_never_divided(void **state)
{
    struct disk *d = *state;

    start(d, NEVER);
    assert_int_equal(disk_read(d, 0, EIGHT), OK);
    assert_waits(d);
    lift(d);
}

static void zeroes_count_as_bytes_and_a_discard_does_not(void **state)
{
    struct disk *d = *state;
    struct virtio_blk_discard_write_zeroes range = {.num_sectors = 8};

    start(d, NEVER);
    MUST(
        vmm_memory_write(d->host.driver.memory, BUFFER, &range, sizeof(range)));
    for (int i = 0; i < 2; i++)
        assert_int_equal(disk_request(d, VIRTIO_BLK_T_DISCARD, 0, BUFFER,
                                      sizeof(range), OUT),
                         OK);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, BUFFER,
                                  sizeof(range), OUT),
                     OK);
    assert_waits(d);
    lift(d);
}

static void what_waits_keeps_nobody_busy(void **state)
{
    struct disk *d = *state;
    struct pollfd loop;

    start(d, NEVER);
    assert_int_equal(disk_write(d, 0, EIGHT), OK);
    assert_waits(d);
    loop = (struct pollfd){vmm_loop_fd(d->host.loop), POLLIN, 0};
    assert_int_equal(poll(&loop, 1, 0), 0);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0); /* again */
    assert_false(is_answered(d));
    assert_int_equal(poll(&loop, 1, 0), 0);
    lift(d);
}

static void when_its_time_has_come_it_goes_on_by_itself(void **state)
{
    struct disk *d = *state;
    uint64_t before = vmm_now_ns();

    start(d, (struct vmm_limit){0, 1000, 1});
    for (int i = 0; i < 5; i++)
        assert_int_equal(disk_read(d, 0, SECTOR), OK);
    assert_true(vmm_now_ns() - before >= 4 * BURST / 1000);
}

static void a_limit_may_come_later_and_is_told(void **state)
{
    struct disk *d = *state;
    const struct vmm_limit later = NEVER;
    struct vmm_limit limit;

    start(d, (struct vmm_limit){0});
    vmm_virtio_block_limit_get(d->host.virtio, &limit);
    assert_int_equal(limit.bytes | limit.items, 0);
    assert_int_equal(disk_read(d, 0, EIGHT), OK);
    vmm_virtio_block_limit(d->host.virtio, &later);
    vmm_virtio_block_limit_get(d->host.virtio, &limit);
    assert_int_equal(limit.bytes, 1);
    assert_int_equal(disk_read(d, 0, EIGHT), OK);
    assert_waits(d);
    lift(d);
}

static void what_waits_is_the_driver_s_again_after_a_reset(void **state)
{
    struct disk *d = *state;
    const struct vmm_limit none = {0};

    start(d, NEVER);
    assert_int_equal(disk_read(d, 0, EIGHT), OK);
    assert_waits(d);
    bring_up(&d->host, FLUSH_BIT);
    vmm_virtio_block_limit(d->host.virtio, &none);
    assert_false(is_answered(d));
    assert_disk_works(d);
}

static void a_guest_is_limited_in_what_is_refused_as_well(void **state)
{
    struct disk *d = *state;

    uint64_t before = vmm_now_ns();

    start(d, (struct vmm_limit){0, 1, BURST});
    assert_int_equal(disk_request(d, 12345, 0, BUFFER, SECTOR, OUT),
                     VIRTIO_BLK_S_UNSUPP);
    assert_waits_since(d, before);
}

/* ---- several queues ---- */

#define AVAIL_1 0x30000u
#define USED_1  0x31000u

static void start_two_queues(struct disk *d)
{
    struct host *h = &d->host;

    d->config.queues = 2;
    d->config.limit = (struct vmm_limit){0, 1000, 1};
    disk_attach(d);
    negotiate(h, VERSION_1 | FLUSH_BIT);
    set_up_queue(h, 0, RING_SIZE);
    put(h, VIRTIO_MMIO_QUEUE_SEL, 1);
    put(h, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
    put(h, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
    put(h, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL_1);
    put(h, VIRTIO_MMIO_QUEUE_USED_LOW, USED_1);
    put(h, VIRTIO_MMIO_QUEUE_READY, 1);
    drive_ok(h);
}

/* So many requests in a queue's ring, that cost a turn and are refused. */
static void offer_to(struct disk *d, uint64_t avail, uint16_t count)
{
    struct driver *driver = &d->host.driver;

    disk_header(d, 12345, 0);
    driver_desc(driver, 0, HEADER, 16, OUT, 1);
    driver_desc(driver, 1, STATUS, 1, VRING_DESC_F_WRITE, 0);
    MUST(vmm_memory_fill(driver->memory, avail + 4, 0, 2u * count));
    MUST(vmm_memory_store_u16(driver->memory, avail + 2, count));
}

static uint16_t answered(struct disk *d, uint64_t used)
{
    uint16_t count;

    MUST(vmm_memory_load_u16(d->host.driver.memory, used + 2, &count));
    return count;
}

static void a_busy_queue_leaves_the_others_their_share(void **state)
{
    struct disk *d = *state;
    const uint16_t count = 6;

    start_two_queues(d);
    offer_to(d, AVAIL, count);
    offer_to(d, AVAIL_1, count);
    for (uint32_t queue = 0; queue < 2; queue++)
        put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
    while (answered(d, USED) < count) {
        int calls = vmm_loop_step(d->host.loop, (int64_t)(10 * BURST));

        /* The end of an earlier test's io_uring interrupts waits. */
        assert_true(calls > 0 || calls == -EINTR);
    }
    assert_true(answered(d, USED_1) >= 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_limit_nothing_waits),
        TEST(a_burst_passes_and_the_next_request_waits),
        TEST(bytes_are_limited_and_a_request_is_never_divided),
        TEST(zeroes_count_as_bytes_and_a_discard_does_not),
        TEST(what_waits_keeps_nobody_busy),
        TEST(when_its_time_has_come_it_goes_on_by_itself),
        TEST(a_limit_may_come_later_and_is_told),
        TEST(what_waits_is_the_driver_s_again_after_a_reset),
        TEST(a_guest_is_limited_in_what_is_refused_as_well),
        TEST(a_busy_queue_leaves_the_others_their_share),
    };

    return RUN_OVER_BOTH("virtio_block_limits", tests);
}
