/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The ACPI sleep and reset registers, and the ports that swallow writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vmm/devices.h>

enum { CONTROL, STATUS, RESET };
enum { SLP_EN = 0x20, S5 = 5 << 2, S3 = 1 << 2, WAK_STS = 0x80 };

struct fixture {
    struct vmm_device *power;
    char requests[16]; /* "R" reset, "O" off */
};

static void request(void *context, enum vmm_power_request what)
{
    struct fixture *f = context;
    strcat(f->requests, what == VMM_POWER_RESET ? "R" : "O");
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vmm_power_line line = {request, f};
    assert_int_equal(vmm_acpi_power_new(&line, &f->power, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vmm_device_unref(f->power);
    free(f);
    return 0;
}

static uint8_t in(struct fixture *f, uint64_t offset)
{
    uint8_t value = 0xff;
    f->power->regions[0].read(f->power, offset, &value, 1);
    return value;
}

static void out(struct fixture *f, uint64_t offset, uint8_t value)
{
    f->power->regions[0].write(f->power, offset, &value, 1);
}

static void sleep_type_5_with_enable_powers_off(void **state)
{
    struct fixture *f = *state;
    out(f, CONTROL, S5 | SLP_EN);
    assert_string_equal(f->requests, "O");
}

static void sleep_type_5_without_enable_does_nothing(void **state)
{
    struct fixture *f = *state;
    out(f, CONTROL, S5);
    assert_string_equal(f->requests, "");
    assert_int_equal(in(f, CONTROL), S5);
    out(f, CONTROL, S5 | SLP_EN | 0xc3); /* reserved bits do not matter */
    assert_string_equal(f->requests, "O");
    assert_int_equal(in(f, CONTROL), S5); /* SLP_EN reads as 0 */
}

static void another_sleep_type_wakes_at_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(in(f, STATUS), 0);
    out(f, CONTROL, S3 | SLP_EN);
    assert_int_equal(in(f, STATUS), WAK_STS);
    assert_string_equal(f->requests, "");
}

static void wake_status_is_cleared_by_writing_1(void **state)
{
    struct fixture *f = *state;
    out(f, CONTROL, S3 | SLP_EN);
    out(f, STATUS, 0x7f);
    assert_int_equal(in(f, STATUS), WAK_STS);
    out(f, STATUS, WAK_STS);
    assert_int_equal(in(f, STATUS), 0);
}

static void only_the_reset_value_resets(void **state)
{
    struct fixture *f = *state;
    for (unsigned value = 0; value < 256; value++)
        out(f, RESET, (uint8_t)value);
    assert_string_equal(f->requests, "R");
    assert_int_equal(in(f, RESET), 0);
}

static void a_wide_access_reaches_each_register(void **state)
{
    struct fixture *f = *state;
    static const uint8_t value[4] = {S3 | SLP_EN, 0, 1, 1};
    uint8_t read[4];
    f->power->regions[0].write(f->power, 0, value, 4);
    f->power->regions[0].read(f->power, 0, read, 4);
    assert_string_equal(f->requests, "R");
    assert_memory_equal(read, "\x04\x80\x00\x00", 4);
}

static void reset_gives_the_power_on_state(void **state)
{
    struct fixture *f = *state;
    out(f, CONTROL, S3 | SLP_EN);
    vmm_device_reset(f->power);
    assert_int_equal(in(f, CONTROL), 0);
    assert_int_equal(in(f, STATUS), 0);
}

static void a_debug_port_swallows_and_reads_its_value(void **state)
{
    (void)state;
    struct vmm_device *port;
    uint8_t value[8] = {0};
    char name[] = "post";
    assert_int_equal(vmm_debug_port_new(name, 0xe9, &port, NULL), 0);
    name[0] = 'x'; /* the device has a copy */
    assert_string_equal(port->ops->name, "post");
    port->regions[0].write(port, 3, value, 8);
    port->regions[0].read(port, 3, value, 8);
    assert_memory_equal(value, "\xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9", 8);
    vmm_device_reset(port);
    vmm_device_unref(port);
}

#define POWER_TEST(name)                                                       \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POWER_TEST(sleep_type_5_with_enable_powers_off),
        POWER_TEST(sleep_type_5_without_enable_does_nothing),
        POWER_TEST(another_sleep_type_wakes_at_once),
        POWER_TEST(wake_status_is_cleared_by_writing_1),
        POWER_TEST(only_the_reset_value_resets),
        POWER_TEST(a_wide_access_reaches_each_register),
        POWER_TEST(reset_gives_the_power_on_state),
        cmocka_unit_test(a_debug_port_swallows_and_reads_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
