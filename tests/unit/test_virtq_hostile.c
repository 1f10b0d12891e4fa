/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtqueue and a driver that breaks the rules: what it does, and that a
 * driver that keeps them is served afterwards. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "virtq_driver.h"

#define NEXT  VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIR VRING_DESC_F_INDIRECT

static int set_up(void **state)
{
    static struct driver d;

    driver_set_up(&d, RING_SIZE, INDIRECT_BIT | EVENT_BIT);
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    driver_tear_down(*state);
    return 0;
}

static void assert_serves(struct driver *d)
{
    struct vmm_chain *chain;
    uint32_t id, len;

    driver_offer_buffer(d, 1, DATA, 4, WRITE);
    assert_int_equal(vmm_virtq_pop(d->queue, &chain), 1);
    MUST(vmm_chain_write(chain, 0, "good", 4));
    vmm_virtq_push(chain, 4);
    assert_true(driver_collect(d, &id, &len));
    assert_int_equal(id, 1);
}

/* The queue is broken for this reason, stays so, and works after a reset. */
static void assert_broken(struct driver *d, const char *reason)
{
    struct vmm_chain *chain;

    assert_int_equal(vmm_virtq_pop(d->queue, &chain), -EPROTO);
    assert_null(chain);
    assert_string_equal(vmm_virtq_broken(d->queue), reason);
    assert_int_equal(vmm_virtq_pop(d->queue, &chain), -EPROTO);
    assert_false(vmm_virtq_arm(d->queue));
    driver_begin(d, INDIRECT_BIT | EVENT_BIT);
    assert_null(vmm_virtq_broken(d->queue));
    assert_serves(d);
}

/* ---- chains ---- */

static void a_loop_breaks_the_queue(void **state)
{
    struct driver *d = *state;

    driver_desc(d, 0, DATA, 1, NEXT, 1);
    driver_desc(d, 1, DATA, 1, NEXT, 0);
    driver_offer(d, 0);
    assert_broken(d, "a chain longer than the queue");
}

static void a_loop_of_empty_buffers_breaks_the_queue(void **state)
{
    struct driver *d = *state;

    driver_desc(d, 0, DATA, 0, NEXT, 0);
    driver_offer(d, 0);
    assert_broken(d, "a chain longer than the queue");
}

static void a_head_outside_breaks_the_queue(void **state)
{
    driver_offer(*state, RING_SIZE);
    assert_broken(*state, "a descriptor outside its table");
}

static void a_next_index_outside_breaks_the_queue(void **state)
{
    struct driver *d = *state;

    driver_desc(d, 0, DATA, 1, NEXT, 0xffff);
    driver_offer(d, 0);
    assert_broken(d, "a descriptor outside its table");
}

static void a_sum_over_32_bits_breaks_the_queue(void **state)
{
    struct driver *d = *state;

    driver_desc(d, 0, DATA, UINT32_MAX, NEXT, 1);
    driver_desc(d, 1, DATA, 2, 0, 0);
    driver_offer(d, 0);
    assert_broken(d, "a chain of more than 2^32 bytes");
}

static void
a_readable_buffer_after_a_writable_one_breaks_the_queue(void **state)
{
    struct driver *d = *state;

    driver_desc(d, 0, DATA, 1, WRITE | NEXT, 1);
    driver_desc(d, 1, DATA, 1, 0, 0);
    driver_offer(d, 0);
    assert_broken(d, "a readable buffer after a writable one");
}

/* ---- indirect tables ---- */

static void assert_indirect_broken(struct driver *d, uint64_t gpa, uint32_t len,
                                   uint16_t flags, const char *reason)
{
    driver_offer_buffer(d, 0, gpa, len, INDIR | flags);
    assert_broken(d, reason);
}

static void a_table_that_ends_within_a_descriptor_breaks_the_queue(void **state)
{
    static const char reason[] = "an indirect table of a part of descriptors";

    assert_indirect_broken(*state, INDIRECT, 24, 0, reason);
    assert_indirect_broken(*state, INDIRECT, 0, 0, reason);
    assert_indirect_broken(*state, INDIRECT, UINT32_MAX, 0, reason);
}

