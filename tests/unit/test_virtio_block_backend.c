/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A block device whose requests somebody else carries out: what is handed out,
 * what comes back, and what is bounded. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "block_driver.h"

#define OK       VIRTIO_BLK_S_OK
#define IOERR    VIRTIO_BLK_S_IOERR
#define UNSUPP   VIRTIO_BLK_S_UNSUPP
#define RAM_SIZE (64u << 20)
#define MIB      (1u << 20)

struct remote {
    struct disk d;
    struct vmm_block_backend backend;
    atomic_uint told;
    bool closed;
};

static void on_pending(void *context, unsigned what)
{
    ((struct remote *)context)->told |= what;
}

static void on_closed(void *context)
{
    ((struct remote *)context)->closed = true;
}

/* With as much memory as large requests need. */
static void large_memory(struct host *h)
{
    const struct vmm_memory_range range = {0, RAM_SIZE};
    const struct vmm_memory_config config = {.ranges = &range,
                                             .range_count = 1};

    vmm_memory_unref(h->driver.memory);
    MUST(vmm_memory_new(&config, &h->driver.memory, NULL));
}

static int set_up(void **state)
{
    static struct remote r;
    struct disk *d = &r.d;

    r = (struct remote){.backend = {.size = 128 * MIB,
                                    .flush = true,
                                    .discard = true,
                                    .write_zeroes = true}};
    host_set_up(&d->host);
    large_memory(&d->host);
    d->fd = -1;
    d->config.backend = &r.backend;
    d->config.listener = (struct vmm_block_listener){on_pending, on_closed, &r};
    *state = &r;
    return 0;
}

static int tear_down(void **state)
{
    struct remote *r = *state;

    host_tear_down(&r->d.host);
    return 0;
}

