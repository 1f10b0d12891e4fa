/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The table of the bytes that software breakpoints cover. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "machine/debug_table.h"

#define BASE  0x1000
#define BYTES 0x1000

struct fixture {
    struct vmm_memory *memory;
    struct debug_table table;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    const struct vmm_memory_range range = {BASE, BYTES};
    const struct vmm_memory_config config = {.ranges = &range,
                                             .range_count = 1};

    fixture.table = (struct debug_table){.trap = DEBUG_INT3};
    *state = &fixture;
    return vmm_memory_new(&config, &fixture.memory, NULL);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    debug_table_fini(&f->table);
    vmm_memory_unref(f->memory);
    return 0;
}

static uint8_t byte_at(const struct fixture *f, vmm_gpa_t gpa)
{
    uint8_t byte;

    assert_int_equal(vmm_memory_load_u8(f->memory, gpa, &byte), 0);
    return byte;
}

static void put(const struct fixture *f, vmm_gpa_t gpa, uint8_t byte)
{
    assert_int_equal(vmm_memory_store_u8(f->memory, gpa, byte), 0);
}

static void add(struct fixture *f, vmm_gpa_t gpa)
{
    assert_int_equal(debug_table_add(&f->table, f->memory, gpa), 0);
}

static void the_first_breakpoint_covers_and_the_last_uncovers(void **state)
{
    struct fixture *f = *state;

    put(f, BASE + 5, 0x90);
    add(f, BASE + 5);
    add(f, BASE + 5);
    assert_int_equal(byte_at(f, BASE + 5), 0xcc);
    debug_table_remove(&f->table, f->memory, BASE + 5);
    assert_int_equal(byte_at(f, BASE + 5), 0xcc);
    assert_true(debug_table_has(&f->table, BASE + 5));
    debug_table_remove(&f->table, f->memory, BASE + 5);
    assert_int_equal(byte_at(f, BASE + 5), 0x90);
    assert_false(debug_table_has(&f->table, BASE + 5));
    debug_table_remove(&f->table, f->memory, BASE + 5);
    assert_int_equal(byte_at(f, BASE + 5), 0x90);
}

static void what_is_no_ram_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(debug_table_add(&f->table, f->memory, BASE - 1), -EFAULT);
    assert_int_equal(debug_table_add(&f->table, f->memory, BASE + BYTES),
                     -EFAULT);
    assert_int_equal(f->table.count, 0);
}

static void a_byte_that_the_guest_has_written_stays(void **state)
{
    struct fixture *f = *state;

    put(f, BASE, 0x90);
    add(f, BASE);
    put(f, BASE, 0x55);
    debug_table_lift(&f->table, f->memory, BASE);
    assert_int_equal(byte_at(f, BASE), 0x55);
    debug_table_cover(&f->table, f->memory, BASE);
    assert_int_equal(byte_at(f, BASE), 0x55);
    debug_table_remove(&f->table, f->memory, BASE);
    assert_int_equal(byte_at(f, BASE), 0x55);
}

static void a_byte_written_while_lifted_is_the_new_original(void **state)
{
    struct fixture *f = *state;

    put(f, BASE, 0x90);
    add(f, BASE);
    debug_table_lift(&f->table, f->memory, BASE);
    assert_int_equal(byte_at(f, BASE), 0x90);
    assert_true(debug_table_is_lifted(&f->table, BASE));
    put(f, BASE, 0x55);
    debug_table_cover(&f->table, f->memory, BASE);
    assert_int_equal(byte_at(f, BASE), 0xcc);
    assert_false(debug_table_is_lifted(&f->table, BASE));
    debug_table_remove(&f->table, f->memory, BASE);
    assert_int_equal(byte_at(f, BASE), 0x55);
}

static void one_removed_while_lifted_is_not_covered_again(void **state)
{
    struct fixture *f = *state;

    put(f, BASE, 0x90);
    add(f, BASE);
    debug_table_lift(&f->table, f->memory, BASE);
    debug_table_remove(&f->table, f->memory, BASE);
    debug_table_cover(&f->table, f->memory, BASE);
    debug_table_cover_all(&f->table, f->memory);
    assert_int_equal(byte_at(f, BASE), 0x90);
}

static void all_are_lifted_and_covered(void **state)
{
    struct fixture *f = *state;

    for (vmm_gpa_t i = 0; i < 100; i++) {
        put(f, BASE + i, (uint8_t)i);
        add(f, BASE + i);
    }
    debug_table_lift_all(&f->table, f->memory);
    for (vmm_gpa_t i = 0; i < 100; i++)
        assert_int_equal(byte_at(f, BASE + i), i);
    debug_table_cover_all(&f->table, f->memory);
    for (vmm_gpa_t i = 0; i < 100; i++)
        assert_int_equal(byte_at(f, BASE + i), 0xcc);
    for (vmm_gpa_t i = 0; i < 100; i += 2)
        debug_table_remove(&f->table, f->memory, BASE + i);
    for (vmm_gpa_t i = 0; i < 100; i++)
        assert_int_equal(byte_at(f, BASE + i), i % 2 ? 0xcc : i);
}

static void a_copy_shows_originals_and_what_the_guest_has_written(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[8];

    for (vmm_gpa_t i = 0; i < 10; i++)
        put(f, BASE + i, (uint8_t)(0x10 + i));
    add(f, BASE);
    add(f, BASE + 1);
    add(f, BASE + 4);
    add(f, BASE + 9);
    put(f, BASE + 4, 0x77);
    put(f, BASE + 6, 0xcc); /* an INT3 of the guest's */
    assert_int_equal(vmm_memory_read(f->memory, BASE + 1, bytes, 8), 0);
    debug_table_hide(&f->table, BASE + 1, bytes, 8);
    assert_memory_equal(bytes, "\x11\x12\x13\x77\x15\xcc\x17\x18", 8);
}

static void another_trap_serves_as_well(void **state)
{
    struct fixture *f = *state;
    uint8_t byte;

    f->table.trap = DEBUG_IN_IMM8;
    put(f, BASE, 0xcc);
    add(f, BASE);
    byte = byte_at(f, BASE);
    assert_int_equal(byte, 0xe4);
    debug_table_hide(&f->table, BASE, &byte, 1);
    assert_int_equal(byte, 0xcc);
    debug_table_remove(&f->table, f->memory, BASE);
    assert_int_equal(byte_at(f, BASE), 0xcc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_first_breakpoint_covers_and_the_last_uncovers),
        TEST(what_is_no_ram_is_refused),
        TEST(a_byte_that_the_guest_has_written_stays),
        TEST(a_byte_written_while_lifted_is_the_new_original),
        TEST(one_removed_while_lifted_is_not_covered_again),
        TEST(all_are_lifted_and_covered),
        TEST(a_copy_shows_originals_and_what_the_guest_has_written),
        TEST(another_trap_serves_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
