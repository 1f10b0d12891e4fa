/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The walk through page tables that a test lays out. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <vmm/paging.h>

#define MIB     (UINT64_C(1) << 20)
#define RAM     (16 * MIB)
#define PRESENT 1
#define LARGE   0x80
/* Tables, from the root down; pages. */
#define ROOT UINT64_C(0x1000)
#define T4   UINT64_C(0x2000)
#define T3   UINT64_C(0x3000)
#define T2   UINT64_C(0x4000)
#define T1   UINT64_C(0x5000)
#define PAGE UINT64_C(0x600000)
#define NEXT UINT64_C(0x400000)
#define NX   (UINT64_C(1) << 63)

static int set_up(void **state)
{
    const struct vmm_memory_range range = {0, RAM};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};
    struct vmm_memory *memory = NULL;

    assert_int_equal(vmm_memory_new(&config, &memory, NULL), 0);
    *state = memory;
    return 0;
}

static int tear_down(void **state)
{
    vmm_memory_unref(*state);
    return 0;
}

static void entry(struct vmm_memory *memory, uint64_t table, uint64_t index,
                  uint64_t value)
{
    assert_int_equal(vmm_memory_store_u64(memory, table + 8 * index, value), 0);
}

static void assert_at(struct vmm_memory *memory, int levels, uint64_t cr3,
                      uint64_t gva, uint64_t expected, uint64_t run)
{
    struct vmm_address_space space = {cr3, levels};
    uint64_t gpa, left;

    assert_int_equal(vmm_paging_translate(memory, &space, gva, &gpa, &left), 0);
    assert_int_equal(gpa, expected);
    assert_int_equal(left, run);
}

static void assert_unmapped(struct vmm_memory *memory, int levels, uint64_t cr3,
                            uint64_t gva)
{
    struct vmm_address_space space = {cr3, levels};
    uint64_t gpa;

    assert_int_equal(vmm_paging_translate(memory, &space, gva, &gpa, NULL),
                     -EFAULT);
}

/* 0xffffffff80000000: entries 511, 510, 0, 0 of four levels. */
#define KERNEL UINT64_C(0xffffffff80000000)

static void map_kernel(struct vmm_memory *memory)
{
    entry(memory, T4, 511, T3 | PRESENT);
    entry(memory, T3, 510, T2 | PRESENT);
    entry(memory, T2, 0, T1 | PRESENT);
    entry(memory, T1, 0, PAGE | PRESENT | NX);
    entry(memory, T1, 1, NEXT | PRESENT);
}

static void four_levels_lead_to_a_page(void **state)
{
    map_kernel(*state);
    assert_at(*state, 4, T4, KERNEL + 0x123, PAGE + 0x123, 0xedd);
    assert_unmapped(*state, 4, T4, KERNEL + 0x2000);
    assert_unmapped(*state, 4, T4, 0);
}

static void low_bits_of_cr3_are_no_address(void **state)
{
    map_kernel(*state);
    assert_at(*state, 4, T4 | 0x19, KERNEL, PAGE, 0x1000);
}

static void five_levels_lead_to_a_page(void **state)
{
    map_kernel(*state);
    entry(*state, ROOT, 511, T4 | PRESENT);
    assert_at(*state, 5, ROOT, KERNEL + 0x1004, NEXT + 4, 0xffc);
}

static void large_pages_end_the_walk_early(void **state)
{
    map_kernel(*state);
    entry(*state, T2, 1, 0x800000 | PRESENT | LARGE);
    entry(*state, T3, 511, UINT64_C(0x40000000) | PRESENT | LARGE);
    assert_at(*state, 4, T4, KERNEL + 0x234567, 0x834567, 0x1cba99);
    assert_at(*state, 4, T4, UINT64_C(0xffffffffc0000010), UINT64_C(0x40000010),
              UINT64_C(0x3ffffff0));
}

static void an_address_that_is_not_canonical_is_not_mapped(void **state)
{
    map_kernel(*state);
    entry(*state, T4, 256, T3 | PRESENT);
    entry(*state, T3, 0, T2 | PRESENT);
    assert_unmapped(*state, 4, T4, UINT64_C(0x0000800000000000));
    assert_at(*state, 4, T4, UINT64_C(0xffff800000000000), PAGE, 0x1000);
}

static void a_table_outside_ram_is_not_mapped(void **state)
{
    entry(*state, T4, 511, (RAM + 0x1000) | PRESENT);
    assert_unmapped(*state, 4, T4, KERNEL);
    assert_unmapped(*state, 4, RAM, KERNEL);
}

static void tables_that_lead_to_themselves_end(void **state)
{
    for (uint64_t i = 0; i < 512; i++)
        entry(*state, T4, i, T4 | PRESENT);
    assert_at(*state, 4, T4, KERNEL + 8, T4 + 8, 0xff8);
}

static void pae_has_three_levels_and_no_huge_pages(void **state)
{
    entry(*state, ROOT + 0x20, 3, T2 | PRESENT | LARGE);
    entry(*state, T2, 1, 0x800000 | PRESENT | LARGE);
    assert_at(*state, 3, ROOT + 0x20, 0xc0200010, 0x800010, 0x1ffff0);
    assert_unmapped(*state, 3, ROOT + 0x20, UINT64_C(0x1c0200010));
}

