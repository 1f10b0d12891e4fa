/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Receives by polling, FIFOs on, and obeys lines of text:
 *   echo N   send the N bytes that follow back, each as it comes
 *   sum N    take N bytes (at most 2 MiB), answer "sum N A B" in hexadecimal,
 *            where over their little-endian 64-bit words, the last one filled
 *            up with zeros, A is the sum and B the sum of all A's on the way
 *   end      PASS
 * Needs 8 MiB of RAM: the bytes to sum up go to 4 MiB.
 */
#include "lib/guest.h"

#define BUFFER               ((uint8_t *)0x400000)
#define BUFFER_SIZE          0x200000
#define FIFO_TRIGGER         8
#define FCR_ENABLE_TRIGGER_8 0x81
#define IER_ERBFI            0x01
#define IIR_MASK             0x0f
#define IIR_DATA             0x04 /* the trigger level is reached */

/* FIFO_TRIGGER bytes by one exit when the FIFO holds them, else one byte. */
static size_t receive(uint8_t *to, size_t room)
{
    if (room >= FIFO_TRIGGER && (inb(COM1 + UART_IIR) & IIR_MASK) == IIR_DATA) {
        insb(COM1 + UART_RBR, to, FIFO_TRIGGER);
        return FIFO_TRIGGER;
    }
    *to = get_byte();
    return 1;
}

static void sum(size_t count)
{
    uint64_t a = 0, b = 0;

    if (count > BUFFER_SIZE)
        fail("count", count, BUFFER_SIZE);
    for (size_t have = 0; have < count;)
        have += receive(BUFFER + have, count - have);
    for (size_t at = count; at % 8; at++)
        BUFFER[at] = 0;
    for (uint64_t *word = (uint64_t *)BUFFER;
         word < (uint64_t *)(BUFFER + count); word++) {
        a += *word;
        b += a;
    }
    put("sum ");
    put_decimal(count);
    put_char(' ');
    put_hex(a);
    put_char(' ');
    put_hex(b);
    put_char('\n');
}

static void echo(size_t count)
{
    while (count--)
        put_char((char)get_byte());
}

/* A line without its end; a carriage return counts as one. */
static void read_line(char *line, size_t size)
{
    size_t used = 0;

    for (;;) {
        char c = (char)get_byte();

        if (c == '\n' || c == '\r')
            break;
        if (used + 1 < size)
            line[used++] = c;
    }
    line[used] = '\0';
}

/* The number after "word ", or -1 when the line does not start so. */
static int64_t argument(const char *line, const char *word)
{
    int64_t value = 0;

    for (; *word; word++, line++)
        if (*line != *word)
            return -1;
    if (*line++ != ' ')
        return -1;
    for (; *line >= '0' && *line <= '9'; line++)
        value = value * 10 + (*line - '0');
    return value;
}

void guest(void *rsi)
{
    char line[32];

    (void)rsi;
    outb(COM1 + UART_FCR, FCR_ENABLE_TRIGGER_8);
    outb(COM1 + UART_IER, IER_ERBFI); /* so that IIR tells; no line is wired */
    outb(COM1 + UART_MCR, UART_MCR_DTR | UART_MCR_RTS);
    put("ready\n");
    for (;;) {
        read_line(line, sizeof(line));
        if (argument(line, "echo") >= 0) {
            echo((size_t)argument(line, "echo"));
        } else if (argument(line, "sum") >= 0) {
            sum((size_t)argument(line, "sum"));
        } else if (line[0] == 'e' && line[1] == 'n' && line[2] == 'd') {
            pass();
            return;
        } else {
            put("FAIL no such command: ");
            put(line);
            put("\n");
        }
    }
}
