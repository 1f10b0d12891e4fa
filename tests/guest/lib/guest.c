/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The few functions that every guest in C shares. */
#include "guest.h"

void put_char(char c)
{
    while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
        ;
    outb(COM1 + UART_THR, (uint8_t)c);
}

void put(const char *text)
{
    while (*text)
        put_char(*text++);
}

void put_hex(uint64_t value)
{
    int shift = 60;

    while (shift > 0 && !(value >> shift))
        shift -= 4;
    for (; shift >= 0; shift -= 4) {
        unsigned digit = (value >> shift) & 15;

        put_char((char)(digit < 10 ? '0' + digit : 'a' + digit - 10));
    }
}

void put_decimal(uint64_t value)
{
    if (value >= 10)
        put_decimal(value / 10);
    put_char((char)('0' + value % 10));
}

uint8_t get_byte(void)
{
    while (!(inb(COM1 + UART_LSR) & UART_LSR_DR))
        ;
    return inb(COM1 + UART_RBR);
}

void pass(void)
{
    put("PASS\n");
}

void fail(const char *what, uint64_t got, uint64_t wanted)
{
    put("FAIL ");
    put(what);
    put(": ");
    put_hex(got);
    put(", not ");
    put_hex(wanted);
    put("\n");
    guest_end();
}

void expect(const char *what, uint64_t got, uint64_t wanted)
{
    if (got != wanted)
        fail(what, got, wanted);
}

void guest_end(void)
{
    outb(0x64, 0xfe);
    for (;;)
        __asm__ volatile("cli; hlt");
}
