/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* initrd: the highest page where it fits, in one region, between two bounds. */
#include "images.h"

#include <errno.h>

/*
 *   0x0        0xa0000   0x100000            0x400000  0x800000    0xa00000
 *    | low RAM | ... hole ... | RAM (3 MiB)      | ... hole ... | RAM (2 MiB) |
 */
static const struct vmm_memory_range ranges[] = {
    {0x0, 0xa0000}, {0x100000, 0x300000}, {0x800000, 0x200000}};

#define RAM_TEXT                                                               \
    "RAM is [0x0, 0xa0000), [0x100000, 0x400000), [0x800000, 0xa00000)"

struct fixture {
    struct vmm_memory *memory;
    uint8_t *bytes;
    struct vmm_image image;
    vmm_gpa_t gpa;
    struct vmm_error err;
};

static int set_up(void **state)
{
    struct vmm_memory_config config = {.ranges = ranges,
                                       .range_count = LEN(ranges)};
    struct fixture *t = calloc(1, sizeof(*t));

    *state = t;
    return vmm_memory_new(&config, &t->memory, &t->err);
}

static int tear_down(void **state)
{
    struct fixture *t = *state;

    vmm_memory_unref(t->memory);
    free(t->bytes);
    free(t);
    return 0;
}

static int load(struct fixture *t, uint64_t size, vmm_gpa_t min, vmm_gpa_t max)
{
    free(t->bytes);
    t->bytes = malloc(size);
    memset(t->bytes, 0x5a, size);
    vmm_image_borrow(t->bytes, size, "initrd", &t->image);
    return vmm_initrd_load(&t->image, t->memory, min, max, &t->gpa, &t->err);
}

static void expect_loaded_at(struct fixture *t, uint64_t size, vmm_gpa_t min,
                             vmm_gpa_t max, vmm_gpa_t gpa)
{
    uint8_t *got = malloc(size);

    expect_success(load(t, size, min, max), &t->err);
    assert_int_equal(t->gpa, gpa);
    assert_int_equal(vmm_memory_read(t->memory, gpa, got, size), 0);
    assert_memory_equal(got, t->bytes, size);
    free(got);
}

static void highest_page_of_ram_is_taken(void **state)
{
    expect_loaded_at(*state, 0x1001, 0, 0x7fffffff, 0x9fe000);
}

static void size_of_whole_pages_ends_with_the_region(void **state)
{
    expect_loaded_at(*state, 0x2000, 0, UINT64_MAX, 0x9fe000);
}

static void end_stays_at_or_below_the_highest_address(void **state)
{
    expect_loaded_at(*state, 0x1000, 0, 0x8fffff, 0x8ff000);
}

static void highest_address_counts_to_the_byte(void **state)
{
    expect_loaded_at(*state, 0x1000, 0, 0x8ffffe, 0x8fe000);
}

static void highest_address_in_a_hole_means_the_region_below(void **state)
{
    expect_loaded_at(*state, 0x1000, 0, 0x7fffff, 0x3ff000);
}

static void region_too_small_is_passed_over(void **state)
{
    expect_loaded_at(*state, 0x200001, 0, 0x7fffffff, 0x1ff000);
}

static void whole_region_can_be_filled(void **state)
{
    expect_loaded_at(*state, 0x300000, 0, 0x7fffffff, 0x100000);
}

static void lowest_address_is_honoured_to_the_page(void **state)
{
    expect_loaded_at(*state, 0x200000, 0x800000, 0x7fffffff, 0x800000);
}

static void initrd_below_the_lowest_address_is_refused(void **state)
{
    struct fixture *t = *state;

    expect_failure(load(t, 0x200000, 0x800001, 0x7fffffff), &t->err, ENOSPC,
                   "initrd: no room for an initrd of 0x200000 bytes in one "
                   "region of RAM between 0x800001 and 0x7fffffff; " RAM_TEXT);
}

static void initrd_larger_than_every_region_is_refused(void **state)
{
    struct fixture *t = *state;

    expect_failure(load(t, 0x300001, 0, 0x7fffffff), &t->err, ENOSPC,
                   "initrd: no room for an initrd of 0x300001 bytes in one "
                   "region of RAM between 0x0 and 0x7fffffff; " RAM_TEXT);
}

static void bounds_without_ram_between_are_refused(void **state)
{
    struct fixture *t = *state;

    expect_failure(load(t, 0x1000, 0x400000, 0x7fffff), &t->err, ENOSPC,
                   "initrd: no room for an initrd of 0x1000 bytes in one "
                   "region of RAM between 0x400000 and 0x7fffff; " RAM_TEXT);
}

static void bounds_in_reverse_are_refused(void **state)
{
    struct fixture *t = *state;

    expect_failure(load(t, 0x1000, 0x900000, 0x8fffff), &t->err, ENOSPC,
                   "initrd: no room for an initrd of 0x1000 bytes in one "
                   "region of RAM between 0x900000 and 0x8fffff; " RAM_TEXT);
}

static void more_than_four_regions_are_abridged(void **state)
{
    static const struct vmm_memory_range many[] = {
        {0x1000, 0x1000}, {0x3000, 0x1000}, {0x5000, 0x1000},
        {0x7000, 0x1000}, {0x9000, 0x1000},
    };
    struct vmm_memory_config config = {.ranges = many, .range_count = 5};
    struct fixture *t = *state;

    vmm_memory_unref(t->memory);
    assert_int_equal(vmm_memory_new(&config, &t->memory, NULL), 0);
    expect_failure(load(t, 0x1001, 0, 0xffff), &t->err, ENOSPC,
                   "initrd: no room for an initrd of 0x1001 bytes in one "
                   "region of RAM between 0x0 and 0xffff; RAM is [0x1000, "
                   "0x2000), [0x3000, 0x4000), [0x5000, 0x6000), [0x7000, "
                   "0x8000), ...");
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(highest_page_of_ram_is_taken),
        TEST(size_of_whole_pages_ends_with_the_region),
        TEST(end_stays_at_or_below_the_highest_address),
        TEST(highest_address_counts_to_the_byte),
        TEST(highest_address_in_a_hole_means_the_region_below),
        TEST(region_too_small_is_passed_over),
        TEST(whole_region_can_be_filled),
        TEST(lowest_address_is_honoured_to_the_page),
        TEST(initrd_below_the_lowest_address_is_refused),
        TEST(initrd_larger_than_every_region_is_refused),
        TEST(bounds_without_ram_between_are_refused),
        TEST(bounds_in_reverse_are_refused),
        TEST(more_than_four_regions_are_abridged),
    };

    return cmocka_run_group_tests_name("initrd", tests, NULL, NULL);
}
