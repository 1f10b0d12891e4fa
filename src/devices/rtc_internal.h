/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Inside the real-time clock: its registers, its state, and its time. */
#ifndef DEVICES_RTC_INTERNAL_H
#define DEVICES_RTC_INTERNAL_H

#include <time.h>

#include <vmm/devices.h>

/*
 * The clock is the host's plus an offset: a guest that sets the time changes
 * the offset.  Time and CMOS memory are kept by a battery, so a reset leaves
 * both.  The weekday follows from the date, whatever was written.
 *
 * No interrupt is wired.  The flags of register C come, to the second: UF
 * when the second has changed since C was last read, PF with it when a
 * periodic rate is chosen, AF when the alarm has matched in between.
 */
enum {
    SECONDS = 0x00,
    SECONDS_ALARM = 0x01,
    MINUTES = 0x02,
    MINUTES_ALARM = 0x03,
    HOURS = 0x04,
    HOURS_ALARM = 0x05,
    DAY_OF_WEEK = 0x06,
    DAY_OF_MONTH = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    REGISTER_A = 0x0a,
    REGISTER_B = 0x0b,
    REGISTER_C = 0x0c,
    REGISTER_D = 0x0d,

    /* From here on memory, laid out as PC firmware does. */
    CHECKSUM_FIRST = 0x10,
    BASE_KIB = 0x15,         /* 16 bits: below 640 KiB */
    EXTENDED_KIB = 0x17,     /* 16 bits: from 1 MiB on */
    CHECKSUM_LAST = 0x2d,    /* high byte, low byte follow */
    EXTENDED_KIB_TOO = 0x30, /* 16 bits: the same, as found by firmware */
    CENTURY = 0x32,          /* belongs to the time */
    ABOVE_16M_64KIB = 0x34,  /* 16 bits, in 64 KiB units */
    ABOVE_4G_64KIB = 0x5b,   /* 24 bits, in 64 KiB units */
    CMOS_BYTES = 128,

    A_UIP = 0x80,
    A_RATE = 0x0f,
    A_DEFAULT = 0x26, /* 32.768 kHz time base, 1024 Hz periodic rate */

    B_SET = 0x80,
    B_PIE = 0x40,
    B_AIE = 0x20,
    B_UIE = 0x10,
    B_SQWE = 0x08,
    B_DM = 0x04, /* binary, not BCD */
    B_24H = 0x02,

    C_IRQF = 0x80, /* PF, AF and UF have the places of PIE, AIE and UIE */

    D_VRT = 0x80, /* the battery is good */

    HOURS_PM = 0x80,
    ALARM_ANY = 0xc0, /* both bits set: this field matches any time */

    INDEX_MASK = 0x7f, /* bit 7 masks NMI: there is none */
    SECONDS_PER_DAY = 86400,
};

/* Seconds since 1970. */
#define YEAR_0     INT64_C(-62167219200)
#define YEAR_10000 INT64_C(253402300800)

struct rtc {
    struct vmm_device device;
    struct vmm_rtc_config config;
    uint8_t index;
    uint8_t cmos[CMOS_BYTES];
    int64_t offset;       /* guest's time minus the host's, seconds */
    struct tm setting;    /* the time while B_SET holds it */
    int64_t flags_since;  /* when register C was last read */
    int64_t updates_seen; /* when register A was last read */
};

/* The guest's time, seconds since 1970. */
int64_t vmm_rtc_now(const struct rtc *rtc);
/* What the clock shows: that, or what the guest is setting. */
struct tm vmm_rtc_time(const struct rtc *rtc);
/* Let the clock go on from tm; fields out of their range carry over. */
void vmm_rtc_set(struct rtc *rtc, struct tm tm);

/* A number as the registers show it: BCD or binary; hours in 12 or 24. */
uint8_t vmm_rtc_encode(const struct rtc *rtc, int value);
uint8_t vmm_rtc_encode_hours(const struct rtc *rtc, int hours);

/* The time register that the index selects. */
uint8_t vmm_rtc_time_read(const struct rtc *rtc);
void vmm_rtc_time_write(struct rtc *rtc, uint8_t byte);

#endif
