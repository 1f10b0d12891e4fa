/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The serial port: registers, transmitter and interrupts, as the chip has them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serial_host.h"

/* ---- power-on, plain registers ---- */

static void power_on_registers_are_those_of_the_data_sheet(void **state)
{
    struct serial_host *host = *state;
    assert_int_equal(in(host, IER), 0);
    assert_int_equal(in(host, IIR), 0x01);
    assert_int_equal(in(host, LCR), 0);
    assert_int_equal(in(host, MCR), 0);
    assert_int_equal(in(host, LSR), IDLE);
    assert_int_equal(in(host, MSR), 0xb0); /* CTS, DSR, DCD: a peer is there */
    assert_int_equal(in(host, RBR), 0);
}

static void scratch_and_line_control_keep_all_bits(void **state)
{
    struct serial_host *host = *state;
    out(host, SCR, 0xa5);
    out(host, LCR, 0x5a);
    assert_int_equal(in(host, SCR), 0xa5);
    assert_int_equal(in(host, LCR), 0x5a);
}

static void absent_bits_read_as_zero(void **state)
{
    struct serial_host *host = *state;
    out(host, IER, 0xff);
    out(host, MCR, 0xff);
    assert_int_equal(in(host, IER), 0x0f);
    assert_int_equal(in(host, MCR), 0x1f);
}

static void status_registers_are_not_written(void **state)
{
    struct serial_host *host = *state;
    out(host, LSR, 0xff);
    out(host, MSR, 0xff);
    assert_int_equal(in(host, LSR), IDLE);
    assert_int_equal(in(host, MSR), 0xb0);
}

static void dlab_puts_the_divisor_over_data_and_ier(void **state)
{
    struct serial_host *host = *state;
    out(host, IER, RX);
    out(host, LCR, 0x83);
    assert_int_equal(in(host, DLL), 1); /* not 0: guests divide by it */
    out(host, DLL, 0x0c);
    out(host, DLM, 0x34);
    assert_int_equal(in(host, DLL), 0x0c);
    assert_int_equal(in(host, DLM), 0x34);
    out(host, LCR, 0x03);
    assert_int_equal(in(host, IER), RX);
    assert_output(host, ""); /* the divisor has not been sent */
}

static void a_divisor_of_zero_does_no_harm(void **state)
{
    struct serial_host *host = *state;
    out(host, LCR, 0x80);
    out(host, DLL, 0);
    out(host, DLM, 0);
    out(host, LCR, 0x03);
    out_string(host, "still here");
    assert_output(host, "still here");
}

static void a_wide_access_goes_to_one_register_after_the_other(void **state)
{
    struct serial_host *host = *state;
    static const uint8_t written[8] = {'x', RX, FIFOS, 3, OUT2, 0, 0, 0x77};
    uint8_t read[8];
    host->uart->regions[0].write(host->uart, 0, written, 8);
    host->uart->regions[0].read(host->uart, 0, read, 8);
    static const uint8_t expected[8] = {0, RX, 0xc1, 3, OUT2, IDLE, 0xb0, 0x77};
    assert_memory_equal(read, expected, 8);
    assert_output(host, "x");
}

static void reset_gives_the_power_on_state(void **state)
{
    struct serial_host *host = *state;
    start(host, LEVEL_8, RX | TX);
    out(host, LCR, 0x1f);
    out(host, SCR, 1);
    host->room = 0;
    out_string(host, "held");
    host_send(host, "abc");
    assert_true(host->irq);
    vmm_device_reset(host->uart);
    assert_false(host->irq);
    power_on_registers_are_those_of_the_data_sheet(state);
    assert_int_equal(in(host, SCR), 0);
    host->room = 99;
    vmm_serial_output_ready(host->uart);
    assert_output(host, "");
}

/* ---- transmitter ---- */

static void sent_bytes_reach_the_host_in_order(void **state)
{
    struct serial_host *host = *state;
    out_string(host, "hello");
    assert_output(host, "hello");
    assert_int_equal(in(host, LSR), IDLE);
}

static void a_byte_the_host_refuses_stays_and_thre_is_clear(void **state)
{
    struct serial_host *host = *state;
    host->room = 0;
    out_string(host, "a");
    assert_int_equal(in(host, LSR), 0);
    host->room = 1;
    vmm_serial_output_ready(host->uart);
    assert_int_equal(in(host, LSR), IDLE);
    assert_output(host, "a");
}

