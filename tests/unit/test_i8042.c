/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The keyboard controller: what a probe finds, and the ways to reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <vmm/devices.h>

enum {
    OUTPUT_FULL = 0x01,
    INPUT_FULL = 0x02,
    SYSTEM = 0x04,
    LAST_WAS_COMMAND = 0x08,
    UNLOCKED = 0x10,
    AUXILIARY = 0x20,
};

struct fixture {
    struct vmm_device *kbc;
    unsigned resets;
    unsigned others;
};

static void request(void *context, enum vmm_power_request what)
{
    struct fixture *f = context;
    if (what == VMM_POWER_RESET)
        f->resets++;
    else
        f->others++;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct vmm_power_line power = {request, f};
    assert_int_equal(vmm_i8042_new(&power, &f->kbc, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vmm_device_unref(f->kbc);
    free(f);
    return 0;
}

static uint8_t in(struct fixture *f, uint16_t port)
{
    uint8_t value = 0xff;
    f->kbc->regions[port == 0x64].read(f->kbc, 0, &value, 1);
    return value;
}

static void out(struct fixture *f, uint16_t port, uint8_t value)
{
    f->kbc->regions[port == 0x64].write(f->kbc, 0, &value, 1);
}

/* A command that answers: the answer is there at once, and just once. */
static uint8_t ask(struct fixture *f, uint8_t command)
{
    out(f, 0x64, command);
    assert_int_equal(in(f, 0x64) & (OUTPUT_FULL | AUXILIARY), OUTPUT_FULL);
    uint8_t answer = in(f, 0x60);
    assert_int_equal(in(f, 0x64) & OUTPUT_FULL, 0);
    return answer;
}

static void tell(struct fixture *f, uint8_t command, uint8_t data)
{
    out(f, 0x64, command);
    out(f, 0x60, data);
}

static void assert_quiet(struct fixture *f)
{
    assert_int_equal(in(f, 0x64) & (OUTPUT_FULL | INPUT_FULL), 0);
    assert_int_equal(f->resets, 0);
    assert_int_equal(f->others, 0);
}

static void at_power_on_nothing_waits_to_be_read(void **state)
{
    assert_int_equal(in(*state, 0x64), SYSTEM | UNLOCKED);
}

static void the_self_test_passes(void **state)
{
    assert_int_equal(ask(*state, 0xaa), 0x55);
}

static void the_keyboard_port_test_passes(void **state)
{
    assert_int_equal(ask(*state, 0xab), 0x00);
}

static void the_command_byte_is_kept(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, 0x20), 0x74);
    tell(f, 0x60, 0x47);
    assert_int_equal(ask(f, 0x20), 0x47);
    tell(f, 0x60, 0x00);
    assert_int_equal(in(f, 0x64), UNLOCKED); /* SYSTEM mirrors bit 2 */
    ask(f, 0xaa);                            /* a passed self test sets it */
    assert_int_equal(in(f, 0x64) & SYSTEM, SYSTEM);
}

static void the_rest_of_the_memory_is_kept(void **state)
{
    struct fixture *f = *state;
    tell(f, 0x7f, 0x5c);
    tell(f, 0x61, 0xc5);
    assert_int_equal(ask(f, 0x3f), 0x5c);
    assert_int_equal(ask(f, 0x21), 0xc5);
    assert_int_equal(ask(f, 0x20), 0x74);
}

static void the_keyboard_is_enabled_and_disabled(void **state)
{
    struct fixture *f = *state;
    out(f, 0x64, 0xae);
    assert_int_equal(ask(f, 0x20), 0x64);
    out(f, 0x64, 0xad);
    assert_int_equal(ask(f, 0x20), 0x74);
}

static void status_tells_a_command_from_data(void **state)
{
    struct fixture *f = *state;
    out(f, 0x64, 0xad);
    assert_int_equal(in(f, 0x64) & LAST_WAS_COMMAND, LAST_WAS_COMMAND);
    out(f, 0x60, 0);
    assert_int_equal(in(f, 0x64) & LAST_WAS_COMMAND, 0);
}

/* As Linux asks: a loop-back marked auxiliary, the port's test, enabling. */
static void no_auxiliary_port_is_found(void **state)
{
    struct fixture *f = *state;
    tell(f, 0xd3, 0x5a);
    assert_int_equal(in(f, 0x64) & (OUTPUT_FULL | AUXILIARY), OUTPUT_FULL);
    assert_int_equal(in(f, 0x60), 0x5a);
    assert_int_equal(ask(f, 0xa9), 0x01); /* clock line stuck */
    out(f, 0x64, 0xa8);
    assert_int_equal(ask(f, 0x20) & 0x20, 0x20); /* stays disabled */
    tell(f, 0xd4, 0xff);
    assert_quiet(f);
}

