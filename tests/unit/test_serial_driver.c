/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * The serial port under drivers: one that works as Linux's 8250 driver does,
 * and plainer ones, with an edge-triggered interrupt and a moody host.  What
 * goes in at one end has to come out at the other, whole.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "serial_bits.h"
#include "serial_wire.h"

#define MIB        (1024 * 1024)
#define PATIENCE   100000 /* rounds without a byte: it hangs */
#define RX_MAX     256    /* characters a handler reads at most */
#define TX_LOAD    16     /* characters it writes after THRE */
#define PASS_LIMIT 512    /* times a handler looks for more work */
#define DEADLINE   60     /* seconds */
#define IIR_ID     0x0f
#define IIR_NO_INT 0x01
#define CTS        0x10

/* ---- a driver like Linux's 8250 ---- */

struct driver {
    struct wire *wire;
    uint8_t ier;
    size_t to_send;
    bool throttled;
};

/* What Linux finds out before it believes in a 16550A. */
static void driver_probe(struct wire *wire)
{
    put(wire, IER, 0);
    assert_int_equal(get(wire, IER) & 0x0f, 0);
    put(wire, IER, 0x0f);
    assert_int_equal(get(wire, IER) & 0x0f, 0x0f);
    put(wire, IER, 0);
    put(wire, MCR, LOOP | OUT2 | RTS);
    assert_int_equal(get(wire, MSR) & 0xf0, 0x90); /* DCD and CTS */
    put(wire, MCR, 0);
    put(wire, FCR, FIFOS);
    assert_int_equal(get(wire, IIR) >> 6, 3); /* a 16550A */
    put(wire, LCR, 0xbf);                     /* no 16650: IIR, no EFR, at 2 */
    assert_int_not_equal(get(wire, FCR), 0);
    put(wire, LCR, 0);
    put(wire, FCR, FIFOS | 0x20);
    assert_int_equal(get(wire, IIR) & 0xe0, 0xc0); /* no 64-byte FIFO */
    put(wire, IER, 0x40);
    assert_int_equal(get(wire, IER), 0); /* no XScale */
    put(wire, FCR, FIFOS);
    put(wire, FCR, FIFOS | CLEAR_RX | CLEAR_TX);
    put(wire, FCR, 0);
    get(wire, RBR);
}

/* As a program opens the port: FIFOs, the "THRI test" twice, then go. */
static void driver_open(struct driver *driver)
{
    struct wire *wire = driver->wire;
    put(wire, FCR, FIFOS | CLEAR_RX | CLEAR_TX);
    put(wire, FCR, 0);
    get(wire, LSR);
    get(wire, RBR);
    get(wire, IIR);
    get(wire, MSR);
    put(wire, LCR, 0x03);
    put(wire, MCR, OUT2);
    for (int i = 0; i < 2; i++) {
        put(wire, IER, TX);
        assert_int_equal(get(wire, LSR) & IDLE, IDLE);
        assert_int_equal(get(wire, IIR) & IIR_ID, 0x02);
        put(wire, IER, 0);
    }
    put(wire, FCR, FIFOS | LEVEL_8);
    driver->ier = RX | LINE;
    put(wire, IER, driver->ier);
    get(wire, LSR);
    get(wire, RBR);
    get(wire, IIR);
    get(wire, MSR);
    put(wire, MCR, DTR | RTS | OUT2);
    assert_int_equal(get(wire, MSR) & CTS, CTS);
}

static void driver_start_tx(struct driver *driver)
{
    if (driver->ier & TX || driver->wire->to_host.sent == driver->to_send)
        return;
    driver->ier |= TX;
    put(driver->wire, IER, driver->ier);
}

static void driver_tx_chars(struct driver *driver)
{
    struct stream *stream = &driver->wire->to_host;
    for (int i = 0; i < TX_LOAD && stream->sent < driver->to_send; i++)
        put(driver->wire, THR, stream_byte(stream->seed, stream->sent++));
    if (stream->sent == driver->to_send) {
        driver->ier &= ~TX;
        put(driver->wire, IER, driver->ier);
    }
}

/* One look at the port; false: it has not interrupted. */
static bool driver_handle_irq(struct driver *driver)
{
    struct wire *wire = driver->wire;
    if (get(wire, IIR) & IIR_NO_INT)
        return false;
    uint8_t status = get(wire, LSR);
    for (int i = 0; i < RX_MAX && status & (DR | BI); i++) {
        assert_int_equal(status & OE, 0);
        stream_check(&wire->to_guest, get(wire, RBR));
        status = get(wire, LSR);
    }
    get(wire, MSR);
    if (status & 0x20 && driver->ier & TX)
        driver_tx_chars(driver);
    return true;
}

static void driver_interrupt(struct driver *driver)
{
    for (int pass = 0; pass < PASS_LIMIT; pass++)
        if (!driver_handle_irq(driver))
            return;
}

/* As tty does when its buffer fills under crtscts. */
static void driver_throttle(struct driver *driver, bool throttled)
{
    driver->throttled = throttled;
    put(driver->wire, MCR, throttled ? DTR | OUT2 : DTR | RTS | OUT2);
}

/* Whether all is through; fails when nothing moves for too long. */
static bool wire_done(struct wire *wire, size_t *last, unsigned *idle)
{
    size_t now = wire->to_host.arrived + wire->to_guest.arrived;
    *idle = now == *last ? *idle + 1 : 0;
    *last = now;
    if (*idle > PATIENCE)
        fail_msg("it hangs: %zu of %zu bytes to the host, %zu to the guest",
                 (size_t)wire->to_host.arrived, wire->total,
                 (size_t)wire->to_guest.arrived);
    return now == 2 * wire->total;
}

