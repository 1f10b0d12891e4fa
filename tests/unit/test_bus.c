/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The bus: where ranges may lie, how they come, go and move. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <vmm/devices.h>

#include "bus_probe.h"

/* Expects add to be refused with this code and text. */
static void assert_add_refused(struct vmm_bus *bus, uint64_t base,
                               uint64_t length, size_t region, int code,
                               const char *text)
{
    struct probe *probe = probe_new("late");
    struct vmm_error err;
    bool destroyed = false;
    probe->destroyed = &destroyed;
    int rc = vmm_bus_add(bus, base, length, &probe->device, region, &err);
    assert_string_equal(err.text, text);
    assert_int_equal(rc, -code);
    assert_false(destroyed);
    vmm_device_unref(&probe->device);
    assert_true(destroyed); /* the bus has kept no reference */
}

static void each_note(void *context, const struct vmm_bus_range *range)
{
    char *text = context;
    sprintf(text + strlen(text), "%s.%zu@%llx+%llx ", range->name,
            range->region, (unsigned long long)range->base,
            (unsigned long long)range->length);
}

static void assert_layout(struct vmm_bus *bus, const char *expected)
{
    char text[512] = "";
    vmm_bus_each(bus, each_note, text);
    assert_string_equal(text, expected);
}

/* ---- where ranges may lie ---- */

static void zero_length_is_refused(void **state)
{
    assert_add_refused(*state, 0x3f8, 0, 0, EINVAL,
                       "pio bus: late at 0x3f8 has length 0, at least 1 is "
                       "needed");
}

static void a_range_that_wraps_is_refused(void **state)
{
    (void)state;
    struct vmm_bus *mmio;
    assert_int_equal(vmm_bus_new("mmio", ALL_ONES, &mmio, NULL), 0);
    assert_add_refused(mmio, ALL_ONES - 7, 16, 0, EINVAL,
                       "mmio bus: late at 0xfffffffffffffff8 with length 0x10 "
                       "wraps around 2^64");
    add(mmio, "fits", 1, ALL_ONES);
    assert_layout(mmio, "fits.0@1+ffffffffffffffff ");
    vmm_bus_free(mmio);
}

static void a_range_beyond_the_limit_is_refused(void **state)
{
    assert_add_refused(*state, 0xfff9, 8, 0, EINVAL,
                       "pio bus: late at 0xfff9-0x10000 goes beyond the last "
                       "address 0xffff");
    assert_add_refused(*state, 0x10000, 1, 0, EINVAL,
                       "pio bus: late at 0x10000-0x10000 goes beyond the last "
                       "address 0xffff");
}

static void a_range_may_end_at_the_limit(void **state)
{
    add(*state, "a", 0xfff8, 8);
    assert_layout(*state, "a.0@fff8+8 ");
    assert_reads(*state, 0xffff, 1, 0, 0x17);
}

static void a_range_may_end_at_the_top_of_the_address_space(void **state)
{
    (void)state;
    struct vmm_bus *mmio;
    assert_int_equal(vmm_bus_new("mmio", ALL_ONES, &mmio, NULL), 0);
    struct probe *a = add(mmio, "a", ALL_ONES - 1, 2);
    struct probe *zero = add(mmio, "zero", 0, 8);
    assert_reads(mmio, ALL_ONES, 1, 0, 0x11);
    assert_reads(mmio, ALL_ONES, 4, 0, 0xffffff11); /* it does not wrap */
    assert_string_equal(a->calls, "r1+1 r1+1 ");
    assert_string_equal(zero->calls, "");
    vmm_bus_free(mmio);
}