static void the_output_buffer_can_be_written(void **state)
{
    struct fixture *f = *state;
    tell(f, 0xd2, 0x1c);
    assert_int_equal(in(f, 0x64) & OUTPUT_FULL, OUTPUT_FULL);
    assert_int_equal(in(f, 0x60), 0x1c);
    assert_quiet(f);
}

static void no_keyboard_answers(void **state)
{
    struct fixture *f = *state;
    for (unsigned command = 0; command < 256; command++)
        out(f, 0x60, (uint8_t)command);
    assert_quiet(f);
}

static void a_command_takes_the_place_of_one_that_awaits_data(void **state)
{
    struct fixture *f = *state;
    out(f, 0x64, 0x60);
    assert_int_equal(ask(f, 0xaa), 0x55);
    out(f, 0x60, 0x00);
    assert_int_equal(ask(f, 0x20), 0x74);
}

static void the_output_port_reads_as_running_with_a20(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, 0xd0), 0x03);
    tell(f, 0xd1, 0xdd);
    assert_int_equal(ask(f, 0xd0), 0xdd);
    assert_int_equal(f->resets, 0);
}

static void the_input_port_and_test_inputs_answer(void **state)
{
    assert_int_equal(ask(*state, 0xc0), 0x80);
    assert_int_equal(ask(*state, 0xe0), 0x00);
}

static void pulsing_line_0_resets(void **state)
{
    struct fixture *f = *state;
    for (unsigned command = 0xf0; command <= 0xff; command++) {
        f->resets = 0;
        out(f, 0x64, (uint8_t)command);
        assert_int_equal(f->resets, command % 2 == 0);
    }
    assert_int_equal(f->others, 0);
}

static void writing_the_output_port_with_bit_0_clear_resets(void **state)
{
    struct fixture *f = *state;
    tell(f, 0xd1, 0xfe);
    assert_int_equal(f->resets, 1);
    assert_int_equal(ask(f, 0xd0) & 1, 1); /* a pulse: it is up again */
}

static void no_other_command_resets_or_leaves_a_full_buffer(void **state)
{
    struct fixture *f = *state;
    for (unsigned command = 0; command < 0xf0; command++) {
        out(f, 0x64, (uint8_t)command);
        assert_int_equal(in(f, 0x64) & INPUT_FULL, 0);
        in(f, 0x60);
        assert_quiet(f);
    }
}

static void of_a_wide_access_the_first_byte_counts(void **state)
{
    struct fixture *f = *state;
    uint8_t value[4] = {0xaa, 0xfe, 0xfe, 0xfe};
    f->kbc->regions[1].write(f->kbc, 0, value, 4);
    assert_int_equal(f->resets, 0);
    f->kbc->regions[0].read(f->kbc, 0, value, 4);
    assert_memory_equal(value, "\x55\xfe\xfe\xfe", 4);
}

static void reset_gives_the_power_on_state(void **state)
{
    struct fixture *f = *state;
    tell(f, 0x60, 0);
    tell(f, 0xd1, 0xdd);
    out(f, 0x64, 0xaa);
    vmm_device_reset(f->kbc);
    assert_int_equal(in(f, 0x64), SYSTEM | UNLOCKED);
    assert_int_equal(in(f, 0x60), 0);
    assert_int_equal(ask(f, 0x20), 0x74);
    assert_int_equal(ask(f, 0xd0), 0x03);
}

static void without_a_power_line_nothing_happens(void **state)
{
    (void)state;
    struct vmm_power_line none = {0};
    struct fixture f = {0};
    assert_int_equal(vmm_i8042_new(&none, &f.kbc, NULL), 0);
    out(&f, 0x64, 0xfe);
    assert_int_equal(ask(&f, 0xaa), 0x55);
    vmm_device_unref(f.kbc);
}

#define KBC_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        KBC_TEST(at_power_on_nothing_waits_to_be_read),
        KBC_TEST(the_self_test_passes),
        KBC_TEST(the_keyboard_port_test_passes),
        KBC_TEST(the_command_byte_is_kept),
        KBC_TEST(the_rest_of_the_memory_is_kept),
        KBC_TEST(the_keyboard_is_enabled_and_disabled),
        KBC_TEST(status_tells_a_command_from_data),
        KBC_TEST(no_auxiliary_port_is_found),
        KBC_TEST(the_output_buffer_can_be_written),
        KBC_TEST(no_keyboard_answers),
        KBC_TEST(a_command_takes_the_place_of_one_that_awaits_data),
        KBC_TEST(the_output_port_reads_as_running_with_a20),
        KBC_TEST(the_input_port_and_test_inputs_answer),
        KBC_TEST(pulsing_line_0_resets),
        KBC_TEST(writing_the_output_port_with_bit_0_clear_resets),
        KBC_TEST(no_other_command_resets_or_leaves_a_full_buffer),
        KBC_TEST(of_a_wide_access_the_first_byte_counts),
        KBC_TEST(reset_gives_the_power_on_state),
        KBC_TEST(without_a_power_line_nothing_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
