/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The serial port: loopback and modem lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serial_host.h"

static void loopback_returns_the_byte_and_tells_no_host(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, 0);
    out(host, MCR, LOOP);
    out_string(host, "abc");
    assert_int_equal(in(host, LSR), IDLE | DR);
    assert_input(host, "abc");
    assert_output(host, "");
}

static void loopback_takes_no_input_from_the_host(void **state)
{
    struct serial_host *host = *state;
    out(host, MCR, LOOP);
    host_send(host, "x");
    assert_int_equal(in(host, LSR), IDLE);
    out(host, MCR, 0);
    assert_input(host, "x");
}

static void loopback_keeps_what_waits_for_the_host(void **state)
{
    struct serial_host *host = *state;
    host->room = 0;
    out_string(host, "a");
    out(host, MCR, LOOP);
    out_string(host, "b");
    assert_int_equal(in(host, LSR), DR);
    host->room = 9;
    vmm_serial_output_ready(host->uart);
    assert_output(host, "a");
    assert_input(host, "b");
}

static void an_overrun_keeps_the_fifo_and_loses_the_newcomer(void **state)
{
    struct serial_host *host = *state;
    out(host, FCR, FIFOS);
    out(host, MCR, LOOP);
    out_string(host, "0123456789abcdefX");
    assert_int_equal(in(host, LSR), IDLE | DR | OE);
    assert_int_equal(in(host, LSR), IDLE | DR);
    assert_input(host, "0123456789abcdef");
}

static void without_fifos_an_overrun_replaces_the_byte(void **state)
{
    struct serial_host *host = *state;
    out(host, MCR, LOOP);
    out_string(host, "ab");
    assert_int_equal(in(host, LSR), IDLE | DR | OE);
    assert_int_equal(in(host, RBR), 'b');
}

static void loopback_floods_are_bounded(void **state)
{
    struct serial_host *host = *state;
    start(host, LEVEL_14, RX | TX | LINE | MODEM);
    out(host, MCR, LOOP | OUT2);
    for (int i = 0; i < 100000; i++)
        out(host, THR, (uint8_t)i);
    for (int i = 0; i < 16; i++)
        assert_int_equal(in(host, RBR), i);
    assert_int_equal(in(host, LSR) & DR, 0);
}

static void loopback_wires_the_modem_outputs_to_the_inputs(void **state)
{
    static const uint8_t wires[][2] = {
        {RTS, 0x10}, {DTR, 0x20}, {OUT1, 0x40}, {OUT2, 0x80}};
    struct serial_host *host = *state;
    for (size_t i = 0; i < 4; i++) {
        out(host, MCR, LOOP | wires[i][0]);
        assert_int_equal(in(host, MSR) & 0xf0, wires[i][1]);
    }
}

static void modem_deltas_are_set_by_changes_and_cleared_by_reading(void **state)
{
    struct serial_host *host = *state;
    out(host, MCR, LOOP | RTS | DTR | OUT2);
    assert_int_equal(in(host, MSR), 0xb0); /* as before: no change */
    out(host, MCR, LOOP);
    assert_int_equal(in(host, MSR), 0x0b);
    assert_int_equal(in(host, MSR), 0x00);
    out(host, MCR, LOOP | RTS);
    out(host, MCR, LOOP);
    assert_int_equal(in(host, MSR), 0x01); /* remembered over the way back */
}

static void ring_indicator_counts_its_trailing_edge(void **state)
{
    struct serial_host *host = *state;
    out(host, MCR, LOOP | OUT1 | RTS | DTR | OUT2);
    assert_int_equal(in(host, MSR), 0xf0);
    out(host, MCR, LOOP | RTS | DTR | OUT2);
    assert_int_equal(in(host, MSR), 0xb4);
}

static void a_modem_change_interrupts_if_enabled(void **state)
{
    struct serial_host *host = *state;
    out(host, MCR, LOOP);
    assert_int_equal(in(host, IIR), 0x01);
    out(host, IER, MODEM);
    assert_int_equal(in(host, IIR), 0x00);
    out(host, MCR, OUT2); /* out of loopback the line can be seen */
    assert_true(host->irq);
    in(host, MSR);
    assert_false(host->irq);
}

#define UART_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UART_TEST(loopback_returns_the_byte_and_tells_no_host),
        UART_TEST(loopback_takes_no_input_from_the_host),
        UART_TEST(loopback_keeps_what_waits_for_the_host),
        UART_TEST(an_overrun_keeps_the_fifo_and_loses_the_newcomer),
        UART_TEST(without_fifos_an_overrun_replaces_the_byte),
        UART_TEST(loopback_floods_are_bounded),
        UART_TEST(loopback_wires_the_modem_outputs_to_the_inputs),
        UART_TEST(modem_deltas_are_set_by_changes_and_cleared_by_reading),
        UART_TEST(ring_indicator_counts_its_trailing_edge),
        UART_TEST(a_modem_change_interrupts_if_enabled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