static void attach(struct remote *r)
{
    struct disk *d = &r->d;
    struct vmm_virtio *virtio;
    struct vmm_error err;

    d->config.memory = d->host.driver.memory;
    d->config.loop = d->host.loop;
    d->config.queues = 1;
    if (vmm_virtio_block_new(&d->config, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&d->host, virtio);
}

static void start(struct remote *r)
{
    attach(r);
    bring_up(&r->d.host, FLUSH_BIT | TRIM_BITS);
}

static struct vmm_block_work take(struct remote *r)
{
    struct vmm_block_work work;

    serve(&r->d.host);
    assert_true(vmm_virtio_block_take(r->d.host.virtio, &work));
    return work;
}

static void finish(struct remote *r, const struct vmm_block_work *work,
                   uint8_t status, const void *bytes, size_t len)
{
    MUST(vmm_virtio_block_finish(r->d.host.virtio, work->id, status, bytes,
                                 len));
}

static void assert_answer(struct remote *r, uint8_t status, uint32_t length)
{
    uint32_t id, len;

    assert_true(driver_collect(&r->d.host.driver, &id, &len));
    assert_int_equal(disk_status(&r->d), status);
    assert_int_equal(len, length);
}

static void a_read_is_what_the_backend_gives(void **state)
{
    struct remote *r = *state;
    uint8_t bytes[2 * SECTOR];

    start(r);
    memset(bytes, 0x5a, sizeof(bytes));
    disk_offer(&r->d, VIRTIO_BLK_T_IN, 70, BUFFER, 2 * SECTOR, IN);
    struct vmm_block_work work = take(r);
    assert_int_equal(r->told, VMM_BLOCK_WORK);
    assert_int_equal(work.op, VMM_BLOCK_READ);
    assert_int_equal(work.offset, 70 * SECTOR);
    assert_int_equal(work.len, 2 * SECTOR);
    assert_int_equal(
        vmm_virtio_block_finish(r->d.host.virtio, work.id, OK, bytes, SECTOR),
        -EINVAL);
    finish(r, &work, OK, bytes, sizeof(bytes));
    assert_answer(r, OK, 2 * SECTOR + 1);
    assert_buffer(&r->d, 0, 0x5a);
    assert_buffer(&r->d, 2 * SECTOR - 1, 0x5a);
    assert_int_equal(r->d.host.wire.pulses, 1);
}

static void a_write_hands_out_the_guest_s_bytes(void **state)
{
    struct remote *r = *state;
    uint8_t bytes[SECTOR];

    start(r);
    disk_fill(&r->d, 0x77, SECTOR);
    disk_offer(&r->d, VIRTIO_BLK_T_OUT, 3, BUFFER, SECTOR, OUT);
    struct vmm_block_work work = take(r);
    assert_int_equal(work.op, VMM_BLOCK_WRITE);
    assert_false(work.durable);
    assert_int_equal(
        vmm_virtio_block_data(r->d.host.virtio, work.id, bytes, SECTOR - 1),
        -EINVAL);
    MUST(vmm_virtio_block_data(r->d.host.virtio, work.id, bytes, SECTOR));
    assert_int_equal(bytes[0], 0x77);
    assert_int_equal(bytes[SECTOR - 1], 0x77);
    finish(r, &work, OK, NULL, 0);
    assert_answer(r, OK, 1);
}

static void ranges_and_flushes_are_handed_out(void **state)
{
    struct remote *r = *state;
    struct vmm_block_work work;
    const struct virtio_blk_discard_write_zeroes ranges[] = {
        {8, 4, 0}, {100, 1, 0}, {7, 0, 0}};

    start(r);
    MUST(vmm_memory_write(r->d.host.driver.memory, BUFFER, ranges,
                          sizeof(ranges)));
    disk_offer(&r->d, VIRTIO_BLK_T_DISCARD, 0, BUFFER, sizeof(ranges), OUT);
    work = take(r);
    assert_int_equal(work.op, VMM_BLOCK_DISCARD);
    assert_int_equal(work.range_count, 2); /* an empty one is none */
    assert_int_equal(work.ranges[0].offset, 8 * SECTOR);
    assert_int_equal(work.ranges[0].len, 4 * SECTOR);
    assert_int_equal(work.ranges[1].offset, 100 * SECTOR);
    finish(r, &work, UNSUPP, NULL, 0);
    assert_answer(r, UNSUPP, 1);
    disk_offer(&r->d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
    work = take(r);
    assert_int_equal(work.op, VMM_BLOCK_FLUSH);
    finish(r, &work, OK, NULL, 0);
    assert_answer(r, OK, 1);
}

static void a_driver_that_never_flushes_writes_through(void **state)
{
    struct remote *r = *state;

    start(r);
    bring_up(&r->d.host, 0);
    disk_offer(&r->d, VIRTIO_BLK_T_OUT, 3, BUFFER, SECTOR, OUT);
    struct vmm_block_work work = take(r);
    assert_true(work.durable);
    finish(r, &work, IOERR, NULL, 0);
    assert_answer(r, IOERR, 1);
}

static uint64_t offered(struct remote *r)
{
    put(&r->d.host, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    return get(&r->d.host, VIRTIO_MMIO_DEVICE_FEATURES);
}

static void what_it_cannot_do_is_not_offered(void **state)
{
    struct remote *r = *state;

    r->backend = (struct vmm_block_backend){.size = MIB};
    attach(r);
    assert_int_equal(offered(r) & TRIM_BITS, 0);
    assert_true(offered(r) & FLUSH_BIT);
    /* It has nothing to flush. */
    bring_up(&r->d.host, FLUSH_BIT);
    disk_offer(&r->d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
    serve(&r->d.host);
    assert_answer(r, OK, 1);
}

static void a_read_only_one_gets_no_writes(void **state)
{
    struct remote *r = *state;
    struct vmm_block_work work;

    r->d.config.read_only = true;
    attach(r);
    bring_up(&r->d.host, FLUSH_BIT);
    disk_offer(&r->d, VIRTIO_BLK_T_OUT, 3, BUFFER, SECTOR, OUT);
    serve(&r->d.host);
    assert_answer(r, IOERR, 1);
    assert_false(vmm_virtio_block_take(r->d.host.virtio, &work));
}

static void they_are_finished_in_any_order(void **state)
{
    struct remote *r = *state;
    uint8_t bytes[SECTOR] = {0};
    uint32_t id, len;

    start(r);
    for (uint64_t i = 0; i < 3; i++)
        disk_offer(&r->d, VIRTIO_BLK_T_IN, i, BUFFER, SECTOR, IN);
    struct vmm_block_work first = take(r), second = take(r), third = take(r);
    assert_int_equal(third.offset, 2 * SECTOR);
    finish(r, &third, OK, bytes, SECTOR);
    finish(r, &first, IOERR, NULL, 0);
    finish(r, &second, OK, bytes, SECTOR);
    for (int i = 0; i < 3; i++)
        assert_true(driver_collect(&r->d.host.driver, &id, &len));
    assert_int_equal(
        vmm_virtio_block_finish(r->d.host.virtio, second.id, OK, bytes, SECTOR),
        -ENOENT);
}

static void after_a_reset_nothing_is_found(void **state)
{
    struct remote *r = *state;
    struct vmm_block_work work, none;
    uint8_t bytes[SECTOR] = {0};
    uint32_t id, len;

    start(r);
    for (int i = 0; i < 2; i++)
        disk_offer(&r->d, VIRTIO_BLK_T_OUT, 3, BUFFER, SECTOR, OUT);
    work = take(r);
    bring_up(&r->d.host, FLUSH_BIT);
    assert_int_equal(
        vmm_virtio_block_data(r->d.host.virtio, work.id, bytes, SECTOR),
        -ENOENT);
    assert_int_equal(
        vmm_virtio_block_finish(r->d.host.virtio, work.id, OK, NULL, 0),
        -ENOENT);
    assert_false(vmm_virtio_block_take(r->d.host.virtio, &none));
    assert_false(driver_collect(&r->d.host.driver, &id, &len));
}

/* A request of MIB * n, by an indirect table: the same memory again and again.
 */
static void offer_large(struct remote *r, unsigned n)
{
    struct driver *driver = &r->d.host.driver;
    const vmm_gpa_t table = RAM_SIZE / 2;

    disk_header(&r->d, VIRTIO_BLK_T_OUT, 0);
    driver_desc_at(driver, table, 0, HEADER, 16, OUT, 1);
    driver_desc_at(driver, table, 1, MIB, n * MIB, OUT, 2);
    driver_desc_at(driver, table, 2, STATUS, 1, VRING_DESC_F_WRITE, 0);
    driver_offer_buffer(driver, 0, table, 3 * 16, VRING_DESC_F_INDIRECT);
    put(&r->d.host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    serve(&r->d.host);
}

static void a_request_moves_four_mebibytes_at_the_most(void **state)
{
    struct remote *r = *state;

    start(r);
    bring_up(&r->d.host, FLUSH_BIT | INDIRECT_BIT);
    offer_large(r, 5);
    assert_answer(r, IOERR, 1);
    offer_large(r, 4);
    struct vmm_block_work work = take(r);
    assert_int_equal(work.len, VMM_BLOCK_WORK_BYTES);
    finish(r, &work, OK, NULL, 0);
    assert_answer(r, OK, 1);
}

static void what_is_taken_at_a_time_is_bounded(void **state)
{
    struct remote *r = *state;
    struct vmm_block_work first, more;

    start(r);
    bring_up(&r->d.host, FLUSH_BIT | INDIRECT_BIT);
    for (int i = 0; i < 5; i++)
        offer_large(r, 4);
    first = take(r);
    for (int i = 1; i < 4; i++)
        take(r);
    assert_false(vmm_virtio_block_take(r->d.host.virtio, &more));
    /* What is finished makes room, which is told. */
    r->told = 0;
    finish(r, &first, OK, NULL, 0);
    assert_int_equal(r->told, VMM_BLOCK_WORK);
    take(r);
    assert_false(vmm_virtio_block_take(r->d.host.virtio, &more));
    bring_up(&r->d.host, FLUSH_BIT | INDIRECT_BIT);
    for (int i = 0; i < 4; i++) {
        offer_large(r, 4);
        take(r);
    }
}

static void its_size_is_what_it_says(void **state)
{
    struct remote *r = *state;
    struct vmm_virtio *virtio;
    struct vmm_error err;

    start(r);
    assert_int_equal(vmm_virtio_block_size(r->d.host.virtio), 128 * MIB);
    assert_string_equal(vmm_virtio_block_engine(r->d.host.virtio), "backend");
    MUST(vmm_virtio_block_resize(r->d.host.virtio, MIB, &err));
    assert_int_equal(vmm_virtio_block_size(r->d.host.virtio), MIB);
    MUST(vmm_virtio_block_refresh(r->d.host.virtio, &err));
    assert_int_equal(vmm_virtio_block_resize(r->d.host.virtio, 1000, &err),
                     -EINVAL);
    r->backend.size = 1000;
    assert_int_equal(vmm_virtio_block_new(&r->d.config, &virtio, &err),
                     -EINVAL);
    r->backend.size = MIB;
    r->d.config.path = "/dev/null";
    assert_int_equal(vmm_virtio_block_new(&r->d.config, &virtio, &err),
                     -EINVAL);
    r->d.config.path = NULL;
    r->d.config.listener.pending = NULL;
    assert_int_equal(vmm_virtio_block_new(&r->d.config, &virtio, &err),
                     -EINVAL);
}

static void it_is_closed_with_requests_that_are_taken(void **state)
{
    struct remote *r = *state;
    struct vmm_block_work work;

    start(r);
    for (int i = 0; i < 2; i++)
        disk_offer(&r->d, VIRTIO_BLK_T_OUT, 3, BUFFER, SECTOR, OUT);
    work = take(r);
    vmm_virtio_close(r->d.host.virtio);
    assert_true(r->closed);
    assert_int_equal(
        vmm_virtio_block_finish(r->d.host.virtio, work.id, OK, NULL, 0),
        -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_read_is_what_the_backend_gives),
        TEST(a_write_hands_out_the_guest_s_bytes),
        TEST(ranges_and_flushes_are_handed_out),
        TEST(a_driver_that_never_flushes_writes_through),
        TEST(what_it_cannot_do_is_not_offered),
        TEST(a_read_only_one_gets_no_writes),
        TEST(they_are_finished_in_any_order),
        TEST(after_a_reset_nothing_is_found),
        TEST(a_request_moves_four_mebibytes_at_the_most),
        TEST(what_is_taken_at_a_time_is_bounded),
        TEST(its_size_is_what_it_says),
        TEST(it_is_closed_with_requests_that_are_taken),
    };

    return RUN_OVER_BOTH("virtio_block_backend", tests);
}