static void the_fifo_takes_sixteen_bytes_after_thre(void **state)
{
    struct serial_host *host = *state;
    out(host, FCR, FIFOS);
    host->room = 0;
    out_string(host, "0123456789abcdef");
    host->room = 10;
    vmm_serial_output_ready(host->uart);
    assert_output(host, "0123456789");
    assert_int_equal(in(host, LSR), 0); /* not yet empty */
    host->room = 10;
    vmm_serial_output_ready(host->uart);
    assert_output(host, "0123456789abcdef");
    assert_int_equal(in(host, LSR), IDLE);
}

static void a_byte_written_to_a_full_transmitter_is_lost(void **state)
{
    struct serial_host *host = *state;
    host->room = 0;
    out_string(host, "12"); /* without FIFOs it holds one */
    host->room = 99;
    vmm_serial_output_ready(host->uart);
    out(host, FCR, FIFOS);
    host->room = 0;
    out_string(host, "0123456789abcdefX");
    host->room = 99;
    vmm_serial_output_ready(host->uart);
    assert_output(host, "10123456789abcdef");
}

static void clearing_the_transmit_fifo_drops_what_is_in_it(void **state)
{
    struct serial_host *host = *state;
    out(host, FCR, FIFOS);
    host->room = 0;
    start(host, 0, TX);
    out_string(host, "abc");
    assert_false(host->irq);
    out(host, FCR, FIFOS | CLEAR_TX);
    assert_true(host->irq); /* THRE has come */
    assert_int_equal(in(host, LSR), IDLE);
    host->room = 99;
    vmm_serial_output_ready(host->uart);
    assert_output(host, "");
}

static void without_a_sink_output_vanishes(void **state)
{
    struct serial_host *host = *state;
    host->room = 0;
    out_string(host, "a");
    vmm_serial_disconnect(host->uart);
    assert_int_equal(in(host, LSR), IDLE);
    out_string(host, "b");
    assert_int_equal(in(host, LSR), IDLE);
    host_send(host, "not asked for any more");
    assert_int_equal(in(host, LSR), IDLE);
    assert_int_equal(host->pulls, 0);
    assert_output(host, "");
}

/* ---- the interrupt line and THRE ---- */

static void enabling_the_thre_interrupt_gives_one_at_once(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, TX);
    assert_true(host->irq);
    assert_int_equal(in(host, IIR), 0xc2);
    assert_false(host->irq); /* reading IIR has reset it */
    assert_int_equal(in(host, IIR), 0xc1);
    out(host, IER, 0);
    out(host, IER, TX);
    assert_int_equal(in(host, IIR), 0xc2); /* and again */
}

static void rewriting_ier_gives_no_second_thre_interrupt(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, TX);
    in(host, IIR);
    out(host, IER, TX | RX);
    assert_int_equal(in(host, IIR), 0xc1);
}

static void a_busy_transmitter_gives_no_thre_interrupt(void **state)
{
    struct serial_host *host = *state;
    host->room = 0;
    out_string(host, "a");
    start(host, 0, TX); /* the FIFOs, switched on, are cleared */
    in(host, IIR);
    out(host, IER, 0);
    out_string(host, "b");
    out(host, IER, TX);
    assert_int_equal(in(host, IIR), 0xc1);
}

static void each_transmitted_byte_gives_an_edge(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, TX);
    assert_int_equal(host->edges, 1);
    out_string(host, "a"); /* a driver that never reads IIR */
    assert_int_equal(host->edges, 2);
    in(host, IIR);
    out_string(host, "b");
    assert_int_equal(host->edges, 3);
    assert_true(host->irq);
}

static void a_driver_that_reads_iir_gets_one_edge_per_load(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, TX);
    assert_int_equal(in(host, IIR), 0xc2);
    out_string(host, "0123456789abcdef");
    assert_int_equal(host->edges, 2);
    assert_int_equal(in(host, IIR), 0xc2);
    out_string(host, "0123456789abcdef");
    assert_int_equal(host->edges, 3);
    out(host, IER, 0); /* a driver that does not look at IIR comes */
    out(host, IER, TX);
    unsigned edges = host->edges;
    out_string(host, "ab");
    assert_int_equal(host->edges, edges + 2);
}

