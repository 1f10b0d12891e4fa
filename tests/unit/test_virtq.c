/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtqueue: chains out and back, their bytes, and who is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "virtq_driver.h"

static struct vmm_chain *pop(struct driver *d)
{
    struct vmm_chain *chain;
    int r = vmm_virtq_pop(d->queue, &chain);

    if (r != 1)
        fail_msg("pop: %d (%s)", r, vmm_virtq_broken(d->queue));
    return chain;
}

static void assert_nothing(struct driver *d)
{
    struct vmm_chain *chain;

    assert_int_equal(vmm_virtq_pop(d->queue, &chain), 0);
    assert_null(chain);
}

static void assert_used(struct driver *d, uint32_t id, uint32_t len)
{
    uint32_t used_id, used_len;

    assert_true(driver_collect(d, &used_id, &used_len));
    assert_int_equal(used_id, id);
    assert_int_equal(used_len, len);
}

static int set_up(void **state)
{
    static struct driver d;

    driver_set_up(&d, RING_SIZE, INDIRECT_BIT | EVENT_BIT);
    *state = &d;
    return 0;
}

static int set_up_plain(void **state)
{
    set_up(state);
    driver_begin(*state, 0);
    return 0;
}

static int tear_down(void **state)
{
    driver_tear_down(*state);
    return 0;
}

/* ---- chains ---- */

static void a_chain_has_its_buffers_in_order_and_by_direction(void **state)
{
    struct driver *d = *state;

    driver_desc(d, 2, DATA, 16, VRING_DESC_F_NEXT, 5);
    driver_desc(d, 5, DATA + 0x100, 512, VRING_DESC_F_NEXT, 0);
    driver_desc(d, 0, DATA + 0x800, 64, VRING_DESC_F_WRITE, 0);
    driver_offer(d, 2);
    struct vmm_chain *chain = pop(d);
    assert_int_equal(chain->head, 2);
    assert_int_equal(chain->readable, 2);
    assert_int_equal(chain->writable, 1);
    assert_int_equal(chain->readable_bytes, 528);
    assert_int_equal(chain->writable_bytes, 64);
    assert_int_equal(chain->segments[1].gpa, DATA + 0x100);
    assert_int_equal(chain->segments[2].len, 64);
    assert_nothing(d);
    vmm_virtq_push(chain, 64);
    assert_used(d, 2, 64);
}

static void an_indirect_table_is_a_chain_as_well(void **state)
{
    struct driver *d = *state;

    driver_desc_at(d, INDIRECT + 8, 0, DATA, 1, VRING_DESC_F_NEXT, 2);
    driver_desc_at(d, INDIRECT + 8, 2, DATA + 1, 2, VRING_DESC_F_WRITE, 9);
    driver_offer_buffer(d, 3, INDIRECT + 8, 48, VRING_DESC_F_INDIRECT);
    struct vmm_chain *chain = pop(d);
    assert_int_equal(chain->head, 3);
    assert_int_equal(chain->readable_bytes, 1);
    assert_int_equal(chain->writable_bytes, 2);
    vmm_virtq_push(chain, 2);
    assert_used(d, 3, 2);
}

static void an_indirect_table_may_follow_other_descriptors(void **state)
{
    struct driver *d = *state;

    driver_desc_at(d, INDIRECT, 0, DATA + 8, 4, VRING_DESC_F_WRITE, 0);
    driver_desc(d, 0, DATA, 8, VRING_DESC_F_NEXT, 1);
    driver_desc(d, 1, INDIRECT, 16, VRING_DESC_F_INDIRECT, 0);
    driver_offer(d, 0);
    struct vmm_chain *chain = pop(d);
    assert_int_equal(chain->readable, 1);
    assert_int_equal(chain->writable, 1);
    vmm_virtq_push(chain, 0);
}

static void chains_come_back_in_any_order(void **state)
{
    struct driver *d = *state;

    for (uint16_t i = 0; i < 3; i++)
        driver_offer_buffer(d, i, DATA, 4, VRING_DESC_F_WRITE);
    struct vmm_chain *first = pop(d), *second = pop(d), *third = pop(d);
    vmm_virtq_push(third, 3);
    vmm_virtq_push(first, 1);
    vmm_virtq_push(second, 2);
    assert_used(d, 2, 3);
    assert_used(d, 0, 1);
    assert_used(d, 1, 2);
}

static void the_indices_wrap(void **state)
{
    struct driver *d = *state;

    for (unsigned i = 0; i < 70000; i++) {
        driver_offer_buffer(d, i % RING_SIZE, DATA, 4, VRING_DESC_F_WRITE);
        vmm_virtq_push(pop(d), i & 0xff);
        assert_used(d, i % RING_SIZE, i & 0xff);
    }
}