static void an_overlap_is_refused_with_both_ranges(void **state)
{
    add(*state, "serial", 0x3f8, 8);
    static const struct {
        uint64_t base, length;
        const char *text;
    } cases[] = {
        {0x3f8, 8, "0x3f8-0x3ff"},  {0x3f0, 9, "0x3f0-0x3f8"},
        {0x3ff, 1, "0x3ff-0x3ff"},  {0x3fa, 2, "0x3fa-0x3fb"},
        {0, 0x10000, "0x0-0xffff"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        sprintf(text, "pio bus: late at %s overlaps serial at 0x3f8-0x3ff",
                cases[i].text);
        assert_add_refused(*state, cases[i].base, cases[i].length, 0, EBUSY,
                           text);
    }
    assert_layout(*state, "serial.0@3f8+8 ");
}

static void neighbours_are_accepted_in_any_order(void **state)
{
    add(*state, "b", 0x110, 0x10);
    add(*state, "c", 0x120, 0x10);
    add(*state, "a", 0x100, 0x10);
    assert_layout(*state, "a.0@100+10 b.0@110+10 c.0@120+10 ");
}

static void a_region_that_the_device_lacks_is_refused(void **state)
{
    assert_add_refused(*state, 0x80, 1, 2, EINVAL,
                       "pio bus: late has 2 region(s), no region 2");
}

static void more_than_a_region_has_is_refused(void **state)
{
    struct vmm_device *uart;
    struct vmm_serial_config config = {.irq = {0}};
    struct vmm_error err;
    assert_int_equal(vmm_serial_new(&config, &uart, NULL), 0);
    assert_int_equal(vmm_bus_add(*state, 0x3f8, 9, uart, 0, &err), -EINVAL);
    assert_string_equal(err.text,
                        "pio bus: region 0 of serial is 0x8 long, not 0x9");
    assert_int_equal(vmm_bus_add(*state, 0x3f8, 8, uart, 0, &err), 0);
    vmm_device_unref(uart);
}

static void two_regions_of_a_device_lie_apart(void **state)
{
    struct probe *probe = add(*state, "kbc", 0x60, 1);
    assert_int_equal(vmm_bus_add(*state, 0x64, 1, &probe->device, 1, NULL), 0);
    assert_layout(*state, "kbc.0@60+1 kbc.1@64+1 ");
}

/* ---- removing and moving ---- */

static void remove_drops_the_device(void **state)
{
    bool destroyed = false;
    add(*state, "a", 0x100, 4)->destroyed = &destroyed;
    assert_int_equal(vmm_bus_remove(*state, 0x100, NULL), 0);
    assert_true(destroyed);
    assert_layout(*state, "");
    assert_reads(*state, 0x100, 1, -ENOENT, 0xff);
}

static void remove_takes_only_a_range_that_starts_there(void **state)
{
    struct vmm_error err;
    add(*state, "a", 0x100, 4);
    assert_int_equal(vmm_bus_remove(*state, 0x101, &err), -ENOENT);
    assert_string_equal(err.text, "pio bus: no range starts at 0x101");
    assert_int_equal(vmm_bus_remove(*state, 0xff, &err), -ENOENT);
    assert_string_equal(err.text, "pio bus: no range starts at 0xff");
    assert_layout(*state, "a.0@100+4 ");
}

static void remove_leaves_the_other_ranges(void **state)
{
    add(*state, "a", 0x100, 4);
    add(*state, "b", 0x104, 4);
    add(*state, "c", 0x108, 4);
    assert_int_equal(vmm_bus_remove(*state, 0x104, NULL), 0);
    assert_layout(*state, "a.0@100+4 c.0@108+4 ");
    assert_reads(*state, 0x102, 8, 0, UINT64_C(0x1110ffffffff1312));
}

static void move_keeps_the_device_and_its_length(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    assert_int_equal(vmm_bus_move(*state, 0x100, 0x8000, NULL), 0);
    assert_layout(*state, "a.0@8000+4 ");
    assert_reads(*state, 0x8002, 1, 0, 0x12);
    assert_reads(*state, 0x102, 1, -ENOENT, 0xff);
    assert_string_equal(a->calls, "r2+1 ");
}

static void move_may_overlap_its_own_old_place(void **state)
{
    add(*state, "a", 0x100, 4);
    assert_int_equal(vmm_bus_move(*state, 0x100, 0x102, NULL), 0);
    assert_layout(*state, "a.0@102+4 ");
}

static void move_is_refused_like_add(void **state)
{
    struct vmm_error err;
    add(*state, "a", 0x100, 4);
    add(*state, "b", 0x200, 4);
    assert_int_equal(vmm_bus_move(*state, 0x100, 0x1fd, &err), -EBUSY);
    assert_string_equal(err.text,
                        "pio bus: a at 0x1fd-0x200 overlaps b at 0x200-0x203");
    assert_int_equal(vmm_bus_move(*state, 0x100, 0xfffd, &err), -EINVAL);
    assert_string_equal(err.text, "pio bus: a at 0xfffd-0x10000 goes beyond "
                                  "the last address 0xffff");
    assert_int_equal(vmm_bus_move(*state, 0x100, ALL_ONES, &err), -EINVAL);
    assert_string_equal(err.text, "pio bus: a at 0xffffffffffffffff with "
                                  "length 0x4 wraps around 2^64");
    assert_int_equal(vmm_bus_move(*state, 0x101, 0x300, &err), -ENOENT);
    assert_string_equal(err.text, "pio bus: no range starts at 0x101");
    assert_layout(*state, "a.0@100+4 b.0@200+4 ");
}

static void replace_swaps_the_device_in_its_place(void **state)
{
    bool destroyed = false;
    struct probe *old = add(*state, "old", 0x100, 4);
    old->destroyed = &destroyed;
    struct probe *next = probe_new("next");
    assert_int_equal(vmm_bus_replace(*state, 0x100, &next->device, 1, NULL), 0);
    assert_true(destroyed);
    assert_layout(*state, "next.1@100+4 ");
    assert_reads(*state, 0x102, 1, 0, 0x12);
    assert_string_equal(next->calls, "r2+1 ");
    vmm_device_unref(&next->device);
}

static void replace_is_refused_where_nothing_starts(void **state)
{
    struct vmm_error err;
    add(*state, "old", 0x100, 4);
    struct probe *next = probe_new("next");
    assert_int_equal(vmm_bus_replace(*state, 0x101, &next->device, 0, &err),
                     -ENOENT);
    assert_string_equal(err.text, "pio bus: no range starts at 0x101");
    assert_int_equal(vmm_bus_replace(*state, 0x100, &next->device, 2, &err),
                     -EINVAL);
    assert_layout(*state, "old.0@100+4 ");
    vmm_device_unref(&next->device);
}

static void freeing_the_bus_drops_its_devices(void **state)
{
    (void)state;
    struct vmm_bus *bus;
    bool destroyed = false;
    assert_int_equal(vmm_bus_new("pio", 0xffff, &bus, NULL), 0);
    add(bus, "a", 0x100, 4)->destroyed = &destroyed;
    vmm_bus_free(bus);
    assert_true(destroyed);
    vmm_bus_free(NULL);
}

/* ---- changes from within an access ---- */

static void remove_myself(struct probe *probe)
{
    assert_int_equal(vmm_bus_remove(probe->bus, 0x100, NULL), 0);
    assert_false(*probe->destroyed); /* not under my feet */
}

static void a_device_can_remove_itself_in_its_handler(void **state)
{
    bool destroyed = false;
    struct probe *a = add(*state, "a", 0x100, 4);
    a->destroyed = &destroyed;
    a->during = remove_myself;
    assert_reads(*state, 0x101, 1, 0, 0x11);
    assert_true(destroyed);
    assert_layout(*state, "");
}

static void a_string_access_ends_at_the_device_that_left(void **state)
{
    bool destroyed = false;
    struct probe *a = add(*state, "a", 0x100, 4);
    a->destroyed = &destroyed;
    a->during = remove_myself;
    uint8_t values[3] = {0};
    assert_int_equal(vmm_bus_read_string(*state, 0x100, values, 1, 3), 0);
    assert_memory_equal(values, "\x10\xff\xff", 3);
}

static void rearrange(struct probe *probe)
{
    probe->during = NULL;
    assert_int_equal(vmm_bus_remove(probe->bus, 0x200, NULL), 0);
    assert_int_equal(vmm_bus_move(probe->bus, 0x100, 0x200, NULL), 0);
    add(probe->bus, "new", 0x100, 4);
}

static void a_handler_can_remove_move_and_add_ranges(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    add(*state, "b", 0x200, 4);
    a->during = rearrange;
    assert_reads(*state, 0x101, 1, 0, 0x11);
    assert_layout(*state, "new.0@100+4 a.0@200+4 ");
    assert_reads(*state, 0x203, 1, 0, 0x13);
    assert_string_equal(a->calls, "r1+1 r3+1 ");
}

/* Accesses its own range again, deeper than the bus has slots for readers. */
static void descend(struct probe *probe)
{
    uint8_t byte;
    if (probe->depth == 200)
        assert_int_equal(vmm_bus_remove(probe->bus, 0x100, NULL), 0);
    else if (probe->depth++ < 200)
        assert_int_equal(vmm_bus_read(probe->bus, 0x100, &byte, 1), 0);
    assert_false(*probe->destroyed);
}

static void accesses_nest_as_deep_as_they_like(void **state)
{
    bool destroyed = false;
    struct probe *a = add(*state, "a", 0x100, 4);
    a->device.unlocked = true;
    a->destroyed = &destroyed;
    a->during = descend;
    assert_reads(*state, 0x100, 1, 0, 0x10);
    assert_true(destroyed);
    add(*state, "b", 0x100, 4);
    assert_reads(*state, 0x100, 1, 0, 0x10);
}

static void remove_other(struct vmm_device *device)
{
    struct probe *probe = probe_of(device);
    assert_int_equal(vmm_bus_remove(probe->bus, 0x100, NULL), 0);
}

static void a_device_can_remove_its_range_as_it_is_reset(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    vmm_device_ref(&a->device);
    a->ops.reset = remove_other;
    vmm_device_reset(&a->device);
    assert_layout(*state, "");
    vmm_device_unref(&a->device);
}

#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(zero_length_is_refused),
        BUS_TEST(a_range_that_wraps_is_refused),
        BUS_TEST(a_range_beyond_the_limit_is_refused),
        BUS_TEST(a_range_may_end_at_the_limit),
        BUS_TEST(a_range_may_end_at_the_top_of_the_address_space),
        BUS_TEST(an_overlap_is_refused_with_both_ranges),
        BUS_TEST(neighbours_are_accepted_in_any_order),
        BUS_TEST(a_region_that_the_device_lacks_is_refused),
        BUS_TEST(more_than_a_region_has_is_refused),
        BUS_TEST(two_regions_of_a_device_lie_apart),
        BUS_TEST(remove_drops_the_device),
        BUS_TEST(remove_takes_only_a_range_that_starts_there),
        BUS_TEST(remove_leaves_the_other_ranges),
        BUS_TEST(move_keeps_the_device_and_its_length),
        BUS_TEST(move_may_overlap_its_own_old_place),
        BUS_TEST(move_is_refused_like_add),
        BUS_TEST(replace_swaps_the_device_in_its_place),
        BUS_TEST(replace_is_refused_where_nothing_starts),
        BUS_TEST(freeing_the_bus_drops_its_devices),
        BUS_TEST(a_device_can_remove_itself_in_its_handler),
        BUS_TEST(a_string_access_ends_at_the_device_that_left),
        BUS_TEST(a_handler_can_remove_move_and_add_ranges),
        BUS_TEST(accesses_nest_as_deep_as_they_like),
        BUS_TEST(a_device_can_remove_its_range_as_it_is_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