static void a_table_larger_than_the_queue_breaks_it(void **state)
{
    assert_indirect_broken(*state, INDIRECT, 16 * (RING_SIZE + 1), 0,
                           "an indirect table larger than the queue");
}

static void a_table_that_is_not_ram_breaks_the_queue(void **state)
{
    static const char reason[] = "an indirect table is not RAM";

    assert_indirect_broken(*state, RAM_END, 16, 0, reason);
    assert_indirect_broken(*state, RAM_END - 8, 16, 0, reason);
    assert_indirect_broken(*state, UINT64_MAX - 7, 16, 0, reason);
}

static void a_table_with_a_next_descriptor_breaks_the_queue(void **state)
{
    assert_indirect_broken(*state, INDIRECT, 16, NEXT,
                           "an indirect table with a next descriptor");
}

static void a_table_within_another_breaks_the_queue(void **state)
{
    driver_desc_at(*state, INDIRECT, 0, INDIRECT, 16, INDIR, 0);
    assert_indirect_broken(*state, INDIRECT, 16, 0,
                           "an indirect table within another");
}

static void an_index_outside_an_indirect_table_breaks_the_queue(void **state)
{
    driver_desc_at(*state, INDIRECT, 0, DATA, 1, NEXT, 1);
    assert_indirect_broken(*state, INDIRECT, 16, 0,
                           "a descriptor outside its table");
}

static void a_loop_in_an_indirect_table_breaks_the_queue(void **state)
{
    driver_desc_at(*state, INDIRECT, 0, DATA, 1, NEXT, 0);
    assert_indirect_broken(*state, INDIRECT, 16, 0,
                           "a chain longer than the queue");
}

static void a_table_that_was_not_negotiated_breaks_the_queue(void **state)
{
    driver_begin(*state, 0);
    assert_indirect_broken(*state, INDIRECT, 16, 0,
                           "an indirect table was not negotiated");
}

static void a_table_that_overlaps_the_ring_is_read_as_it_is(void **state)
{
    struct driver *d = *state;
    struct vmm_chain *chain;

    /* The table is descriptor 4 of the ring itself. */
    driver_desc(d, 4, DATA, 4, WRITE, 0);
    driver_offer_buffer(d, 0, DESC + 64, 16, INDIR);
    assert_int_equal(vmm_virtq_pop(d->queue, &chain), 1);
    assert_int_equal(chain->writable_bytes, 4);
    vmm_virtq_push(chain, 0);
    assert_true(driver_collect(d, &(uint32_t){0}, &(uint32_t){0}));
    assert_serves(d);
}

/* ---- the rings ---- */

static void an_index_more_than_a_queue_ahead_breaks_it(void **state)
{
    struct driver *d = *state;

    MUST(vmm_memory_store_u16(d->memory, AVAIL + 2, RING_SIZE + 1));
    assert_broken(d, "avail.idx is more than a queue ahead");
}

static void an_index_that_goes_back_breaks_the_queue(void **state)
{
    struct driver *d = *state;

    assert_serves(d);
    MUST(vmm_memory_store_u16(d->memory, AVAIL + 2, 0));
    assert_broken(d, "avail.idx is more than a queue ahead");
}

static void
a_descriptor_offered_while_it_is_out_breaks_the_queue_in_the_end(void **state)
{
    struct driver *d = *state;
    struct vmm_chain *chains[RING_SIZE], *more;

    for (int i = 0; i < RING_SIZE; i++) {
        driver_offer_buffer(d, 0, DATA, 4, WRITE);
        assert_int_equal(vmm_virtq_pop(d->queue, &chains[i]), 1);
    }
    driver_offer(d, 0);
    assert_int_equal(vmm_virtq_pop(d->queue, &more), -EPROTO);
    assert_string_equal(vmm_virtq_broken(d->queue),
                        "more chains than descriptors");
    for (int i = 0; i < RING_SIZE; i++)
        vmm_virtq_push(chains[i], 0);
    driver_begin(d, INDIRECT_BIT | EVENT_BIT);
    assert_serves(d);
}

