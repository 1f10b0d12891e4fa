/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The serial port: receiver and flow control. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "serial_host.h"

/* ---- receiver ---- */

static void a_polling_guest_gets_its_input(void **state)
{
    struct serial_host *host = *state;
    host_send(host, "hi there");
    assert_input(host, "hi there");
    assert_int_equal(in(host, LSR), IDLE);
}

static void a_guest_that_reads_without_looking_gets_its_input(void **state)
{
    struct serial_host *host = *state;
    host_send(host, "x");
    assert_int_equal(in(host, RBR), 'x');
    assert_int_equal(in(host, RBR), 0);
}

static void a_guest_that_polls_iir_gets_its_input(void **state)
{
    struct serial_host *host = *state;
    out(host, IER, RX); /* without OUT2 no interrupt can reach it */
    host_send(host, "x");
    assert_int_equal(in(host, IIR), 0x04);
}

static void the_host_is_not_asked_while_there_is_something_to_read(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    host_send(host, "ab");
    unsigned pulls = host->pulls;
    in(host, LSR);
    in(host, IIR);
    in(host, RBR);
    assert_int_equal(host->pulls, pulls);
}

static void input_stays_with_the_host_until_the_guest_looks(void **state)
{
    struct serial_host *host = *state;
    host_send(host, "early");
    out(host, FCR, FIFOS | CLEAR_RX);
    out(host, FCR, 0);
    start(host, 0, 0);
    assert_int_equal(host->input_left, 5);
    out(host, IER, RX);
    assert_true(host->irq);
    assert_input(host, "early");
}

static void input_beyond_the_fifo_stays_with_the_host(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    host_send(host, "0123456789abcdefghij");
    assert_int_equal(host->input_left, 4);
    assert_input(host, "0123456789abcdefghij");
    assert_int_equal(in(host, LSR), IDLE); /* no overrun */
}

static void without_fifos_one_byte_comes_at_a_time(void **state)
{
    struct serial_host *host = *state;
    out(host, MCR, OUT2);
    out(host, IER, RX);
    host_send(host, "abc");
    assert_int_equal(host->input_left, 2);
    assert_input(host, "abc");
    assert_int_equal(host->edges, 3);
}

static void the_trigger_level_tells_data_from_timeout(void **state)
{
    static const struct {
        uint8_t fcr;
        size_t level;
    } cases[] = {{0, 1}, {LEVEL_4, 4}, {LEVEL_8, 8}, {LEVEL_14, 14}};
    struct serial_host *host = *state;
    for (size_t i = 0; i < 4; i++) {
        vmm_device_reset(host->uart);
        start(host, cases[i].fcr, RX);
        const char *text = "0123456789abcdef";
        host_send(host, &text[16 - cases[i].level]);
        assert_int_equal(in(host, IIR), 0xc4);
        in(host, RBR);
        assert_int_equal(in(host, IIR), cases[i].level > 1 ? 0xcc : 0xc1);
    }
}

static void a_lone_character_times_out_at_once(void **state)
{
    struct serial_host *host = *state;
    start(host, LEVEL_14, RX);
    host_send(host, "x");
    assert_true(host->irq);
    assert_int_equal(in(host, IIR), 0xcc);
    in(host, RBR);
    assert_false(host->irq);
    assert_int_equal(in(host, IIR), 0xc1);
}

/* A handler that reads as many as the trigger level promised, then leaves. */
static void characters_below_the_trigger_level_give_a_new_edge(void **state)
{
    struct serial_host *host = *state;
    start(host, LEVEL_8, RX);
    host_send(host, "0123456789");
    assert_int_equal(host->edges, 1);
    for (int i = 0; i < 8; i++)
        in(host, RBR);
    assert_true(host->irq);
    assert_true(host->edges > 1);
}

/* A handler that always finds more must not miss the last edge. */
static void a_refilled_fifo_gives_a_new_edge(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    host_send(host, "0123456789abcdefg");
    for (int i = 0; i < 15; i++)
        in(host, RBR);
    unsigned edges = host->edges;
    in(host, RBR);
    assert_int_equal(host->edges, edges + 1);
    assert_true(host->irq);
}

