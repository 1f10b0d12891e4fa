/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The pvpanic port, driven as a guest's driver does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vmm/devices.h>

enum { PANICKED = 1, CRASH_LOADED = 2 };

struct fixture {
    struct vmm_device *port;
    char events[512]; /* "P" panicked, "C" crash kernel loaded */
};

static void panicked(void *context)
{
    strcat(((struct fixture *)context)->events, "P");
}

static void crash_loaded(void *context)
{
    strcat(((struct fixture *)context)->events, "C");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vmm_pvpanic_config config = {panicked, crash_loaded, f};
    assert_int_equal(vmm_pvpanic_new(&config, &f->port, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vmm_device_unref(f->port);
    free(f);
    return 0;
}

static void out(struct vmm_device *port, uint8_t value)
{
    port->regions[0].write(port, 0, &value, 1);
}

static void it_is_one_byte_that_reads_as_the_events(void **state)
{
    struct fixture *f = *state;
    uint8_t value[4] = {0xff, 0xff, 0xff, 0xff};
    assert_int_equal(f->port->region_count, 1);
    assert_int_equal(f->port->regions[0].length, 1);
    f->port->regions[0].read(f->port, 0, value, 1);
    assert_int_equal(value[0], PANICKED | CRASH_LOADED);
    assert_int_equal(value[1], 0xff);
    assert_string_equal(f->events, "");
}

static void a_panic_is_told(void **state)
{
    struct fixture *f = *state;
    out(f->port, PANICKED);
    assert_string_equal(f->events, "P");
}

static void a_loaded_crash_kernel_is_told(void **state)
{
    struct fixture *f = *state;
    out(f->port, CRASH_LOADED);
    out(f->port, CRASH_LOADED);
    assert_string_equal(f->events, "CC");
}

static void a_panic_hides_the_crash_kernel(void **state)
{
    struct fixture *f = *state;
    out(f->port, PANICKED | CRASH_LOADED);
    assert_string_equal(f->events, "P");
}

static void other_bits_do_nothing(void **state)
{
    struct fixture *f = *state;
    for (unsigned value = 0; value < 256; value += 4)
        out(f->port, (uint8_t)value);
    assert_string_equal(f->events, "");
}

static void of_a_wide_access_the_first_byte_counts(void **state)
{
    struct fixture *f = *state;
    static const uint8_t second[4] = {0, PANICKED, PANICKED, PANICKED};
    static const uint8_t first[4] = {PANICKED, 0, 0, 0};
    f->port->regions[0].write(f->port, 0, second, 4);
    assert_string_equal(f->events, "");
    f->port->regions[0].write(f->port, 0, first, 4);
    assert_string_equal(f->events, "P");
}

static void without_callbacks_nothing_happens(void **state)
{
    (void)state;
    static const struct vmm_pvpanic_config nobody;
    struct vmm_device *port;
    assert_int_equal(vmm_pvpanic_new(&nobody, &port, NULL), 0);
    assert_string_equal(port->ops->name, "pvpanic");
    out(port, PANICKED);
    out(port, CRASH_LOADED);
    vmm_device_reset(port);
    vmm_device_unref(port);
}

#define PORT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PORT_TEST(it_is_one_byte_that_reads_as_the_events),
        PORT_TEST(a_panic_is_told),
        PORT_TEST(a_loaded_crash_kernel_is_told),
        PORT_TEST(a_panic_hides_the_crash_kernel),
        PORT_TEST(other_bits_do_nothing),
        PORT_TEST(of_a_wide_access_the_first_byte_counts),
        cmocka_unit_test(without_callbacks_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