static void a_descriptor_rewritten_later_changes_no_chain(void **state)
{
    struct driver *d = *state;
    struct vmm_chain *chain;

    driver_offer_buffer(d, 0, DATA, 4, WRITE);
    assert_int_equal(vmm_virtq_pop(d->queue, &chain), 1);
    driver_desc(d, 0, ISLAND, UINT32_MAX, 0, 7);
    MUST(vmm_chain_write(chain, 0, "kept", 4));
    assert_int_equal(vmm_chain_write(chain, 0, "more!", 5), -ENOSPC);
    char bytes[4];
    MUST(vmm_memory_read(d->memory, DATA, bytes, 4));
    assert_memory_equal(bytes, "kept", 4);
    vmm_virtq_push(chain, 4);
    assert_true(driver_collect(d, &(uint32_t){0}, &(uint32_t){0}));
    assert_serves(d);
}

/* ---- buffers ---- */

static void assert_no_ram(struct driver *d, uint64_t gpa, uint32_t len,
                          uint64_t offset)
{
    struct vmm_chain *chain;
    struct iovec pieces[4];
    char bytes[2] = "";

    driver_desc(d, 0, gpa, len, NEXT, 2);
    driver_desc(d, 2, gpa, len, WRITE, 0);
    driver_offer(d, 0);
    assert_int_equal(vmm_virtq_pop(d->queue, &chain), 1);
    assert_int_equal(vmm_chain_read(chain, offset, bytes, 2), -EFAULT);
    assert_int_equal(vmm_chain_write(chain, offset, bytes, 2), -EFAULT);
    assert_int_equal(vmm_chain_readable_iovec(chain, offset, 2, pieces, 4),
                     -EFAULT);
    assert_int_equal(vmm_chain_writable_iovec(chain, offset, 2, pieces, 4),
                     -EFAULT);
    vmm_virtq_push(chain, 0);
    assert_true(driver_collect(d, &(uint32_t){0}, &(uint32_t){0}));
    assert_serves(d);
}

static void a_buffer_that_ends_outside_ram_costs_its_request(void **state)
{
    assert_no_ram(*state, RAM_END - 1, 2, 0);
    assert_no_ram(*state, RAM_END - 1, UINT32_MAX / 2, 0);
}

static void a_buffer_in_a_hole_costs_its_request(void **state)
{
    assert_no_ram(*state, RAM_END + 0x1000, 2, 0);
}

static void a_buffer_past_the_end_costs_its_request(void **state)
{
    assert_no_ram(*state, ISLAND + 0x1000, 2, 0);
}

static void a_buffer_that_wraps_costs_its_request(void **state)
{
    assert_no_ram(*state, UINT64_MAX, 2, 0);
    /* What lies behind the wrap would be RAM. */
    assert_no_ram(*state, UINT64_MAX - 0xfff, 0x2000, 0x1000);
}

/* ---- set-up ---- */

static void assert_refused(struct driver *d, struct vmm_virtq_layout layout,
                           const char *reason)
{
    struct vmm_error err;

    vmm_virtq_disable(d->queue);
    assert_int_equal(vmm_virtq_enable(d->queue, &layout, 0, &err), -EINVAL);
    assert_string_equal(err.text, reason);
    assert_false(vmm_virtq_enabled(d->queue));
    driver_begin(d, INDIRECT_BIT | EVENT_BIT);
    assert_serves(d);
}

#define LAYOUT(...) ((struct vmm_virtq_layout){__VA_ARGS__})

