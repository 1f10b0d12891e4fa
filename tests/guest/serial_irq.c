/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * The UART by interrupts alone (IRQ 4 through the 8259): sends "ready", then
 * sends each line back that it receives, "end" being the last, and sleeps in
 * between.  Needs the in-kernel irqchip.
 */
#include <stdbool.h>

#include "lib/guest.h"

#define PIC_COMMAND 0x20
#define PIC_DATA    0x21
#define PIC_EOI     0x20
#define VECTOR_BASE 0x20
#define COM1_IRQ    4

#define IER_ERBFI   0x01
#define IER_ETBEI   0x02
#define IIR_NONE    0x01
#define IIR_THRE    0x02
#define IIR_DATA    0x04
#define IIR_TIMEOUT 0x0c
#define FCR_ENABLE  0x01
#define FIFO        16

struct gate {
    uint16_t offset_0;
    uint16_t selector;
    uint16_t flags;
    uint16_t offset_16;
    uint32_t offset_32;
    uint32_t reserved;
};

void serial_interrupt_entry(void); /* lib/interrupt.S */
void serial_interrupt(void);

static struct gate idt[VECTOR_BASE + COM1_IRQ + 1];

/* Written by the handler, read with interrupts off, or the other way round. */
static struct {
    char line[256];
    size_t received;
    bool complete; /* the line is: until it is taken nothing is received */
    const char *sending;
    size_t to_send;
    bool idle; /* THRE has come and there was nothing to send */
} port;

static void send_some(void)
{
    size_t count = port.to_send < FIFO ? port.to_send : FIFO;

    port.idle = count == 0;
    outsb(COM1 + UART_THR, port.sending, count);
    port.sending += count;
    port.to_send -= count;
}

static void receive_some(void)
{
    while (!port.complete && (inb(COM1 + UART_LSR) & UART_LSR_DR)) {
        char c = (char)inb(COM1 + UART_RBR);

        port.line[port.received++] = c;
        port.complete =
            c == '\n' || c == '\r' || port.received == sizeof(port.line);
    }
    /* The rest of the input waits. */
    if (port.complete)
        outb(COM1 + UART_IER, IER_ETBEI);
}

void serial_interrupt(void)
{
    uint8_t source;

    while (!((source = inb(COM1 + UART_IIR) & 0x0f) & IIR_NONE)) {
        if (source == IIR_THRE)
            send_some();
        else if (source == IIR_DATA || source == IIR_TIMEOUT)
            receive_some();
        else
            fail("IIR", source, IIR_NONE);
    }
    outb(PIC_COMMAND, PIC_EOI);
}

static void set_up_interrupts(void)
{
    uint64_t entry = (uint64_t)serial_interrupt_entry;
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = {sizeof(idt) - 1, (uint64_t)idt};
    uint16_t cs;

    __asm__("mov %%cs, %0" : "=r"(cs));
    idt[VECTOR_BASE + COM1_IRQ] = (struct gate){
        .offset_0 = (uint16_t)entry,
        .selector = cs,
        .flags = 0x8e00, /* present, 64-bit interrupt gate */
        .offset_16 = (uint16_t)(entry >> 16),
        .offset_32 = (uint32_t)(entry >> 32),
    };
    __asm__ volatile("lidt %0" : : "m"(idtr));

    outb(PIC_COMMAND, 0x11); /* ICW1: edge, cascade, ICW4 follows */
    outb(PIC_DATA, VECTOR_BASE);
    outb(PIC_DATA, 1 << 2); /* ICW3: the slave is at 2 */
    outb(PIC_DATA, 0x01);   /* ICW4: 8086 mode */
    outb(PIC_DATA, (uint8_t) ~(1 << COM1_IRQ));
}

/* Sleep until the handler has made *flag true; interrupts off again then. */
static void wait_for(volatile bool *flag)
{
    while (!*flag)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void send(const char *text, size_t length)
{
    wait_for(&port.idle);
    port.sending = text;
    port.to_send = length;
    send_some(); /* THRE is set: no interrupt would come for this */
    wait_for(&port.idle);
}

static bool is_end(void)
{
    return port.received == 4 && port.line[0] == 'e' && port.line[1] == 'n' &&
           port.line[2] == 'd';
}

void guest(void *rsi)
{
    static const char ready[] = "ready\n";

    (void)rsi;
    set_up_interrupts();
    outb(COM1 + UART_FCR, FCR_ENABLE);
    outb(COM1 + UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
    outb(COM1 + UART_IER, IER_ETBEI);
    send(ready, sizeof(ready) - 1);
    do {
        port.received = 0;
        port.complete = false;
        outb(COM1 + UART_IER, IER_ERBFI | IER_ETBEI);
        wait_for(&port.complete);
        send(port.line, port.received);
    } while (!is_end());
    outb(COM1 + UART_IER, 0);
    pass();
}
