/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults of a block device: which requests they hit, what the driver sees, and
 * that nothing is left of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "block_driver.h"

#define OK      VIRTIO_BLK_S_OK
#define IOERR   VIRTIO_BLK_S_IOERR
#define UNSUPP  VIRTIO_BLK_S_UNSUPP
#define ALL     UINT64_MAX
#define OP(op)  (1u << VMM_BLOCK_##op)
#define ANY     ((1u << VMM_BLOCK_OPS) - 1)
#define HOUR_NS UINT64_C(3600000000000)

/* Set by main: the same tests for both engines. */
static const bool with_uring = false, with_threads = true;

static int set_up(void **state)
{
    static struct disk d;
    bool threads = *(const bool *)*state;

    disk_set_up_in(&d, "/dev/shm");
    d.config.threads = threads;
    disk_attach(&d);
    bring_up(&d.host, FLUSH_BIT | TRIM_BITS);
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    disk_tear_down(*state);
    return 0;
}

static unsigned fault(struct disk *d, struct vmm_block_fault what)
{
    struct vmm_error err;
    unsigned id;

    if (!what.ops)
        what.ops = ANY;
    if (!what.last)
        what.last = ALL;
    if (!what.nth)
        what.nth = 1;
    if (!what.times)
        what.times = ALL;
    if (vmm_virtio_block_fault(d->host.virtio, &what, &id, &err))
        fail_msg("%s", err.text);
    return id;
}

static void assert_counts(struct disk *d, unsigned id, uint64_t matches,
                          uint64_t hits)
{
    uint64_t matched, hit;

    assert_true(
        vmm_virtio_block_fault_counts(d->host.virtio, id, &matched, &hit));
    assert_int_equal(matched, matches);
    assert_int_equal(hit, hits);
}

static uint8_t disk_flush(struct disk *d)
{
    return disk_request(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
}

static uint8_t disk_ranges(struct disk *d, uint32_t type, uint64_t sector,
                           uint32_t sectors)
{
    struct virtio_blk_discard_write_zeroes range = {.sector = sector,
                                                    .num_sectors = sectors};

    MUST(
        vmm_memory_write(d->host.driver.memory, BUFFER, &range, sizeof(range)));
    return disk_request(d, type, 0, BUFFER, sizeof(range), OUT);
}

/* ---- which requests ---- */

static void the_third_write_fails_and_no_other(void **state)
{
    struct disk *d = *state;
    unsigned id =
        fault(d, (struct vmm_block_fault){
                     .ops = OP(WRITE), .nth = 3, .times = 1, .status = IOERR});

    disk_fill(d, 0x99, SECTOR);
    for (uint64_t i = 1; i <= 5; i++) {
        assert_int_equal(disk_write(d, i, SECTOR), i == 3 ? IOERR : OK);
        assert_int_equal(disk_read(d, 100, SECTOR), OK);
        disk_fill(d, 0x99, SECTOR);
    }
    assert_counts(d, id, 5, 1);
    assert_file(d, 2, 0x99);
    assert_file(d, 3, 4); /* as it was */
    assert_file(d, 4, 0x99);
}

static void from_the_nth_on_as_many_fail_as_it_says(void **state)
{
    struct disk *d = *state;
    unsigned id = fault(
        d, (struct vmm_block_fault){.nth = 2, .times = 3, .status = UNSUPP});

    for (int i = 1; i <= 6; i++)
        assert_int_equal(disk_read(d, 0, SECTOR),
                         i >= 2 && i <= 4 ? UNSUPP : OK);
    assert_counts(d, id, 6, 3);
}

static void each_operation_is_hit_on_its_own(void **state)
{
    struct disk *d = *state;

    for (unsigned op = 0; op < VMM_BLOCK_OPS; op++) {
        unsigned id = fault(
            d, (struct vmm_block_fault){.ops = 1u << op, .status = IOERR});

        assert_int_equal(disk_read(d, 0, SECTOR) != OK, op == VMM_BLOCK_READ);
        assert_int_equal(disk_write(d, 0, SECTOR) != OK, op == VMM_BLOCK_WRITE);
        assert_int_equal(disk_flush(d) != OK, op == VMM_BLOCK_FLUSH);
        assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, 8, 8) != OK,
                         op == VMM_BLOCK_DISCARD);
        assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, 8, 8) != OK,
                         op == VMM_BLOCK_WRITE_ZEROES);
        assert_counts(d, id, 1, 1);
        vmm_virtio_block_fault_remove(d->host.virtio, id);
    }
}