static void sizes_that_no_queue_has_are_refused(void **state)
{
    assert_refused(
        *state, LAYOUT(0, DESC, AVAIL, USED),
        "a queue of 0 descriptors: a power of two up to 8 is possible");
    assert_refused(
        *state, LAYOUT(6, DESC, AVAIL, USED),
        "a queue of 6 descriptors: a power of two up to 8 is possible");
    assert_refused(
        *state, LAYOUT(16, DESC, AVAIL, USED),
        "a queue of 16 descriptors: a power of two up to 8 is possible");
}

static void rings_that_are_unaligned_are_refused(void **state)
{
    assert_refused(*state, LAYOUT(8, DESC + 8, AVAIL, USED),
                   "the descriptor table at 0x1008 is not aligned to 16");
    assert_refused(*state, LAYOUT(8, DESC, AVAIL + 1, USED),
                   "the driver's ring at 0x2001 is not aligned to 2");
    assert_refused(*state, LAYOUT(8, DESC, AVAIL, USED + 2),
                   "the device's ring at 0x3002 is not aligned to 4");
}

static void rings_that_overlap_are_refused(void **state)
{
    assert_refused(*state, LAYOUT(8, DESC, DESC + 126, USED),
                   "the descriptor table overlaps the driver's ring");
    assert_refused(*state, LAYOUT(8, DESC, AVAIL, AVAIL),
                   "the driver's ring overlaps the device's ring");
    assert_refused(*state, LAYOUT(8, DESC, AVAIL, DESC),
                   "the device's ring overlaps the descriptor table");
}

static void rings_that_are_not_ram_are_refused(void **state)
{
    assert_refused(*state, LAYOUT(8, RAM_END, AVAIL, USED),
                   "the descriptor table at 0x40000, 128 bytes, is not in one "
                   "region of RAM");
    assert_refused(*state, LAYOUT(8, DESC, RAM_END - 20, USED),
                   "the driver's ring at 0x3ffec, 22 bytes, is not in one "
                   "region of RAM");
    assert_refused(*state, LAYOUT(8, DESC, AVAIL, UINT64_MAX - 3),
                   "the device's ring at 0xfffffffffffffffc, 70 bytes, is not "
                   "in one region of RAM");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_loop_breaks_the_queue),
        TEST(a_loop_of_empty_buffers_breaks_the_queue),
        TEST(a_head_outside_breaks_the_queue),
        TEST(a_next_index_outside_breaks_the_queue),
        TEST(a_sum_over_32_bits_breaks_the_queue),
        TEST(a_readable_buffer_after_a_writable_one_breaks_the_queue),
        TEST(a_table_that_ends_within_a_descriptor_breaks_the_queue),
        TEST(a_table_larger_than_the_queue_breaks_it),
        TEST(a_table_that_is_not_ram_breaks_the_queue),
        TEST(a_table_with_a_next_descriptor_breaks_the_queue),
        TEST(a_table_within_another_breaks_the_queue),
        TEST(an_index_outside_an_indirect_table_breaks_the_queue),
        TEST(a_loop_in_an_indirect_table_breaks_the_queue),
        TEST(a_table_that_was_not_negotiated_breaks_the_queue),
        TEST(a_table_that_overlaps_the_ring_is_read_as_it_is),
        TEST(an_index_more_than_a_queue_ahead_breaks_it),
        TEST(an_index_that_goes_back_breaks_the_queue),
        TEST(a_descriptor_offered_while_it_is_out_breaks_the_queue_in_the_end),
        TEST(a_descriptor_rewritten_later_changes_no_chain),
        TEST(a_buffer_that_ends_outside_ram_costs_its_request),
        TEST(a_buffer_in_a_hole_costs_its_request),
        TEST(a_buffer_past_the_end_costs_its_request),
        TEST(a_buffer_that_wraps_costs_its_request),
        TEST(sizes_that_no_queue_has_are_refused),
        TEST(rings_that_are_unaligned_are_refused),
        TEST(rings_that_overlap_are_refused),
        TEST(rings_that_are_not_ram_are_refused),
    };

    return cmocka_run_group_tests_name("virtq_hostile", tests, NULL, NULL);
}