static void two_levels_of_32_bits(void **state)
{
    assert_int_equal(
        vmm_memory_store_u32(*state, ROOT + 4 * 0x300, T1 | PRESENT), 0);
    assert_int_equal(vmm_memory_store_u32(*state, T1 + 4 * 5, PAGE | PRESENT),
                     0);
    assert_int_equal(vmm_memory_store_u32(*state, ROOT + 4 * 0x301,
                                          0x800000 | PRESENT | LARGE),
                     0);
    assert_at(*state, 2, ROOT, 0xc0005abc, PAGE + 0xabc, 0x544);
    assert_at(*state, 2, ROOT, 0xc0412345, 0x812345, 0x3edcbb);
    assert_unmapped(*state, 2, ROOT, 0xc0006000);
}

static void without_paging_an_address_is_physical(void **state)
{
    assert_at(*state, 0, 0, 0x12345, 0x12345, 0xcbb);
}

static void the_control_registers_tell_the_levels(void **state)
{
    const uint64_t pg = UINT64_C(1) << 31, pae = 1 << 5, la57 = 1 << 12,
                   lma = 1 << 10;

    (void)state;
    assert_int_equal(vmm_address_space(1, 0, 0, 0).levels, 0);
    assert_int_equal(vmm_address_space(pg, 0, 0, 0).levels, 2);
    assert_int_equal(vmm_address_space(pg, 0, pae, 0).levels, 3);
    assert_int_equal(vmm_address_space(pg, 0, pae, lma).levels, 4);
    assert_int_equal(vmm_address_space(pg, 5, pae | la57, lma).levels, 5);
    assert_int_equal(vmm_address_space(pg, 5, pae, lma).cr3, 5);
}

static void an_access_crosses_pages_that_are_apart(void **state)
{
    struct vmm_address_space space = {T4, 4};
    char bytes[8] = "";
    uint64_t fault = 0;

    map_kernel(*state);
    assert_int_equal(
        vmm_paging_write(*state, &space, KERNEL + 0xffd, "abcdef", 6, &fault),
        0);
    assert_int_equal(vmm_memory_read(*state, PAGE + 0xffd, bytes, 3), 0);
    assert_int_equal(vmm_memory_read(*state, NEXT, bytes + 3, 3), 0);
    assert_string_equal(bytes, "abcdef");
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(
        vmm_paging_read(*state, &space, KERNEL + 0xffd, bytes, 6, &fault), 0);
    assert_string_equal(bytes, "abcdef");
}

static void an_access_names_the_first_page_that_is_not_there(void **state)
{
    struct vmm_address_space space = {T4, 4};
    char bytes[0x3000] = "x";
    uint64_t fault = 0;

    map_kernel(*state);
    assert_int_equal(vmm_paging_write(*state, &space, KERNEL + 0x800, bytes,
                                      sizeof(bytes), &fault),
                     -EFAULT);
    assert_int_equal(fault, KERNEL + 0x2000);
    uint8_t first;
    assert_int_equal(vmm_memory_load_u8(*state, PAGE + 0x800, &first), 0);
    assert_int_equal(first, 0); /* nothing was written */
    assert_int_equal(vmm_paging_read(*state, &space, KERNEL + 0x800, bytes,
                                     sizeof(bytes), &fault),
                     -EFAULT);
    assert_int_equal(fault, KERNEL + 0x2000);
}

static void a_page_outside_ram_is_a_fault(void **state)
{
    struct vmm_address_space space = {T4, 4};
    uint64_t fault = 0;

    map_kernel(*state);
    entry(*state, T1, 1, RAM | PRESENT);
    assert_int_equal(
        vmm_paging_check(*state, &space, KERNEL + 0xfff, 2, &fault), -EFAULT);
    assert_int_equal(fault, KERNEL + 0x1000);
}

static void a_length_that_wraps_is_a_fault(void **state)
{
    struct vmm_address_space space = {T4, 4};
    uint64_t fault = 0;

    assert_int_equal(
        vmm_paging_check(*state, &space, UINT64_MAX - 1, 3, &fault), -EFAULT);
    assert_int_equal(vmm_paging_check(*state, &space, 0, UINT64_MAX, &fault),
                     -EFAULT);
    assert_int_equal(fault, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(four_levels_lead_to_a_page),
        TEST(low_bits_of_cr3_are_no_address),
        TEST(five_levels_lead_to_a_page),
        TEST(large_pages_end_the_walk_early),
        TEST(an_address_that_is_not_canonical_is_not_mapped),
        TEST(a_table_outside_ram_is_not_mapped),
        TEST(tables_that_lead_to_themselves_end),
        TEST(pae_has_three_levels_and_no_huge_pages),
        TEST(two_levels_of_32_bits),
        TEST(without_paging_an_address_is_physical),
        TEST(the_control_registers_tell_the_levels),
        TEST(an_access_crosses_pages_that_are_apart),
        TEST(an_access_names_the_first_page_that_is_not_there),
        TEST(a_page_outside_ram_is_a_fault),
        TEST(a_length_that_wraps_is_a_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