static void thre_interrupt_waits_for_a_slow_host(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, TX);
    host->room = 0;
    out_string(host, "ab");
    assert_false(host->irq);
    assert_int_equal(in(host, IIR), 0xc1);
    host->room = 1;
    vmm_serial_output_ready(host->uart);
    assert_false(host->irq);
    host->room = 1;
    vmm_serial_output_ready(host->uart);
    assert_true(host->irq);
    assert_int_equal(in(host, IIR), 0xc2);
}

static void output_ready_without_bytes_gives_no_interrupt(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, TX);
    in(host, IIR);
    vmm_serial_output_ready(host->uart);
    assert_false(host->irq);
}

static void out2_gates_the_line_and_not_iir(void **state)
{
    struct serial_host *host = *state;
    out(host, IER, TX);
    assert_false(host->irq);
    out(host, MCR, OUT2);
    assert_true(host->irq);
    out(host, MCR, 0);
    assert_false(host->irq);
    assert_int_equal(in(host, IIR), 0x02);
}

static void loopback_takes_out2_off_the_line(void **state)
{
    struct serial_host *host = *state;
    out(host, IER, TX);
    out(host, MCR, OUT2 | LOOP);
    assert_false(host->irq);
    assert_int_equal(in(host, IIR), 0x02);
}

static void the_line_is_told_of_changes_only(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX | LINE);
    host_send(host, "a");
    in(host, LSR);
    in(host, IIR);
    out(host, IER, RX);
    assert_int_equal(host->irq_calls, 1);
    in(host, RBR);
    in(host, LSR);
    assert_int_equal(host->irq_calls, 2);
}

static void interrupts_come_in_order_of_priority(void **state)
{
    struct serial_host *host = *state;
    start(host, LEVEL_4, RX | TX | LINE | MODEM);
    out(host, MCR, DTR | RTS | OUT2 | LOOP); /* DCD stays: CTS, DSR too */
    out(host, MCR, RTS | OUT2 | LOOP);       /* DSR falls */
    out_string(host, "0123456789abcdef!");   /* one too many: overrun */
    assert_int_equal(in(host, IIR), 0xc6);
    assert_int_equal(in(host, LSR), IDLE | DR | OE);
    for (int i = 0; i < 13; i++) {
        assert_int_equal(in(host, IIR), 0xc4);
        in(host, RBR);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(in(host, IIR), 0xcc);
        in(host, RBR);
    }
    assert_int_equal(in(host, IIR), 0xc2);
    assert_int_equal(in(host, IIR), 0xc0);
    assert_int_equal(in(host, MSR), 0x92);
    assert_int_equal(in(host, IIR), 0xc1);
}

#define UART_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UART_TEST(power_on_registers_are_those_of_the_data_sheet),
        UART_TEST(scratch_and_line_control_keep_all_bits),
        UART_TEST(absent_bits_read_as_zero),
        UART_TEST(status_registers_are_not_written),
        UART_TEST(dlab_puts_the_divisor_over_data_and_ier),
        UART_TEST(a_divisor_of_zero_does_no_harm),
        UART_TEST(a_wide_access_goes_to_one_register_after_the_other),
        UART_TEST(reset_gives_the_power_on_state),
        UART_TEST(sent_bytes_reach_the_host_in_order),
        UART_TEST(a_byte_the_host_refuses_stays_and_thre_is_clear),
        UART_TEST(the_fifo_takes_sixteen_bytes_after_thre),
        UART_TEST(a_byte_written_to_a_full_transmitter_is_lost),
        UART_TEST(clearing_the_transmit_fifo_drops_what_is_in_it),
        UART_TEST(without_a_sink_output_vanishes),
        UART_TEST(enabling_the_thre_interrupt_gives_one_at_once),
        UART_TEST(rewriting_ier_gives_no_second_thre_interrupt),
        UART_TEST(a_busy_transmitter_gives_no_thre_interrupt),
        UART_TEST(each_transmitted_byte_gives_an_edge),
        UART_TEST(a_driver_that_reads_iir_gets_one_edge_per_load),
        UART_TEST(thre_interrupt_waits_for_a_slow_host),
        UART_TEST(output_ready_without_bytes_gives_no_interrupt),
        UART_TEST(out2_gates_the_line_and_not_iir),
        UART_TEST(loopback_takes_out2_off_the_line),
        UART_TEST(the_line_is_told_of_changes_only),
        UART_TEST(interrupts_come_in_order_of_priority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