static void a_chain_may_fill_the_whole_queue(void **state)
{
    struct driver *d = *state;

    for (uint16_t i = 0; i < RING_SIZE; i++)
        driver_desc(d, i, DATA + i, 1,
                    i + 1 < RING_SIZE ? VRING_DESC_F_NEXT : 0, i + 1);
    driver_offer(d, 0);
    struct vmm_chain *chain = pop(d);
    assert_int_equal(chain->readable, RING_SIZE);
    vmm_virtq_push(chain, 0);
}

static void a_disabled_queue_gives_and_takes_nothing(void **state)
{
    struct driver *d = *state;
    uint32_t id, len;

    driver_offer_buffer(d, 0, DATA, 4, VRING_DESC_F_WRITE);
    driver_offer_buffer(d, 1, DATA, 4, VRING_DESC_F_WRITE);
    struct vmm_chain *chain = pop(d);
    vmm_virtq_disable(d->queue);
    assert_nothing(d);
    vmm_virtq_push(chain, 4);
    assert_false(driver_collect(d, &id, &len));
    assert_false(vmm_virtq_should_signal(d->queue));
}

static void a_chain_of_before_a_reset_is_not_used_after_it(void **state)
{
    struct driver *d = *state;
    uint32_t id, len;

    driver_offer_buffer(d, 0, DATA, 4, VRING_DESC_F_WRITE);
    struct vmm_chain *chain = pop(d);
    vmm_virtq_disable(d->queue);
    driver_begin(d, 0);
    vmm_virtq_push(chain, 4);
    assert_false(driver_collect(d, &id, &len));
}

/* ---- bytes ---- */

static void bytes_are_read_and_written_across_segments(void **state)
{
    struct driver *d = *state;
    char bytes[8] = "";

    MUST(vmm_memory_write(d->memory, DATA, "abc", 3));
    MUST(vmm_memory_write(d->memory, DATA + 0x10, "defgh", 5));
    driver_desc(d, 0, DATA, 3, VRING_DESC_F_NEXT, 1);
    driver_desc(d, 1, DATA + 0x40, 0, VRING_DESC_F_NEXT, 2);
    driver_desc(d, 2, DATA + 0x10, 5, VRING_DESC_F_NEXT, 3);
    driver_desc(d, 3, DATA + 0x20, 2, VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
                4);
    driver_desc(d, 4, DATA + 0x30, 2, VRING_DESC_F_WRITE, 0);
    driver_offer(d, 0);
    struct vmm_chain *chain = pop(d);
    MUST(vmm_chain_read(chain, 2, bytes, 4));
    assert_memory_equal(bytes, "cdef", 4);
    MUST(vmm_chain_write(chain, 1, "xyz", 3));
    MUST(vmm_memory_read(d->memory, DATA + 0x21, bytes, 1));
    MUST(vmm_memory_read(d->memory, DATA + 0x30, bytes + 1, 2));
    assert_memory_equal(bytes, "xyz", 3);
    vmm_virtq_push(chain, 4);
}

static void a_range_beyond_a_part_is_refused(void **state)
{
    struct driver *d = *state;
    struct iovec piece;
    char bytes[8];

    driver_desc(d, 0, DATA, 4, VRING_DESC_F_NEXT, 1);
    driver_desc(d, 1, DATA, 4, VRING_DESC_F_WRITE, 0);
    driver_offer(d, 0);
    struct vmm_chain *chain = pop(d);
    assert_int_equal(vmm_chain_read(chain, 1, bytes, 4), -ENODATA);
    assert_int_equal(vmm_chain_read(chain, UINT64_MAX, bytes, 4), -ENODATA);
    assert_int_equal(vmm_chain_write(chain, 4, bytes, 1), -ENOSPC);
    assert_int_equal(vmm_chain_write(chain, 4, bytes, 0), 0);
    assert_int_equal(vmm_chain_readable_iovec(chain, 0, 5, &piece, 1),
                     -ENODATA);
    assert_int_equal(vmm_chain_writable_iovec(chain, 0, 5, &piece, 1), -ENOSPC);
    vmm_virtq_push(chain, 0);
}