static void a_driver_that_reads_iir_gets_an_edge_until_it_does(void **state)
{
    struct serial_host *host = *state;
    start(host, LEVEL_14, RX);
    host_send(host, "0123456789abcdef0123456789abcdef!");
    in(host, IIR);
    unsigned edges = host->edges;
    for (int i = 0; i < 20; i++)
        in(host, RBR);
    assert_int_equal(host->edges, edges + 1);
    in(host, IIR);
    for (int i = 0; i < 13; i++)
        in(host, RBR);
    assert_int_equal(host->edges, edges + 2);
    assert_false(host->irq);
}

/* ---- taking turns ---- */

static void input_by_interrupts_comes_in_turns_if_the_host_likes(void **state)
{
    struct serial_host *host = *state;
    host_take_turns(host);
    start(host, 0, RX);
    host_send(host, "0123456789abcdefghij");
    assert_input(host, "0123456789abcdef");
    assert_int_equal(host->drained, 1);
    assert_int_equal(in(host, IIR), 0xc1); /* the handler comes to an end */
    assert_false(host->irq);
    vmm_serial_input_ready(host->uart);
    assert_true(host->irq);
    assert_input(host, "ghij");
    assert_int_equal(host->drained, 2);
}

static void a_polling_guest_need_not_wait_for_its_turn(void **state)
{
    struct serial_host *host = *state;
    host_take_turns(host);
    start(host, 0, 0);
    host_send(host, "0123456789abcdefghij");
    assert_input(host, "0123456789abcdefghij");
    assert_int_equal(host->drained, 0);
}

static void clearing_the_receive_fifo_drops_what_is_in_it(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    host_send(host, "0123456789abcdefghij");
    out(host, FCR, FIFOS | CLEAR_RX);
    assert_true(host->irq); /* for what had not come in yet */
    assert_input(host, "ghij");
}

static void switching_the_fifos_clears_both(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    host_send(host, "abc");
    host->room = 0;
    out_string(host, "xyz");
    out(host, FCR, 0);
    assert_int_equal(in(host, LSR), IDLE);
    assert_int_equal(in(host, IIR), 0x01);
}

static void fcr_bits_without_fifo_enable_have_no_effect(void **state)
{
    struct serial_host *host = *state;
    host_send(host, "a");
    assert_int_equal(in(host, LSR), IDLE | DR);
    out(host, FCR, CLEAR_RX | LEVEL_14);
    assert_int_equal(in(host, IIR), 0x01);
    assert_input(host, "a");
}

static void a_break_arrives_as_a_zero_with_bi(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX | LINE);
    vmm_serial_break(host->uart);
    assert_int_equal(in(host, IIR), 0xc6);
    assert_int_equal(in(host, LSR), IDLE | DR | BI | FIFO_ERROR);
    assert_int_equal(in(host, LSR), IDLE | DR); /* reading has cleared it */
    assert_int_equal(in(host, RBR), 0);
    assert_false(host->irq);
}

static void a_break_shows_when_it_is_next_in_the_fifo(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX | LINE);
    host_send(host, "a");
    vmm_serial_break(host->uart);
    host_send(host, "b");
    assert_int_equal(in(host, LSR), IDLE | DR | FIFO_ERROR);
    assert_int_equal(in(host, RBR), 'a');
    assert_int_equal(in(host, LSR), IDLE | DR | BI | FIFO_ERROR);
    assert_int_equal(in(host, RBR), 0);
    assert_int_equal(in(host, LSR), IDLE | DR);
    assert_int_equal(in(host, RBR), 'b');
}

static void a_break_waits_for_room(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    host_send(host, "0123456789abcdef");
    vmm_serial_break(host->uart);
    for (int i = 0; i < 16; i++)
        assert_int_equal(in(host, LSR) & (OE | BI), 0), in(host, RBR);
    assert_int_equal(in(host, LSR), IDLE | DR | BI | FIFO_ERROR);
}

