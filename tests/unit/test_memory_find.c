/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The search through guest memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include <vmm/memory.h>

#define MIB  (UINT64_C(1) << 20)
#define BASE (4 * MIB)
#define SIZE (64 * MIB)
#define TOP  (UINT64_C(1) << 32)

static struct vmm_memory *make(bool shared)
{
    const struct vmm_memory_range ranges[] = {
        {0, MIB}, {BASE, SIZE}, {TOP, MIB}};
    struct vmm_memory_config config = {
        .ranges = ranges, .range_count = 3, .shared = shared};
    struct vmm_memory *memory;

    assert_int_equal(vmm_memory_new(&config, &memory, NULL), 0);
    return memory;
}

static void put(struct vmm_memory *memory, vmm_gpa_t gpa, const char *text)
{
    assert_int_equal(vmm_memory_write(memory, gpa, text, strlen(text)), 0);
}

static vmm_gpa_t find(struct vmm_memory *memory, const char *text,
                      vmm_gpa_t from, vmm_gpa_t to, uint64_t step)
{
    vmm_gpa_t gpa = 0;
    int ret = vmm_memory_find(memory, text, strlen(text), from, to, step, &gpa);

    assert_true(ret == 0 || ret == -ENOENT);
    return ret ? UINT64_MAX : gpa;
}

static void finds_the_lowest(bool shared)
{
    struct vmm_memory *memory = make(shared);

    put(memory, TOP + MIB - 6, "needle");
    put(memory, BASE + 30 * MIB + 4093, "needle");
    assert_int_equal(find(memory, "needle", 0, UINT64_MAX, 1),
                     BASE + 30 * MIB + 4093);
    assert_int_equal(
        find(memory, "needle", BASE + 30 * MIB + 4094, UINT64_MAX, 1),
        TOP + MIB - 6);
    assert_int_equal(find(memory, "noodle", 0, UINT64_MAX, 1), UINT64_MAX);
    vmm_memory_unref(memory);
}

static void the_lowest_match_is_found_in_any_region(void **state)
{
    (void)state;
    finds_the_lowest(false);
}

static void the_same_in_shared_memory(void **state)
{
    (void)state;
    finds_the_lowest(true);
}

static void a_match_lies_whole_within_its_bounds(void **state)
{
    struct vmm_memory *memory = make(false);

    (void)state;
    put(memory, BASE + 100, "needle");
    assert_int_equal(find(memory, "needle", 0, BASE + 105, 1), UINT64_MAX);
    assert_int_equal(find(memory, "needle", 0, BASE + 106, 1), BASE + 100);
    assert_int_equal(find(memory, "needle", BASE + 101, UINT64_MAX, 1),
                     UINT64_MAX);
    assert_int_equal(find(memory, "needle", BASE + 200, BASE, 1), UINT64_MAX);
    vmm_memory_unref(memory);
}

static void a_step_skips_what_lies_between(void **state)
{
    struct vmm_memory *memory = make(false);

    (void)state;
    put(memory, BASE + 8193, "needle");
    put(memory, BASE + 5 * 4096 + 12, "needle");
    assert_int_equal(find(memory, "needle", 12, UINT64_MAX, 4096),
                     BASE + 5 * 4096 + 12);
    assert_int_equal(find(memory, "needle", 12, UINT64_MAX, UINT64_MAX),
                     UINT64_MAX);
    vmm_memory_unref(memory);
}

static size_t resident(const struct vmm_memory *memory)
{
    struct vmm_memory_region region = vmm_memory_region(memory, 1);
    static unsigned char map[SIZE / 4096];
    size_t count = 0;

    assert_int_equal(mincore(region.host, SIZE, map), 0);
    for (size_t i = 0; i < SIZE / 4096; i++)
        count += map[i] & 1;
    return count;
}

static void untouched_pages_stay_untouched(void **state)
{
    struct vmm_memory *memory = make(false);

    (void)state;
    put(memory, BASE + 20 * MIB, "needle");
    size_t before = resident(memory);
    assert_int_equal(find(memory, "noodle", 0, UINT64_MAX, 1), UINT64_MAX);
    assert_int_equal(resident(memory), before);
    vmm_memory_unref(memory);
}

static void a_pattern_of_no_length_or_step_is_refused(void **state)
{
    struct vmm_memory *memory = make(false);
    vmm_gpa_t gpa;

    (void)state;
    assert_int_equal(vmm_memory_find(memory, "", 0, 0, MIB, 1, &gpa), -EINVAL);
    assert_int_equal(vmm_memory_find(memory, "x", 1, 0, MIB, 0, &gpa), -EINVAL);
    assert_int_equal(vmm_memory_find(memory, "x", VMM_MEMORY_PATTERN_MAX + 1, 0,
                                     MIB, 1, &gpa),
                     -EINVAL);
    vmm_memory_unref(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lowest_match_is_found_in_any_region),
        cmocka_unit_test(the_same_in_shared_memory),
        cmocka_unit_test(a_match_lies_whole_within_its_bounds),
        cmocka_unit_test(a_step_skips_what_lies_between),
        cmocka_unit_test(untouched_pages_stay_untouched),
        cmocka_unit_test(a_pattern_of_no_length_or_step_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
