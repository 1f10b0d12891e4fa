/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* CMOS memory and real-time clock, after the MC146818A data sheet. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vmm/devices.h>

#include "devices/device.h"

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

static struct rtc *rtc_of(struct vmm_device *device)
{
    return (struct rtc *)device;
}

/* ---- time ---- */

static int64_t host_now(void *context)
{
    (void)context;
    return time(NULL);
}

static int64_t clock_now(const struct rtc *rtc)
{
    int64_t now;
    if (__builtin_add_overflow(rtc->config.now(rtc->config.context),
                               rtc->offset, &now))
        return 0;
    return now;
}

/* What the clock shows.  A time outside the years 0 to 9999 shows as 1970. */
static struct tm clock_time(const struct rtc *rtc)
{
    struct tm tm;
    time_t now = clock_now(rtc);
    if (rtc->cmos[REGISTER_B] & B_SET)
        return rtc->setting;
    if (gmtime_r(&now, &tm) && tm.tm_year >= -1900 && tm.tm_year < 8100)
        return tm;
    now = 0;
    return *gmtime_r(&now, &tm);
}

/* Let the clock go on from tm; fields out of their range carry over. */
static void clock_set(struct rtc *rtc, struct tm tm)
{
    int64_t then = timegm(&tm);
    int64_t offset;
    if (!__builtin_sub_overflow(then, rtc->config.now(rtc->config.context),
                                &offset))
        rtc->offset = offset;
}

/* ---- the formats of register B ---- */

static uint8_t encode(const struct rtc *rtc, int value)
{
    if (rtc->cmos[REGISTER_B] & B_DM)
        return (uint8_t)value;
    return (uint8_t)(value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *rtc, uint8_t byte)
{
    if (rtc->cmos[REGISTER_B] & B_DM)
        return byte;
    return (byte >> 4) * 10 + (byte & 0x0f);
}

static uint8_t encode_hours(const struct rtc *rtc, int hours)
{
    if (rtc->cmos[REGISTER_B] & B_24H)
        return encode(rtc, hours);
    int twelve = hours % 12 ? hours % 12 : 12;
    return encode(rtc, twelve) | (hours >= 12 ? HOURS_PM : 0);
}

static int decode_hours(const struct rtc *rtc, uint8_t byte)
{
    if (rtc->cmos[REGISTER_B] & B_24H)
        return decode(rtc, byte);
    int hours = decode(rtc, byte & ~HOURS_PM) % 12;
    return byte & HOURS_PM ? hours + 12 : hours;
}

/* ---- time registers ---- */

static uint8_t time_read(const struct rtc *rtc)
{
    struct tm tm = clock_time(rtc);
    int year = tm.tm_year + 1900;
    switch (rtc->index) {
    case SECONDS:
        return encode(rtc, tm.tm_sec);
    case MINUTES:
        return encode(rtc, tm.tm_min);
    case HOURS:
        return encode_hours(rtc, tm.tm_hour);
    case DAY_OF_WEEK:
        return encode(rtc, tm.tm_wday + 1);
    case DAY_OF_MONTH:
        return encode(rtc, tm.tm_mday);
    case MONTH:
        return encode(rtc, tm.tm_mon + 1);
    case YEAR:
        return encode(rtc, year % 100);
    default:
        return encode(rtc, year / 100);
    }
}

static void time_write(struct rtc *rtc, uint8_t byte)
{
    struct tm tm = clock_time(rtc);
    int year = tm.tm_year + 1900;
    int value = decode(rtc, byte);
    switch (rtc->index) {
    case SECONDS:
        tm.tm_sec = value;
        break;
    case MINUTES:
        tm.tm_min = value;
        break;
    case HOURS:
        tm.tm_hour = decode_hours(rtc, byte);
        break;
    case DAY_OF_WEEK:
        tm.tm_wday = value - 1;
        break;
    case DAY_OF_MONTH:
        tm.tm_mday = value;
        break;
    case MONTH:
        tm.tm_mon = value - 1;
        break;
    case YEAR:
        tm.tm_year = year - year % 100 + value % 100 - 1900;
        break;
    default:
        tm.tm_year = value % 100 * 100 + year % 100 - 1900;
        break;
    }
    if (rtc->cmos[REGISTER_B] & B_SET)
        rtc->setting = tm;
    else
        clock_set(rtc, tm);
}

/* ---- registers A to D ---- */

/*
 * UIP shows once after a second has passed under the eyes of a guest that
 * polls.  The time can be read in the very next moment: it never tears.
 */
static uint8_t register_a_read(struct rtc *rtc)
{
    int64_t now = clock_now(rtc);
    bool updated = now == rtc->updates_seen + 1;
    rtc->updates_seen = now;
    if (updated && !(rtc->cmos[REGISTER_B] & B_SET))
        return rtc->cmos[REGISTER_A] | A_UIP;
    return rtc->cmos[REGISTER_A];
}

/* SET stops the clock for the guest to write it; clearing SET starts it. */
static void register_b_write(struct rtc *rtc, uint8_t value)
{
    uint8_t old = rtc->cmos[REGISTER_B];
    if (value & ~old & B_SET)
        rtc->setting = clock_time(rtc);
    rtc->cmos[REGISTER_B] = value;
    if (old & ~value & B_SET)
        clock_set(rtc, rtc->setting);
}

static bool alarm_byte_matches(uint8_t alarm, uint8_t shown)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == shown;
}