static void
a_waiting_break_does_not_need_the_host_to_take_its_turn(void **state)
{
    struct serial_host *host = *state;
    host_take_turns(host);
    start(host, 0, RX | LINE);
    host_send(host, "0123456789abcdef");
    vmm_serial_break(host->uart);
    for (int i = 0; i < 16; i++)
        in(host, RBR);
    assert_true(host->irq);
    assert_int_equal(in(host, IIR), 0xc6);
    assert_int_equal(in(host, LSR), IDLE | DR | BI | FIFO_ERROR);
    assert_int_equal(in(host, RBR), 0);
    assert_int_equal(host->drained, 1);
}

static void a_break_takes_no_byte_of_the_input(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, 0);
    vmm_serial_break(host->uart);
    host_send(host, "0123456789abcdef");
    assert_int_equal(in(host, LSR), IDLE | DR | BI | FIFO_ERROR);
    assert_int_equal(in(host, RBR), 0);
    assert_input(host, "0123456789abcdef");
}

/* ---- flow control ---- */

static void input_is_held_while_rts_is_down(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    out(host, MCR, DTR | OUT2);
    host_send(host, "later");
    assert_false(host->irq);
    assert_int_equal(in(host, LSR), IDLE);
    out(host, MCR, DTR | RTS | OUT2);
    assert_true(host->irq);
    assert_input(host, "later");
}

static void what_is_in_the_fifo_can_be_read_while_rts_is_down(void **state)
{
    struct serial_host *host = *state;
    start(host, 0, RX);
    host_send(host, "0123456789abcdefghij");
    out(host, MCR, DTR | OUT2);
    assert_input(host, "0123456789abcdef");
    assert_int_equal(host->input_left, 4);
    out(host, MCR, DTR | RTS | OUT2);
    assert_input(host, "ghij");
}

static void a_guest_that_never_raises_rts_gets_its_input(void **state)
{
    struct serial_host *host = *state;
    out(host, MCR, OUT2);
    out(host, IER, RX);
    host_send(host, "ok");
    assert_true(host->irq);
    assert_input(host, "ok");
}

#define UART_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UART_TEST(a_polling_guest_gets_its_input),
        UART_TEST(a_guest_that_reads_without_looking_gets_its_input),
        UART_TEST(a_guest_that_polls_iir_gets_its_input),
        UART_TEST(the_host_is_not_asked_while_there_is_something_to_read),
        UART_TEST(input_stays_with_the_host_until_the_guest_looks),
        UART_TEST(input_beyond_the_fifo_stays_with_the_host),
        UART_TEST(without_fifos_one_byte_comes_at_a_time),
        UART_TEST(the_trigger_level_tells_data_from_timeout),
        UART_TEST(a_lone_character_times_out_at_once),
        UART_TEST(characters_below_the_trigger_level_give_a_new_edge),
        UART_TEST(a_refilled_fifo_gives_a_new_edge),
        UART_TEST(a_driver_that_reads_iir_gets_an_edge_until_it_does),
        UART_TEST(input_by_interrupts_comes_in_turns_if_the_host_likes),
        UART_TEST(a_polling_guest_need_not_wait_for_its_turn),
        UART_TEST(clearing_the_receive_fifo_drops_what_is_in_it),
        UART_TEST(switching_the_fifos_clears_both),
        UART_TEST(fcr_bits_without_fifo_enable_have_no_effect),
        UART_TEST(a_break_arrives_as_a_zero_with_bi),
        UART_TEST(a_break_shows_when_it_is_next_in_the_fifo),
        UART_TEST(a_break_waits_for_room),
        UART_TEST(a_waiting_break_does_not_need_the_host_to_take_its_turn),
        UART_TEST(a_break_takes_no_byte_of_the_input),
        UART_TEST(input_is_held_while_rts_is_down),
        UART_TEST(what_is_in_the_fifo_can_be_read_while_rts_is_down),
        UART_TEST(a_guest_that_never_raises_rts_gets_its_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