static void only_what_touches_its_sectors_is_hit(void **state)
{
    struct disk *d = *state;

    fault(d,
          (struct vmm_block_fault){.first = 10, .last = 12, .status = IOERR});
    assert_int_equal(disk_read(d, 8, 2 * SECTOR), OK);
    assert_int_equal(disk_read(d, 8, 3 * SECTOR), IOERR);
    assert_int_equal(disk_read(d, 12, SECTOR), IOERR);
    assert_int_equal(disk_read(d, 13, SECTOR), OK);
    assert_int_equal(disk_read(d, 0, 32 * SECTOR), IOERR);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, 12, 1), IOERR);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_DISCARD, 13, 1), OK);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 11), IOERR);
    assert_int_equal(disk_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, 10), OK);
    assert_int_equal(disk_flush(d), OK); /* it has no sectors */
}

static void what_is_wrong_anyway_is_not_counted(void **state)
{
    struct disk *d = *state;
    unsigned id = fault(d, (struct vmm_block_fault){.status = UNSUPP});

    assert_int_equal(disk_read(d, SECTORS, SECTOR), IOERR);
    assert_int_equal(disk_write(d, 0, 511), IOERR);
    assert_counts(d, id, 0, 0);
}

static void of_several_the_oldest_status_counts(void **state)
{
    struct disk *d = *state;
    unsigned counter = fault(d, (struct vmm_block_fault){.status = OK});
    unsigned first = fault(d, (struct vmm_block_fault){.status = UNSUPP});
    unsigned second = fault(d, (struct vmm_block_fault){.status = IOERR});

    assert_int_equal(disk_read(d, 0, SECTOR), UNSUPP);
    vmm_virtio_block_fault_remove(d->host.virtio, first);
    assert_int_equal(disk_read(d, 0, SECTOR), IOERR);
    assert_counts(d, counter, 2, 2);
    assert_counts(d, second, 2, 2);
}

static void a_removed_one_hits_nothing(void **state)
{
    struct disk *d = *state;
    unsigned id = fault(d, (struct vmm_block_fault){.status = IOERR});
    uint64_t matches, hits;

    assert_int_equal(disk_read(d, 7, SECTOR), IOERR);
    vmm_virtio_block_fault_remove(d->host.virtio, id);
    vmm_virtio_block_fault_remove(d->host.virtio, id);
    vmm_virtio_block_fault_remove(d->host.virtio, 0);
    assert_false(
        vmm_virtio_block_fault_counts(d->host.virtio, id, &matches, &hits));
    assert_disk_works(d);
}

/* ---- delays ---- */

static bool is_answered(struct disk *d)
{
    uint32_t id, len;

    serve(&d->host);
    return driver_collect(&d->host.driver, &id, &len);
}

static void a_delay_lasts_at_least_as_long_as_it_says(void **state)
{
    struct disk *d = *state;
    uint64_t before = vmm_now_ns();

    fault(d, (struct vmm_block_fault){.delay_ns = 3000000});
    assert_disk_works(d);
    assert_true(vmm_now_ns() - before >= 3000000);
}

