/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* CMOS memory and real-time clock, after the MC146818A data sheet. */
#include <errno.h>
#include <stdlib.h>

#include "devices/device.h"
#include "devices/rtc_internal.h"

static struct rtc *rtc_of(struct vmm_device *device)
{
    return (struct rtc *)device;
}

/* ---- registers A to D ---- */

/* UIP shows once when a second has passed under the eyes of a guest that
 * polls: it may wait for it to come, or to go. */
static uint8_t register_a_read(struct rtc *rtc)
{
    int64_t now = vmm_rtc_now(rtc);
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
        rtc->setting = vmm_rtc_time(rtc);
    rtc->cmos[REGISTER_B] = value;
    if (old & ~value & B_SET)
        vmm_rtc_set(rtc, rtc->setting);
}

static bool alarm_byte_matches(uint8_t alarm, uint8_t shown)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == shown;
}

static bool alarm_matches(const struct rtc *rtc, int second_of_day)
{
    const uint8_t *cmos = rtc->cmos;
    return alarm_byte_matches(cmos[SECONDS_ALARM],
                              vmm_rtc_encode(rtc, second_of_day % 60)) &&
           alarm_byte_matches(cmos[MINUTES_ALARM],
                              vmm_rtc_encode(rtc, second_of_day / 60 % 60)) &&
           alarm_byte_matches(cmos[HOURS_ALARM],
                              vmm_rtc_encode_hours(rtc, second_of_day / 3600));
}

/* Whether some second of (from, to] matches; a day holds them all. */
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
    int64_t now = vmm_rtc_now(rtc);
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
        return vmm_rtc_time_read(rtc);
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
        vmm_rtc_time_write(rtc, value);
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

static int64_t host_now(void *context)
{
    (void)context;
    return time(NULL);
}

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
    rtc->flags_since = vmm_rtc_now(rtc);
}

static void rtc_destroy(struct vmm_device *device)
{
    free(rtc_of(device));
}

static const struct vmm_region_ops rtc_regions[] = {
    {rtc_read, rtc_write, 2},
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
