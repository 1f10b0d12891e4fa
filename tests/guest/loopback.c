/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The UART in loopback: what is sent is received, in order, nothing reaches
 * the wire, and the modem outputs drive the modem inputs. */
#include "lib/guest.h"

#define FCR_ENABLE 0x01
#define LSR_OE     0x02
#define MSR_CTS    0x10
#define MSR_DSR    0x20
#define MSR_RI     0x40
#define MSR_DCD    0x80
#define MCR_OUT1   0x04
#define FIFO       16

/* expect(), whose words need the wire: leave loopback to say them. */
static void check(const char *what, uint64_t got, uint64_t wanted)
{
    if (got == wanted)
        return;
    outb(COM1 + UART_MCR, 0);
    fail(what, got, wanted);
}

static void check_modem_lines(void)
{
    static const struct {
        uint8_t output, input;
    } pairs[] = {{UART_MCR_DTR, MSR_DSR},
                 {UART_MCR_RTS, MSR_CTS},
                 {MCR_OUT1, MSR_RI},
                 {UART_MCR_OUT2, MSR_DCD}};

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        outb(COM1 + UART_MCR, UART_MCR_LOOP | pairs[i].output);
        check("modem inputs", inb(COM1 + UART_MSR) & 0xf0, pairs[i].input);
    }
    outb(COM1 + UART_MCR, UART_MCR_LOOP);
    check("modem inputs, no output", inb(COM1 + UART_MSR) & 0xf0, 0);
}

static void check_data(void)
{
    for (int i = 0; i < FIFO; i++)
        outb(COM1 + UART_THR, (uint8_t)(0xa0 + i));
    check("LSR: DR and OE", inb(COM1 + UART_LSR) & (UART_LSR_DR | LSR_OE),
          UART_LSR_DR);
    outb(COM1 + UART_THR, 0xee); /* one too many: lost */
    check("LSR: OE", inb(COM1 + UART_LSR) & LSR_OE, LSR_OE);
    check("LSR: OE, read again", inb(COM1 + UART_LSR) & LSR_OE, 0);
    for (int i = 0; i < FIFO; i++)
        check("RBR", inb(COM1 + UART_RBR), 0xa0 + i);
    check("LSR: DR when empty", inb(COM1 + UART_LSR) & UART_LSR_DR, 0);
}

void guest(void *rsi)
{
    (void)rsi;
    outb(COM1 + UART_FCR, FCR_ENABLE);
    check_modem_lines();
    check_data();
    outb(COM1 + UART_MCR, 0);
    pass();
}