static void what_is_delayed_goes_on_when_the_fault_is_removed(void **state)
{
    struct disk *d = *state;
    unsigned id = fault(
        d, (struct vmm_block_fault){.ops = OP(WRITE), .delay_ns = HOUR_NS});
    unsigned longer =
        fault(d, (struct vmm_block_fault){.ops = OP(READ), .delay_ns = ALL});
    uint32_t chain, len;

    disk_fill(d, 0x31, SECTOR);
    disk_offer(d, VIRTIO_BLK_T_OUT, 5, BUFFER, SECTOR, OUT);
    assert_false(is_answered(d));
    assert_file(d, 5, 6);
    assert_int_equal(disk_flush(d), OK); /* others overtake it */
    disk_header(d, VIRTIO_BLK_T_OUT, 5);
    vmm_virtio_block_fault_remove(d->host.virtio, longer); /* not its own */
    assert_false(is_answered(d));
    vmm_virtio_block_fault_remove(d->host.virtio, id);
    disk_await(d, &chain, &len);
    assert_int_equal(disk_status(d), OK);
    assert_file(d, 5, 0x31);
}

static void an_error_may_be_late_as_well(void **state)
{
    struct disk *d = *state;
    unsigned id = fault(
        d, (struct vmm_block_fault){.status = IOERR, .delay_ns = HOUR_NS});
    uint32_t chain, len;

    disk_offer(d, VIRTIO_BLK_T_IN, 5, BUFFER, SECTOR, IN);
    assert_false(is_answered(d));
    vmm_virtio_block_fault_remove(d->host.virtio, id);
    disk_await(d, &chain, &len);
    assert_int_equal(disk_status(d), IOERR);
}

static void a_reset_gives_up_what_is_delayed(void **state)
{
    struct disk *d = *state;
    unsigned id = fault(d, (struct vmm_block_fault){.delay_ns = HOUR_NS});

    disk_fill(d, 0xee, SECTOR);
    for (int i = 0; i < 3; i++) {
        disk_offer(d, VIRTIO_BLK_T_IN, 5, BUFFER, SECTOR, IN);
        assert_false(is_answered(d));
        bring_up(&d->host, FLUSH_BIT);
    }
    vmm_virtio_block_fault_remove(d->host.virtio, id);
    assert_false(is_answered(d));
    assert_buffer(d, 0, 0xee);
    assert_disk_works(d);
}

static void it_goes_with_requests_that_are_delayed(void **state)
{
    struct disk *d = *state;

    fault(d, (struct vmm_block_fault){.delay_ns = HOUR_NS});
    disk_offer(d, VIRTIO_BLK_T_IN, 5, BUFFER, SECTOR, IN);
    assert_false(is_answered(d));
    /* The tear-down is what is tested. */
}

/* ---- questions ---- */

struct ear {
    atomic_uint told;
    bool closed;
};

static void on_pending(void *context, unsigned what)
{
    ((struct ear *)context)->told |= what;
}

static void on_closed(void *context)
{
    ((struct ear *)context)->closed = true;
}

/* The disk again, with somebody who is asked; it is told of the end, too. */
static struct ear *ask(struct disk *d)
{
    static struct ear ear;

    ear.told = 0;
    ear.closed = false;
    host_tear_down(&d->host);
    host_set_up(&d->host);
    d->config.listener =
        (struct vmm_block_listener){on_pending, on_closed, &ear};
    disk_attach(d);
    bring_up(&d->host, FLUSH_BIT | TRIM_BITS);
    vmm_virtio_block_ask(d->host.virtio, true);
    return &ear;
}