static bool alarm_matches(const struct rtc *rtc, int second_of_day)
{
    const uint8_t *cmos = rtc->cmos;
    return alarm_byte_matches(cmos[SECONDS_ALARM],
                              encode(rtc, second_of_day % 60)) &&
           alarm_byte_matches(cmos[MINUTES_ALARM],
                              encode(rtc, second_of_day / 60 % 60)) &&
           alarm_byte_matches(cmos[HOURS_ALARM],
                              encode_hours(rtc, second_of_day / 3600));
}

/* Whether some second of (from, to] matches; all of a day do if it is longer.
 */
static bool alarm_matched(const struct rtc *rtc, int64_t from, int64_t to)
{
    if (to - from > SECONDS_PER_DAY)
        from = to - SECONDS_PER_DAY;
    while (from < to) {
        from++;
        int second = (int)(from % SECONDS_PER_DAY);
        if (alarm_matches(rtc, second < 0 ? second + SECONDS_PER_DAY : second))
            return true;
    }
    return false;
}

static uint8_t register_c_read(struct rtc *rtc)
{
    int64_t since = rtc->flags_since;
    int64_t now = clock_now(rtc);
    rtc->flags_since = now;
    if (rtc->cmos[REGISTER_B] & B_SET || now <= since)
        return 0;
    uint8_t flags = B_UIE;
    if (rtc->cmos[REGISTER_A] & A_RATE)
        flags |= B_PIE;
    if (alarm_matched(rtc, since, now))
        flags |= B_AIE;
    return flags & rtc->cmos[REGISTER_B] ? flags | C_IRQF : flags;
}

/* ---- ports ---- */

static bool is_time(uint8_t index)
{
    switch (index) {
    case SECONDS:
    case MINUTES:
    case HOURS:
    case DAY_OF_WEEK:
    case DAY_OF_MONTH:
    case MONTH:
    case YEAR:
    case CENTURY:
        return true;
    default:
        return false;
    }
}

static uint8_t data_read(struct rtc *rtc)
{
    if (is_time(rtc->index))
        return time_read(rtc);
    switch (rtc->index) {
    case REGISTER_A:
        return register_a_read(rtc);
    case REGISTER_C:
        return register_c_read(rtc);
    case REGISTER_D:
        return D_VRT;
    default:
        return rtc->cmos[rtc->index];
    }
}

