/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Prints 1024 numbered lines of 64 bytes, 64 KiB in all, as fast as the UART
 * takes them, 16 bytes each time its FIFO is empty: "line 03ff ....\n". */
#include "lib/guest.h"

#ifndef LINES
#define LINES 1024
#endif

#define FCR_ENABLE 0x01
#define FIFO       16

void guest(void *rsi)
{
    char line[64] = "line 0000 ";

    (void)rsi;
    for (size_t i = 10; i < sizeof(line) - 1; i++)
        line[i] = '.';
    line[sizeof(line) - 1] = '\n';
    outb(COM1 + UART_FCR, FCR_ENABLE);
    for (unsigned number = 0; number < LINES; number++) {
        for (unsigned digit = 0; digit < 4; digit++)
            line[8 - digit] = "0123456789abcdef"[number >> 4 * digit & 15];
        for (size_t at = 0; at < sizeof(line); at += FIFO) {
            while (!(inb(COM1 + UART_LSR) & UART_LSR_THRE))
                ;
            outsb(COM1 + UART_THR, line + at, FIFO);
        }
    }
    pass();
}