static void a_range_is_seen_as_pieces(void **state)
{
    struct driver *d = *state;
    struct iovec pieces[2];

    driver_desc(d, 0, DATA, 4, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
    driver_desc(d, 1, ISLAND, 4, VRING_DESC_F_WRITE, 0);
    driver_offer(d, 0);
    struct vmm_chain *chain = pop(d);
    assert_int_equal(vmm_chain_writable_iovec(chain, 3, 3, pieces, 2), 2);
    assert_int_equal(pieces[0].iov_len, 1);
    assert_int_equal(pieces[1].iov_len, 2);
    assert_int_equal(vmm_chain_writable_iovec(chain, 3, 3, pieces, 1),
                     -ENOBUFS);
    vmm_virtq_push(chain, 0);
}

/* ---- who is told ---- */

static void used(struct driver *d)
{
    driver_offer_buffer(d, 0, DATA, 4, VRING_DESC_F_WRITE);
    vmm_virtq_push(pop(d), 0);
}

static void the_driver_is_told_once_of_what_was_used(void **state)
{
    struct driver *d = *state;

    assert_false(vmm_virtq_should_signal(d->queue));
    used(d);
    assert_true(vmm_virtq_should_signal(d->queue));
    assert_false(vmm_virtq_should_signal(d->queue));
}

static void a_driver_may_want_no_interrupts(void **state)
{
    struct driver *d = *state;

    MUST(vmm_memory_store_u16(d->memory, AVAIL, VRING_AVAIL_F_NO_INTERRUPT));
    used(d);
    assert_false(vmm_virtq_should_signal(d->queue));
    MUST(vmm_memory_store_u16(d->memory, AVAIL, 0));
    used(d);
    assert_true(vmm_virtq_should_signal(d->queue));
}

static void a_used_event_says_for_which_one_to_interrupt(void **state)
{
    struct driver *d = *state;

    MUST(vmm_memory_store_u16(d->memory, AVAIL + 4 + 2 * RING_SIZE, 2));
    used(d);
    assert_false(vmm_virtq_should_signal(d->queue));
    used(d);
    assert_false(vmm_virtq_should_signal(d->queue));
    used(d);
    assert_true(vmm_virtq_should_signal(d->queue));
    used(d);
    assert_false(vmm_virtq_should_signal(d->queue));
}

static uint16_t load(struct driver *d, vmm_gpa_t gpa)
{
    uint16_t value;

    MUST(vmm_memory_load_u16(d->memory, gpa, &value));
    return value;
}

static void notifications_are_suppressed_by_the_flag(void **state)
{
    struct driver *d = *state;

    vmm_virtq_suppress(d->queue);
    assert_int_equal(load(d, USED), VRING_USED_F_NO_NOTIFY);
    assert_false(vmm_virtq_arm(d->queue));
    assert_int_equal(load(d, USED), 0);
}

static void notifications_are_asked_for_by_the_event_index(void **state)
{
    struct driver *d = *state;

    used(d);
    vmm_virtq_suppress(d->queue);
    assert_int_equal(load(d, USED), 0);
    assert_false(vmm_virtq_arm(d->queue));
    assert_int_equal(load(d, USED + 4 + 8 * RING_SIZE), 1);
}

static void what_came_before_notifications_were_armed_is_told(void **state)
{
    struct driver *d = *state;

    vmm_virtq_suppress(d->queue);
    driver_offer_buffer(d, 0, DATA, 4, 0);
    assert_true(vmm_virtq_arm(d->queue));
    vmm_virtq_push(pop(d), 0);
    assert_false(vmm_virtq_arm(d->queue));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_PLAIN(name)                                                       \
    cmocka_unit_test_setup_teardown(name, set_up_plain, tear_down)

/* That nothing leaks is for ASan to see. */
static void chains_that_are_out_are_freed_with_their_queue(void **state)
{
    struct driver *d = *state;

    driver_offer_buffer(d, 0, DATA, 16, 0);
    driver_offer_buffer(d, 1, DATA, 16, VRING_DESC_F_WRITE);
    vmm_virtq_push(pop(d), 0);
    assert_int_equal(pop(d)->writable, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_chain_has_its_buffers_in_order_and_by_direction),
        TEST(an_indirect_table_is_a_chain_as_well),
        TEST(an_indirect_table_may_follow_other_descriptors),
        TEST(chains_come_back_in_any_order),
        TEST(the_indices_wrap),
        TEST(a_chain_may_fill_the_whole_queue),
        TEST(a_disabled_queue_gives_and_takes_nothing),
        TEST(a_chain_of_before_a_reset_is_not_used_after_it),
        TEST(chains_that_are_out_are_freed_with_their_queue),
        TEST(bytes_are_read_and_written_across_segments),
        TEST(a_range_beyond_a_part_is_refused),
        TEST(a_range_is_seen_as_pieces),
        TEST(the_driver_is_told_once_of_what_was_used),
        TEST_PLAIN(a_driver_may_want_no_interrupts),
        TEST(a_used_event_says_for_which_one_to_interrupt),
        TEST_PLAIN(notifications_are_suppressed_by_the_flag),
        TEST(notifications_are_asked_for_by_the_event_index),
        TEST(what_came_before_notifications_were_armed_is_told),
    };

    return cmocka_run_group_tests_name("virtq", tests, NULL, NULL);
}