static void a_question_tells_what_is_asked_for(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;
    uint32_t chain, len;

    struct ear *ear = ask(d);
    assert_false(vmm_virtio_block_question(d->host.virtio, &question));
    disk_offer(d, VIRTIO_BLK_T_OUT, 50, BUFFER, 3 * SECTOR, OUT);
    assert_false(is_answered(d));
    assert_int_equal(ear->told, VMM_BLOCK_QUESTION);
    assert_true(vmm_virtio_block_question(d->host.virtio, &question));
    assert_int_equal(question.op, VMM_BLOCK_WRITE);
    assert_int_equal(question.sector, 50);
    assert_int_equal(question.sectors, 3);
    assert_false(vmm_virtio_block_question(d->host.virtio, &question));
    assert_int_equal(
        vmm_virtio_block_decide(d->host.virtio, question.id, IOERR, 1000000),
        0);
    assert_int_equal(
        vmm_virtio_block_decide(d->host.virtio, question.id, OK, 0), -ENOENT);
    disk_await(d, &chain, &len);
    assert_int_equal(disk_status(d), IOERR);
    assert_file(d, 50, 51);
}

static void who_is_asked_may_let_it_pass(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;
    uint32_t chain, len;

    ask(d);
    disk_offer(d, VIRTIO_BLK_T_IN, 7, BUFFER, SECTOR, IN);
    assert_false(is_answered(d));
    assert_true(vmm_virtio_block_question(d->host.virtio, &question));
    MUST(vmm_virtio_block_decide(d->host.virtio, question.id, OK, 0));
    disk_await(d, &chain, &len);
    assert_int_equal(disk_status(d), OK);
    assert_buffer(d, 0, 8);
}

static void who_asks_again_is_told_of_questions_that_are_left(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;

    struct ear *ear = ask(d);
    for (int i = 0; i < 2; i++)
        disk_offer(d, VIRTIO_BLK_T_IN, 5, BUFFER, SECTOR, IN);
    assert_false(is_answered(d));
    for (int left = 1; left >= 0; left--) {
        assert_true(vmm_virtio_block_question(d->host.virtio, &question));
        ear->told = 0;
        vmm_virtio_block_ask(d->host.virtio, true);
        assert_int_equal(ear->told, left ? VMM_BLOCK_QUESTION : 0);
    }
}

