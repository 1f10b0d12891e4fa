/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* String I/O: the port stays, the data advances, for bytes, words and double
 * words, into memory and out of it. */
#include "lib/guest.h"

static void insw(uint16_t port, void *to, size_t count)
{
    __asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static void insl(uint16_t port, void *to, size_t count)
{
    __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

/* Eight elements read, and nothing after them touched. */
static void check_bytes(const char *what, const uint8_t *bytes, size_t size,
                        uint8_t wanted)
{
    for (size_t i = 0; i < size; i++)
        expect(what, bytes[i], wanted);
    expect("the byte after", bytes[size], 0x11);
}

static void set(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = 0x11;
}

void guest(void *rsi)
{
    static const char text[] = "fifteen bytes.\n";
    uint8_t bytes[40];

    (void)rsi;
    outsb(COM1 + UART_THR, text, sizeof(text) - 1);

    outb(COM1 + UART_SCR, 0x5a);
    set(bytes, sizeof(bytes));
    insb(COM1 + UART_SCR, bytes, 8);
    check_bytes("rep insb", bytes, 8, 0x5a);

    set(bytes, sizeof(bytes));
    insw(0x5c8, bytes, 8);
    check_bytes("rep insw of no device", bytes, 16, 0xff);

    set(bytes, sizeof(bytes));
    insl(0x5c8, bytes, 8);
    check_bytes("rep insl of no device", bytes, 32, 0xff);

    /* The scratch register keeps the last of a string. */
    outsb(COM1 + UART_SCR, "abc", 3);
    expect("rep outsb", inb(COM1 + UART_SCR), 'c');
    pass();
}
