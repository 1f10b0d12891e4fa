/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The bus: how accesses reach devices. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus_probe.h"

/* ---- accesses ---- */

static void an_access_sees_the_offset_within_its_range(void **state)
{
    add(*state, "a", 0x100, 8);
    struct probe *b = add(*state, "b", 0x200, 8);
    static const uint8_t value[] = {1, 2, 3, 4};
    assert_reads(*state, 0x204, 2, 0, 0x1514);
    assert_int_equal(vmm_bus_write(*state, 0x203, value, 4), 0);
    assert_string_equal(b->calls, "r4+2 w3=01020304 ");
}

static void an_access_to_nothing_reads_all_ones(void **state)
{
    add(*state, "a", 0x100, 8);
    static const uint8_t value[8];
    assert_reads(*state, 0xff, 1, -ENOENT, 0xff);
    assert_reads(*state, 0x108, 8, -ENOENT, ALL_ONES);
    assert_int_equal(vmm_bus_write(*state, 0x108, value, 8), -ENOENT);
}

static void a_read_that_the_device_ignores_gives_all_ones(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 8);
    a->silent = true;
    assert_reads(*state, 0x100, 4, 0, 0xffffffff);
    assert_string_equal(a->calls, "r0+4 ");
}

static void an_access_that_straddles_is_split_per_range(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    struct probe *b = add(*state, "b", 0x104, 1);
    struct probe *c = add(*state, "c", 0x106, 8);
    static const uint8_t value[] = {1, 2, 3, 4, 5, 6, 7, 8};
    /* 102 103 a | 104 b | 105 nothing | 106 .. 109 c */
    assert_reads(*state, 0x102, 8, 0, UINT64_C(0x13121110ff101312));
    assert_int_equal(vmm_bus_write(*state, 0x102, value, 8), 0);
    assert_string_equal(a->calls, "r2+2 w2=0102 ");
    assert_string_equal(b->calls, "r0+1 w0=03 ");
    assert_string_equal(c->calls, "r0+4 w0=05060708 ");
}

static void an_access_that_starts_in_a_hole_reaches_what_follows(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    assert_reads(*state, 0xfe, 4, 0, 0x1110ffff);
    assert_string_equal(a->calls, "r0+2 ");
}

static void string_reads_keep_the_port_and_advance_the_data(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    uint8_t values[6] = {0};
    static const uint8_t expected[6] = {0x11, 0x12, 0x11, 0x12, 0x11, 0x12};
    assert_int_equal(vmm_bus_read_string(*state, 0x101, values, 2, 3), 0);
    assert_memory_equal(values, expected, 6);
    assert_string_equal(a->calls, "r1+2 r1+2 r1+2 ");
}

static void string_writes_keep_the_port_and_advance_the_data(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    assert_int_equal(
        vmm_bus_write_string(*state, 0x102, (const uint8_t *)"abcd", 1, 4), 0);
    assert_string_equal(a->calls, "w2=61 w2=62 w2=63 w2=64 ");
}

static void string_accesses_to_nothing_say_so(void **state)
{
    uint8_t values[4] = {0};
    assert_int_equal(vmm_bus_read_string(*state, 0x80, values, 2, 2), -ENOENT);
    assert_memory_equal(values, "\xff\xff\xff\xff", 4);
    assert_int_equal(vmm_bus_write_string(*state, 0x80, values, 2, 2), -ENOENT);
}

static void the_lock_is_held(struct probe *probe)
{
    note(probe, "%s ",
         pthread_mutex_trylock(&probe->device.lock) == EBUSY ? "locked"
                                                             : "unlocked");
}

static void a_device_is_locked_unless_it_asks_not_to_be(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    a->during = the_lock_is_held;
    assert_reads(*state, 0x100, 1, 0, 0x10);
    a->device.unlocked = true;
    assert_reads(*state, 0x100, 1, 0, 0x10);
    assert_string_equal(a->calls, "r0+1 locked r0+1 unlocked ");
    pthread_mutex_unlock(&a->device.lock);
}

#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(an_access_sees_the_offset_within_its_range),
        BUS_TEST(an_access_to_nothing_reads_all_ones),
        BUS_TEST(a_read_that_the_device_ignores_gives_all_ones),
        BUS_TEST(an_access_that_straddles_is_split_per_range),
        BUS_TEST(an_access_that_starts_in_a_hole_reaches_what_follows),
        BUS_TEST(string_reads_keep_the_port_and_advance_the_data),
        BUS_TEST(string_writes_keep_the_port_and_advance_the_data),
        BUS_TEST(string_accesses_to_nothing_say_so),
        BUS_TEST(a_device_is_locked_unless_it_asks_not_to_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