static void a_fault_decides_before_who_is_asked(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;
    uint32_t chain, len;

    ask(d);
    fault(d, (struct vmm_block_fault){.status = UNSUPP});
    disk_offer(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
    assert_false(is_answered(d));
    assert_true(vmm_virtio_block_question(d->host.virtio, &question));
    assert_int_equal(question.op, VMM_BLOCK_FLUSH);
    assert_int_equal(question.sector | question.sectors, 0);
    MUST(vmm_virtio_block_decide(d->host.virtio, question.id, IOERR, 0));
    disk_await(d, &chain, &len);
    assert_int_equal(disk_status(d), UNSUPP);
}

static void a_longer_delay_by_who_is_asked_outlives_the_fault_s(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;

    for (int longer = 0; longer < 2; longer++) {
        ask(d);
        unsigned id = fault(d, (struct vmm_block_fault){.delay_ns = HOUR_NS});
        uint32_t chain, len;

        disk_offer(d, VIRTIO_BLK_T_IN, 7, BUFFER, SECTOR, IN);
        assert_false(is_answered(d));
        assert_true(vmm_virtio_block_question(d->host.virtio, &question));
        MUST(vmm_virtio_block_decide(d->host.virtio, question.id, OK,
                                     HOUR_NS + longer));
        vmm_virtio_block_fault_remove(d->host.virtio, id);
        if (longer)
            assert_false(is_answered(d));
        else
            disk_await(d, &chain, &len);
    }
}

static void
a_removed_fault_delays_nothing_that_waits_for_a_decision(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;
    uint32_t chain, len;

    ask(d);
    for (int taken = 0; taken < 2; taken++) {
        unsigned id = fault(d, (struct vmm_block_fault){.delay_ns = HOUR_NS});

        disk_offer(d, VIRTIO_BLK_T_IN, 7, BUFFER, SECTOR, IN);
        assert_false(is_answered(d));
        if (taken)
            assert_true(vmm_virtio_block_question(d->host.virtio, &question));
        vmm_virtio_block_fault_remove(d->host.virtio, id);
        if (!taken)
            assert_true(vmm_virtio_block_question(d->host.virtio, &question));
        MUST(vmm_virtio_block_decide(d->host.virtio, question.id, OK, 0));
        disk_await(d, &chain, &len);
        assert_int_equal(disk_status(d), OK);
    }
}

static void what_waits_for_a_decision_goes_on_when_nobody_asks(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;
    uint32_t chain, len;

    ask(d);
    for (int taken = 0; taken < 2; taken++) {
        vmm_virtio_block_ask(d->host.virtio, true);
        disk_offer(d, VIRTIO_BLK_T_IN, 7, BUFFER, SECTOR, IN);
        assert_false(is_answered(d));
        if (taken)
            assert_true(vmm_virtio_block_question(d->host.virtio, &question));
        vmm_virtio_block_ask(d->host.virtio, false);
        disk_await(d, &chain, &len);
        assert_int_equal(disk_status(d), OK);
    }
    assert_int_equal(
        vmm_virtio_block_decide(d->host.virtio, question.id, OK, 0), -ENOENT);
    assert_disk_works(d);
}

static void after_a_reset_a_decision_finds_nothing(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;

    ask(d);
    for (int i = 0; i < 2; i++)
        disk_offer(d, VIRTIO_BLK_T_IN, 5, BUFFER, SECTOR, IN);
    assert_false(is_answered(d));
    assert_true(vmm_virtio_block_question(d->host.virtio, &question));
    bring_up(&d->host, FLUSH_BIT);
    assert_int_equal(
        vmm_virtio_block_decide(d->host.virtio, question.id, OK, 0), -ENOENT);
    assert_false(vmm_virtio_block_question(d->host.virtio, &question));
    vmm_virtio_block_ask(d->host.virtio, false);
    assert_disk_works(d);
}

static void a_closed_one_asks_no_more(void **state)
{
    struct disk *d = *state;
    struct vmm_block_question question;

    struct ear *ear = ask(d);
    disk_offer(d, VIRTIO_BLK_T_IN, 5, BUFFER, SECTOR, IN);
    assert_false(is_answered(d));
    assert_false(ear->closed);
    vmm_virtio_close(d->host.virtio);
    assert_true(ear->closed);
    vmm_virtio_block_ask(d->host.virtio, true);
    assert_false(vmm_virtio_block_question(d->host.virtio, &question));
}

#define TEST(name)                                                             \
    cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down,          \
                                             (void *)(uintptr_t)&with_uring),  \
        cmocka_unit_test_prestate_setup_teardown(                              \
            name, set_up, tear_down, (void *)(uintptr_t)&with_threads)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_third_write_fails_and_no_other),
        TEST(from_the_nth_on_as_many_fail_as_it_says),
        TEST(each_operation_is_hit_on_its_own),
        TEST(only_what_touches_its_sectors_is_hit),
        TEST(what_is_wrong_anyway_is_not_counted),
        TEST(of_several_the_oldest_status_counts),
        TEST(a_removed_one_hits_nothing),
        TEST(a_delay_lasts_at_least_as_long_as_it_says),
        TEST(what_is_delayed_goes_on_when_the_fault_is_removed),
        TEST(an_error_may_be_late_as_well),
        TEST(a_reset_gives_up_what_is_delayed),
        TEST(it_goes_with_requests_that_are_delayed),
        TEST(a_question_tells_what_is_asked_for),
        TEST(who_is_asked_may_let_it_pass),
        TEST(who_asks_again_is_told_of_questions_that_are_left),
        TEST(a_fault_decides_before_who_is_asked),
        TEST(a_longer_delay_by_who_is_asked_outlives_the_fault_s),
        TEST(a_removed_fault_delays_nothing_that_waits_for_a_decision),
        TEST(what_waits_for_a_decision_goes_on_when_nobody_asks),
        TEST(after_a_reset_a_decision_finds_nothing),
        TEST(a_closed_one_asks_no_more),
    };

    return RUN_OVER_BOTH("virtio_block_faults", tests);
}