static void data_write(struct rtc *rtc, uint8_t value)
{
    if (is_time(rtc->index)) {
        time_write(rtc, value);
        return;
    }
    switch (rtc->index) {
    case REGISTER_A:
        rtc->cmos[REGISTER_A] = value & ~A_UIP;
        break;
    case REGISTER_B:
        register_b_write(rtc, value);
        break;
    case REGISTER_C:
    case REGISTER_D:
        break; /* read only */
    default:
        rtc->cmos[rtc->index] = value;
        break;
    }
}

/* Port 0x70 (offset 0) is write only; data is at port 0x71. */
static void rtc_read(struct vmm_device *device, uint64_t offset, uint8_t *value,
                     size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (offset + i == 1)
            value[i] = data_read(rtc_of(device));
}

static void rtc_write(struct vmm_device *device, uint64_t offset,
                      const uint8_t *value, size_t size)
{
    struct rtc *rtc = rtc_of(device);
    for (size_t i = 0; i < size; i++) {
        if (offset + i == 0)
            rtc->index = value[i] & INDEX_MASK;
        else if (offset + i == 1)
            data_write(rtc, value[i]);
    }
}

/* ---- the device ---- */

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

static uint64_t beyond(uint64_t value, uint64_t base)
{
    return value > base ? value - base : 0;
}

static void store16(uint8_t *cmos, uint64_t value)
{
    cmos[0] = (uint8_t)value;
    cmos[1] = (uint8_t)(value >> 8);
}

/* Memory sizes, each as large as its field can say. */
static void store_memory_sizes(struct rtc *rtc)
{
    uint8_t *cmos = rtc->cmos;
    uint64_t low = rtc->config.below_4g_bytes;
    uint64_t extended = at_most(beyond(low, 1 << 20) >> 10, 0xffff);
    uint64_t high = at_most(rtc->config.above_4g_bytes >> 16, 0xffffff);
    store16(&cmos[BASE_KIB], at_most(low >> 10, 640));
    store16(&cmos[EXTENDED_KIB], extended);
    store16(&cmos[EXTENDED_KIB_TOO], extended);
    store16(&cmos[ABOVE_16M_64KIB],
            at_most(beyond(low, 16 << 20) >> 16, 0xffff));
    store16(&cmos[ABOVE_4G_64KIB], high);
    cmos[ABOVE_4G_64KIB + 2] = (uint8_t)(high >> 16);

    unsigned sum = 0;
    for (size_t i = CHECKSUM_FIRST; i <= CHECKSUM_LAST; i++)
        sum += cmos[i];
    cmos[CHECKSUM_LAST + 1] = (uint8_t)(sum >> 8);
    cmos[CHECKSUM_LAST + 2] = (uint8_t)sum;
}

/* The RESET pin clears the interrupt enables; the battery keeps the rest. */
static void rtc_reset(struct vmm_device *device)
{
    struct rtc *rtc = rtc_of(device);
    rtc->cmos[REGISTER_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->index = 0;
    rtc->flags_since = clock_now(rtc);
}

static void rtc_destroy(struct vmm_device *device)
{
    free(rtc_of(device));
}

static const struct vmm_region_ops rtc_regions[] = {
    {rtc_read, rtc_write},
};

static const struct vmm_device_ops rtc_ops = {
    .name = "rtc",
    .reset = rtc_reset,
    .destroy = rtc_destroy,
};

int vmm_rtc_new(const struct vmm_rtc_config *config, struct vmm_device **device,
                struct vmm_error *err)
{
    vmm_error_clear(err);
    *device = NULL;
    struct rtc *rtc = calloc(1, sizeof(*rtc));
    if (!rtc)
        return vmm_error_set(err, ENOMEM, "rtc: out of memory");
    vmm_device_init(&rtc->device, &rtc_ops, rtc_regions, 1);
    rtc->config = *config;
    if (!rtc->config.now)
        rtc->config.now = host_now;
    rtc->cmos[REGISTER_A] = A_DEFAULT;
    rtc->cmos[REGISTER_B] = B_24H;
    store_memory_sizes(rtc);
    rtc_reset(&rtc->device);
    *device = &rtc->device;
    return 0;
}