static void move_like_linux(bool turns)
{
    struct wire wire;
    wire_init(&wire, MIB, turns);
    struct driver driver = {.wire = &wire, .to_send = MIB};
    host_gives(&wire); /* typed before anyone listens: it waits */
    driver_probe(&wire);
    driver_open(&driver);

    size_t last = 0;
    unsigned idle = 0;
    while (!wire_done(&wire, &last, &idle)) {
        switch (wire_random(&wire, 8)) {
        case 0:
            driver_start_tx(&driver);
            break;
        case 1:
            driver_throttle(&driver, wire_random(&wire, 2));
            break;
        case 2:
        case 3:
            host_takes(&wire);
            break;
        case 4:
        case 5:
            host_gives(&wire);
            break;
        default:
            if (atomic_exchange(&wire.pending, false))
                driver_interrupt(&driver);
            break;
        }
    }
    assert_whole(&wire.to_host, MIB);
    assert_whole(&wire.to_guest, MIB);
    vmm_device_unref(wire.uart);
}

static void a_driver_like_linux_moves_a_mebibyte_each_way(void **state)
{
    (void)state;
    move_like_linux(false);
}

static void a_driver_like_linux_may_get_its_input_in_turns(void **state)
{
    (void)state;
    move_like_linux(true);
}

/* No interrupts: looks at LSR, reads and writes a byte at a time. */
static void a_polling_driver_moves_a_mebibyte_each_way(void **state)
{
    (void)state;
    struct wire wire;
    wire_init(&wire, MIB, true);
    size_t last = 0;
    unsigned idle = 0;
    while (!wire_done(&wire, &last, &idle)) {
        uint8_t status = get(&wire, LSR);
        if (status & DR)
            stream_check(&wire.to_guest, get(&wire, RBR));
        if (status & 0x20 && wire.to_host.sent < MIB)
            put(&wire, THR,
                stream_byte(wire.to_host.seed, wire.to_host.sent++));
        if (wire_random(&wire, 4) == 0)
            host_takes(&wire);
        if (wire_random(&wire, 4) == 0)
            host_gives(&wire);
    }
    assert_whole(&wire.to_host, MIB);
    assert_whole(&wire.to_guest, MIB);
    vmm_device_unref(wire.uart);
}

/* An interrupt handler of the plainest kind: it never reads IIR. */
static void plain_interrupt(struct wire *wire)
{
    uint8_t status = get(wire, LSR);
    for (int i = 0; i < TX_LOAD && status & DR; i++) {
        stream_check(&wire->to_guest, get(wire, RBR));
        status = get(wire, LSR);
    }
    if (status & 0x20 && wire->to_host.sent < wire->total)
        put(wire, THR, stream_byte(wire->to_host.seed, wire->to_host.sent++));
}

static void move_by_plain_interrupts(uint8_t fcr)
{
    struct wire wire;
    wire_init(&wire, 16384, false);
    put(&wire, FCR, fcr);
    put(&wire, MCR, OUT2);
    put(&wire, IER, RX | TX);
    size_t last = 0;
    unsigned idle = 0;
    while (!wire_done(&wire, &last, &idle)) {
        if (atomic_exchange(&wire.pending, false))
            plain_interrupt(&wire);
        if (wire_random(&wire, 4) == 0)
            host_takes(&wire);
        if (wire_random(&wire, 4) == 0)
            host_gives(&wire);
    }
    assert_whole(&wire.to_host, 16384);
    assert_whole(&wire.to_guest, 16384);
    vmm_device_unref(wire.uart);
}

static void a_handler_without_iir_works_without_fifos(void **state)
{
    (void)state;
    move_by_plain_interrupts(0);
}

static void a_handler_without_iir_works_with_fifos(void **state)
{
    (void)state;
    move_by_plain_interrupts(FIFOS | LEVEL_14);
}

/* ---- guest and host as threads ---- */

static void *run_guest(void *context)
{
    struct wire *wire = context;
    struct driver driver = {.wire = wire, .to_send = wire->total};
    driver_probe(wire);
    driver_open(&driver);
    driver_start_tx(&driver);
    while (wire->to_host.arrived < wire->total ||
           wire->to_guest.arrived < wire->total) {
        if (atomic_exchange(&wire->pending, false))
            driver_interrupt(&driver);
        else
            sched_yield();
    }
    return NULL;
}

static void the_host_may_be_another_thread(void **state)
{
    (void)state;
    struct wire wire;
    struct timespec deadline;
    pthread_t guest;
    wire_init(&wire, 16384, true);
    pthread_create(&guest, NULL, run_guest, &wire);
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE;
    while (pthread_tryjoin_np(guest, NULL) != 0) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        if (now.tv_sec > deadline.tv_sec)
            abort(); /* it hangs: no clean-up can end that thread */
        if (wire.room == 0) {
            wire.room = 50;
            vmm_serial_output_ready(wire.uart);
        }
        bool drained = atomic_exchange(&wire.drained, false);
        if (wire.available == 0 && wire.to_guest.sent < wire.total) {
            size_t left = wire.total - wire.to_guest.sent;
            wire.available = left < 60 ? left : 60;
            drained = true;
        }
        if (drained)
            vmm_serial_input_ready(wire.uart);
        sched_yield();
    }
    assert_whole(&wire.to_host, 16384);
    assert_whole(&wire.to_guest, 16384);
    vmm_device_unref(wire.uart);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_driver_like_linux_moves_a_mebibyte_each_way),
        cmocka_unit_test(a_driver_like_linux_may_get_its_input_in_turns),
        cmocka_unit_test(a_polling_driver_moves_a_mebibyte_each_way),
        cmocka_unit_test(a_handler_without_iir_works_without_fifos),
        cmocka_unit_test(a_handler_without_iir_works_with_fifos),
        cmocka_unit_test(the_host_may_be_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
