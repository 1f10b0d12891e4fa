/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Reads the MC146818 clock as an operating system does and prints
 * "rtc YYYY-MM-DD hh:mm:ss" and "memory N M" (bytes below and above 4 GiB as
 * CMOS tells, hexadecimal). */
#include "lib/guest.h"

#define RTC_INDEX 0x70
#define RTC_DATA  0x71
#define STATUS_A  0x0a
#define A_UIP     0x80 /* update in progress */
#define STATUS_B  0x0b
#define B_24_HOUR 0x02
#define B_BINARY  0x04
#define CENTURY   0x32

enum { SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, HUNDRED, FIELDS };
static const uint8_t registers[FIELDS] = {0, 2, 4, 7, 8, 9, CENTURY};

static uint8_t cmos(uint8_t index)
{
    outb(RTC_INDEX, index);
    return inb(RTC_DATA);
}

static void read_clock(uint8_t *fields)
{
    for (int i = 0; i < 1000 && (cmos(STATUS_A) & A_UIP); i++)
        ;
    expect("status A: update in progress", cmos(STATUS_A) & A_UIP, 0);
    for (int i = 0; i < FIELDS; i++)
        fields[i] = cmos(registers[i]);
}

/* Two readings that agree were not torn by an update. */
static void read_steady(uint8_t *fields)
{
    uint8_t again[FIELDS];
    int differ;

    read_clock(fields);
    do {
        differ = 0;
        read_clock(again);
        for (int i = 0; i < FIELDS; i++) {
            differ |= fields[i] != again[i];
            fields[i] = again[i];
        }
    } while (differ);
}

static void decode(uint8_t *fields)
{
    uint8_t mode = cmos(STATUS_B);
    uint8_t afternoon = 0;

    if (!(mode & B_24_HOUR)) {
        afternoon = fields[HOUR] & 0x80;
        fields[HOUR] &= 0x7f;
    }
    if (!(mode & B_BINARY))
        for (int i = 0; i < FIELDS; i++)
            fields[i] = (uint8_t)((fields[i] >> 4) * 10 + (fields[i] & 15));
    if (!(mode & B_24_HOUR))
        fields[HOUR] = (uint8_t)(fields[HOUR] % 12 + (afternoon ? 12 : 0));
}

static void put_two(char before, uint8_t value)
{
    if (before)
        put_char(before);
    put_char((char)('0' + value / 10));
    put_char((char)('0' + value % 10));
}

static void print_memory(void)
{
    uint64_t below =
        ((uint64_t)cmos(0x35) << 24 | (uint64_t)cmos(0x34) << 16) + 0x1000000;
    uint64_t above = (uint64_t)cmos(0x5d) << 32 | (uint64_t)cmos(0x5c) << 24 |
                     (uint64_t)cmos(0x5b) << 16;

    put("memory ");
    put_hex(below);
    put_char(' ');
    put_hex(above);
    put_char('\n');
}

void guest(void *rsi)
{
    uint8_t fields[FIELDS];

    (void)rsi;
    read_steady(fields);
    decode(fields);
    put("rtc ");
    put_two(0, fields[HUNDRED]);
    put_two(0, fields[YEAR]);
    put_two('-', fields[MONTH]);
    put_two('-', fields[DAY]);
    put_two(' ', fields[HOUR]);
    put_two(':', fields[MINUTE]);
    put_two(':', fields[SECOND]);
    put_char('\n');
    print_memory();
    pass();
}
