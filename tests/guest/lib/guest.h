/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a tiny guest in C is made of: port I/O, text on the serial port, and
 * the ways to end. */
#ifndef GUEST_H
#define GUEST_H

#include <stddef.h>
#include <stdint.h>

/*
 * A guest is one file, `void guest(void *rsi)`, that checks one behaviour,
 * says PASS or FAIL with what was wrong, and returns: start.S then ends the
 * guest by guest_end().  It runs in ring 0, 64-bit, interrupts off, no IDT.
 * Hosts without VMX or SVM emulate it instruction by instruction (2 MIPS, no
 * SSE, no x87): plain integer code, and not much of it.
 */
void guest(void *rsi);

/* COM1, a 16550A: register offsets (data sheet section 8, "Registers"). */
#define COM1          0x3f8
#define UART_RBR      0 /* DLAB 0, read */
#define UART_THR      0 /* DLAB 0, write */
#define UART_IER      1
#define UART_IIR      2 /* read */
#define UART_FCR      2 /* write */
#define UART_LCR      3
#define UART_MCR      4
#define UART_LSR      5
#define UART_MSR      6
#define UART_SCR      7
#define UART_LSR_DR   0x01 /* data ready */
#define UART_LSR_THRE 0x20 /* transmitter holding register empty */
#define UART_MCR_DTR  0x01
#define UART_MCR_RTS  0x02
#define UART_MCR_OUT2 0x08
#define UART_MCR_LOOP 0x10

/* Where the product puts them (lua/vmm/x86/layout.lua). */
#define ACPI_SLEEP_CONTROL 0x600
#define DEVICE_HOLE        0xd0000000 /* start of the gap below 4 GiB */

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* `rep insb`: count reads of one port, one exit for many. */
static inline void insb(uint16_t port, void *to, size_t count)
{
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

/* `rep outsb`. */
static inline void outsb(uint16_t port, const void *from, size_t count)
{
    __asm__ volatile("rep outsb"
                     : "+S"(from), "+c"(count)
                     : "d"(port)
                     : "memory");
}

/* Text on COM1, each byte sent once the transmitter has room. */
void put_char(char c);
void put(const char *text);
void put_hex(uint64_t value); /* lower case, no prefix, no padding */
void put_decimal(uint64_t value);

/* One input byte, waited for. */
uint8_t get_byte(void);

/* "PASS\n". */
void pass(void);
/* "FAIL <what>: <got>, not <wanted>\n" (hexadecimal), then guest_end(). */
_Noreturn void fail(const char *what, uint64_t got, uint64_t wanted);
/* fail() unless equal. */
void expect(const char *what, uint64_t got, uint64_t wanted);

/* Ask the i8042 for a reset, and halt for ever where there is none. */
_Noreturn void guest_end(void);

#endif
