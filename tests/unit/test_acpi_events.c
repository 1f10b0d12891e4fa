/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The event register of ACPI's Generic Event Device, read as AML does. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vmm/devices.h>

struct fixture {
    struct vmm_device *device;
    char line[64]; /* "1" raised, "0" lowered */
};

static void set_line(void *context, bool level)
{
    strcat(((struct fixture *)context)->line, level ? "1" : "0");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vmm_irq_line line = {.set = set_line, .context = f};
    assert_int_equal(vmm_acpi_events_new(&line, &f->device, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vmm_device_unref(f->device);
    free(f);
    return 0;
}

static uint8_t in(struct fixture *f)
{
    uint8_t value = 0xff;
    f->device->regions[0].read(f->device, 0, &value, 1);
    return value;
}

static void it_has_no_events_at_first(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->device->region_count, 1);
    assert_int_equal(f->device->regions[0].length, 1);
    assert_int_equal(in(f), 0);
    assert_string_equal(f->line, "");
}

static void an_event_raises_the_line_until_it_is_read(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(vmm_acpi_events_raise(f->device, 1), 0);
    assert_string_equal(f->line, "1");
    assert_int_equal(in(f), 1);
    assert_string_equal(f->line, "10");
    assert_int_equal(in(f), 0);
    assert_string_equal(f->line, "10");
}

static void events_add_up_at_one_edge(void **state)
{
    struct fixture *f = *state;
    vmm_acpi_events_raise(f->device, 1);
    vmm_acpi_events_raise(f->device, 0x80);
    vmm_acpi_events_raise(f->device, 1);
    assert_string_equal(f->line, "1");
    assert_int_equal(in(f), 0x81);
    assert_string_equal(f->line, "10");
}

static void an_event_after_a_read_is_another_edge(void **state)
{
    struct fixture *f = *state;
    vmm_acpi_events_raise(f->device, 1);
    in(f);
    vmm_acpi_events_raise(f->device, 2);
    assert_string_equal(f->line, "101");
    assert_int_equal(in(f), 2);
}

static void no_event_is_no_edge(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(vmm_acpi_events_raise(f->device, 0), 0);
    assert_string_equal(f->line, "");
}

static void writes_do_nothing(void **state)
{
    struct fixture *f = *state;
    static const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff};
    vmm_acpi_events_raise(f->device, 1);
    f->device->regions[0].write(f->device, 0, ones, 1);
    f->device->regions[0].write(f->device, 0, ones, 4);
    assert_string_equal(f->line, "1");
    assert_int_equal(in(f), 1);
}

static void a_wide_read_gets_the_events_in_its_first_byte(void **state)
{
    struct fixture *f = *state;
    uint8_t value[4] = {0xff, 0xff, 0xff, 0xff};
    vmm_acpi_events_raise(f->device, 1);
    f->device->regions[0].read(f->device, 1, value, 1);
    assert_string_equal(f->line, "1");
    f->device->regions[0].read(f->device, 0, value, 4);
    assert_int_equal(value[0], 1);
    assert_int_equal(value[1], 0xff);
}

static void a_reset_forgets_events(void **state)
{
    struct fixture *f = *state;
    vmm_acpi_events_raise(f->device, 1);
    vmm_device_reset(f->device);
    assert_string_equal(f->line, "10");
    assert_int_equal(in(f), 0);
}

static void another_device_has_no_events(void **state)
{
    (void)state;
    struct vmm_device *other;
    assert_int_equal(vmm_debug_port_new("other", 0, &other, NULL), 0);
    assert_int_equal(vmm_acpi_events_raise(other, 1), -EINVAL);
    vmm_device_unref(other);
}

#define EVENTS_TEST(name)                                                      \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVENTS_TEST(it_has_no_events_at_first),
        EVENTS_TEST(an_event_raises_the_line_until_it_is_read),
        EVENTS_TEST(events_add_up_at_one_edge),
        EVENTS_TEST(an_event_after_a_read_is_another_edge),
        EVENTS_TEST(no_event_is_no_edge),
        EVENTS_TEST(writes_do_nothing),
        EVENTS_TEST(a_wide_read_gets_the_events_in_its_first_byte),
        EVENTS_TEST(a_reset_forgets_events),
        cmocka_unit_test(another_device_has_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
