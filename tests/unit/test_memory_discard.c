/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest memory given back to the host: what goes, and what stays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <vmm/memory.h>

#define PAGE 0x1000u

/* Two regions that adjoin, a hole, one page. */
static const struct vmm_memory_range layout[] = {
    {0, 4 * PAGE}, {4 * PAGE, 4 * PAGE}, {16 * PAGE, PAGE}};

static struct vmm_memory *new_memory(bool shared)
{
    struct vmm_memory_config config = {
        .ranges = layout, .range_count = 3, .shared = shared};
    struct vmm_memory *memory;
    struct vmm_error err;

    if (vmm_memory_new(&config, &memory, &err))
        fail_msg("%s", err.text);
    assert_int_equal(vmm_memory_fill(memory, 0, 0xaa, 8 * PAGE), 0);
    assert_int_equal(vmm_memory_fill(memory, 16 * PAGE, 0xaa, PAGE), 0);
    return memory;
}

/* A bit for each of the first eight pages that holds zeros. */
static unsigned zeros(const struct vmm_memory *memory)
{
    unsigned found = 0;

    for (unsigned i = 0; i < 8; i++) {
        uint8_t first, last;

        vmm_memory_load_u8(memory, i * PAGE, &first);
        vmm_memory_load_u8(memory, i * PAGE + PAGE - 1, &last);
        assert_int_equal(first, last);
        found |= (unsigned)(first == 0) << i;
    }
    return found;
}

static void what_is_discarded_holds_zeros_and_nothing_else_does(void **state)
{
    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        struct vmm_memory *memory = new_memory(shared);

        assert_int_equal(vmm_memory_discard(memory, PAGE, PAGE), 0);
        assert_int_equal(zeros(memory), 0x02);
        assert_int_equal(vmm_memory_discard(memory, PAGE, PAGE), 0);
        assert_int_equal(vmm_memory_discard(memory, 3 * PAGE, 2 * PAGE), 0);
        assert_int_equal(zeros(memory), 0x1a);
        assert_int_equal(vmm_memory_store_u8(memory, PAGE, 1), 0);
        assert_int_equal(vmm_memory_discard(memory, 2 * PAGE, 0), 0);
        assert_int_equal(vmm_memory_discard(memory, 16 * PAGE, PAGE), 0);
        vmm_memory_unref(memory);
    }
}

static void what_is_not_all_ram_in_whole_pages_is_refused_whole(void **state)
{
    static const struct {
        uint64_t gpa, len;
        int expected;
    } cases[] = {
        {7 * PAGE, 2 * PAGE, -EFAULT},
        {16 * PAGE, 2 * PAGE, -EFAULT},
        {12 * PAGE, PAGE, -EFAULT},
        {0, 0 - (uint64_t)PAGE, -EFAULT},
        {0 - (uint64_t)PAGE, 2 * PAGE, -EFAULT},
        {1, PAGE, -EINVAL},
        {0, PAGE + 1, -EINVAL},
        {0, 1, -EINVAL},
    };
    struct vmm_memory *memory = new_memory(false);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_int_equal(vmm_memory_discard(memory, cases[i].gpa, cases[i].len),
                         cases[i].expected);
    assert_int_equal(zeros(memory), 0);
    vmm_memory_unref(memory);
}

static void shared_memory_leaves_the_memfd_too(void **state)
{
    struct vmm_memory *memory = new_memory(true);
    struct stat before, after;

    (void)state;
    assert_int_equal(fstat(vmm_memory_region(memory, 0).fd, &before), 0);
    assert_int_equal(vmm_memory_discard(memory, 0, 8 * PAGE), 0);
    assert_int_equal(fstat(vmm_memory_region(memory, 0).fd, &after), 0);
    assert_int_equal(before.st_blocks - after.st_blocks, 8 * PAGE / 512);
    vmm_memory_unref(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_discarded_holds_zeros_and_nothing_else_does),
        cmocka_unit_test(what_is_not_all_ram_in_whole_pages_is_refused_whole),
        cmocka_unit_test(shared_memory_leaves_the_memfd_too),
    };

    return cmocka_run_group_tests_name("memory_discard", tests, NULL, NULL);
}
