/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The real-time clock's time: kept as an offset, shown in registers. */
#include "devices/rtc_internal.h"

/* ---- time ---- */

/* The guest's time.  One outside the years 0 to 9999, which the registers
 * cannot show, counts as 1970. */
int64_t vmm_rtc_now(const struct rtc *rtc)
{
    int64_t now;
    if (__builtin_add_overflow(rtc->config.now(rtc->config.context),
                               rtc->offset, &now) ||
        now < YEAR_0 || now >= YEAR_10000)
        return 0;
    return now;
}

struct tm vmm_rtc_time(const struct rtc *rtc)
{
    if (rtc->cmos[REGISTER_B] & B_SET)
        return rtc->setting;
    struct tm tm;
    time_t now = vmm_rtc_now(rtc);
    return *gmtime_r(&now, &tm);
}

void vmm_rtc_set(struct rtc *rtc, struct tm tm)
{
    int64_t then = timegm(&tm);
    int64_t offset;
    if (!__builtin_sub_overflow(then, rtc->config.now(rtc->config.context),
                                &offset))
        rtc->offset = offset;
}

/* ---- the formats of register B ---- */

uint8_t vmm_rtc_encode(const struct rtc *rtc, int value)
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

uint8_t vmm_rtc_encode_hours(const struct rtc *rtc, int hours)
{
    if (rtc->cmos[REGISTER_B] & B_24H)
        return vmm_rtc_encode(rtc, hours);
    int twelve = hours % 12 ? hours % 12 : 12;
    return vmm_rtc_encode(rtc, twelve) | (hours >= 12 ? HOURS_PM : 0);
}

static int decode_hours(const struct rtc *rtc, uint8_t byte)
{
    if (rtc->cmos[REGISTER_B] & B_24H)
        return decode(rtc, byte);
    int hours = decode(rtc, byte & ~HOURS_PM) % 12;
    return byte & HOURS_PM ? hours + 12 : hours;
}

/* ---- time registers ---- */

uint8_t vmm_rtc_time_read(const struct rtc *rtc)
{
    struct tm tm = vmm_rtc_time(rtc);
    int year = tm.tm_year + 1900;
    switch (rtc->index) {
    case SECONDS:
        return vmm_rtc_encode(rtc, tm.tm_sec);
    case MINUTES:
        return vmm_rtc_encode(rtc, tm.tm_min);
    case HOURS:
        return vmm_rtc_encode_hours(rtc, tm.tm_hour);
    case DAY_OF_WEEK:
        return vmm_rtc_encode(rtc, tm.tm_wday + 1);
    case DAY_OF_MONTH:
        return vmm_rtc_encode(rtc, tm.tm_mday);
    case MONTH:
        return vmm_rtc_encode(rtc, tm.tm_mon + 1);
    case YEAR:
        return vmm_rtc_encode(rtc, year % 100);
    default:
        return vmm_rtc_encode(rtc, year / 100);
    }
}

void vmm_rtc_time_write(struct rtc *rtc, uint8_t byte)
{
    struct tm tm = vmm_rtc_time(rtc);
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
        tm.tm_year = year - year % 100 + value - 1900;
        break;
    default:
        tm.tm_year = value * 100 + year % 100 - 1900;
        break;
    }
    if (rtc->cmos[REGISTER_B] & B_SET)
        rtc->setting = tm;
    else
        vmm_rtc_set(rtc, tm);
}
