/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The real-time clock and CMOS memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <vmm/devices.h>

enum { SECONDS = 0, MINUTES = 2, HOURS = 4, WEEKDAY = 6, DAY, MONTH, YEAR };
enum { A = 0x0a, B, C, D, CENTURY = 0x32 };
enum { UIP = 0x80, SET = 0x80, AIE = 0x20, UIE = 0x10, DM = 4, H24 = 2 };
enum { IRQF = 0x80, PF = 0x40, AF = 0x20, UF = 0x10 };

/* 2026-03-07 21:09:58 UTC, a Saturday */
#define NOW INT64_C(1772917798)

struct fixture {
    struct vmm_device *rtc;
    int64_t now;
};

static int64_t now(void *context)
{
    return ((struct fixture *)context)->now;
}

static void make(struct fixture *f, uint64_t below_4g, uint64_t above_4g)
{
    struct vmm_rtc_config config = {
        .now = now,
        .context = f,
        .below_4g_bytes = below_4g,
        .above_4g_bytes = above_4g,
    };
    assert_int_equal(vmm_rtc_new(&config, &f->rtc, NULL), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->now = NOW;
    make(f, 0, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    vmm_device_unref(f->rtc);
    free(f);
    return 0;
}

static uint8_t get(struct fixture *f, uint8_t index)
{
    uint8_t value = 0xff;
    f->rtc->regions[0].write(f->rtc, 0, &index, 1);
    f->rtc->regions[0].read(f->rtc, 1, &value, 1);
    return value;
}

static void put(struct fixture *f, uint8_t index, uint8_t value)
{
    f->rtc->regions[0].write(f->rtc, 0, &index, 1);
    f->rtc->regions[0].write(f->rtc, 1, &value, 1);
}

/* The time as the registers show it, in hexadecimal. */
static void assert_shows(struct fixture *f, const char *expected)
{
    char text[64];
    snprintf(text, sizeof(text), "%02x%02x-%02x-%02x %02x:%02x:%02x day %x",
             get(f, CENTURY), get(f, YEAR), get(f, MONTH), get(f, DAY),
             get(f, HOURS), get(f, MINUTES), get(f, SECONDS), get(f, WEEKDAY));
    assert_string_equal(text, expected);
}

/* ---- time ---- */

static void the_time_is_in_bcd_and_24_hours_at_power_on(void **state)
{
    assert_int_equal(get(*state, B), H24);
    assert_shows(*state, "2026-03-07 21:09:58 day 7");
}

static void dm_shows_binary(void **state)
{
    put(*state, B, DM | H24);
    assert_shows(*state, "141a-03-07 15:09:3a day 7");
}

static void twelve_hours_have_a_pm_bit(void **state)
{
    struct fixture *f = *state;
    static const uint8_t shown[24] = {
        0x12, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x10, 0x11,
        0x92, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x90, 0x91};
    put(f, B, 0);
    for (int hour = 0; hour < 24; hour++) {
        f->now = NOW / 86400 * 86400 + hour * 3600;
        assert_int_equal(get(f, HOURS), shown[hour]);
    }
    for (int hour = 0; hour < 24; hour++) {
        put(f, B, 0);
        put(f, HOURS, shown[hour]);
        put(f, B, DM | H24);
        assert_int_equal(get(f, HOURS), hour);
    }
}

static void the_clock_runs_with_the_host(void **state)
{
    struct fixture *f = *state;
    f->now += 2;
    assert_shows(f, "2026-03-07 21:10:00 day 7");
    f->now += 86400;
    assert_shows(f, "2026-03-08 21:10:00 day 1");
}

/* As Linux sets it: SET, the fields, SET off. */
static void the_guest_sets_the_time(void **state)
{
    struct fixture *f = *state;
    put(f, B, SET | H24);
    put(f, YEAR, 0x99);
    put(f, CENTURY, 0x19);
    put(f, MONTH, 0x12);
    put(f, DAY, 0x31);
    put(f, HOURS, 0x23);
    put(f, MINUTES, 0x59);
    put(f, SECONDS, 0x58);
    f->now += 1000; /* the clock stands */
    assert_shows(f, "1999-12-31 23:59:58 day 7");
    put(f, B, H24);
    assert_shows(f, "1999-12-31 23:59:58 day 6");
    f->now += 2;
    assert_shows(f, "2000-01-01 00:00:00 day 7");
}

static void a_field_written_without_set_counts_at_once(void **state)
{
    struct fixture *f = *state;
    put(f, MINUTES, 0x42);
    assert_shows(f, "2026-03-07 21:42:58 day 7");
    f->now += 2;
    assert_shows(f, "2026-03-07 21:43:00 day 7");
}

static void time_and_memory_outlive_a_reset(void **state)
{
    struct fixture *f = *state;
    put(f, HOURS, 0x03);
    put(f, 0x0f, 0x0a);
    put(f, B, AIE | UIE | DM | H24);
    vmm_device_reset(f->rtc);
    assert_int_equal(get(f, B), DM | H24);
    put(f, B, H24);
    assert_shows(f, "2026-03-07 03:09:58 day 7");
    assert_int_equal(get(f, 0x0f), 0x0a);
}

static void garbage_in_time_registers_does_no_harm(void **state)
{
    struct fixture *f = *state;
    for (unsigned round = 0; round < 1000; round++) {
        uint8_t index = (uint8_t)(round * 37 % 64);
        put(f, index, (uint8_t)(round * 91));
        get(f, index);
    }
    for (uint8_t index = 0; index < 10; index++)
        put(f, index, 0xff);
    put(f, CENTURY, 0xff);
    put(f, B, H24);
    put(f, CENTURY, 0x20);
    put(f, YEAR, 0x26);
    put(f, MONTH, 0x03);
    put(f, DAY, 0x07);
    put(f, HOURS, 0x21);
    put(f, MINUTES, 0x09);
    put(f, SECONDS, 0x58);
    assert_shows(f, "2026-03-07 21:09:58 day 7");
}

static void an_absurd_host_time_shows_1970(void **state)
{
    struct fixture *f = *state;
    f->now = INT64_MAX;
    assert_shows(f, "1970-01-01 00:00:00 day 5");
    f->now = INT64_MIN;
    assert_shows(f, "1970-01-01 00:00:00 day 5");
    put(f, SECONDS, 0x30);
    f->now = INT64_MAX;
    get(f, SECONDS);
    get(f, C);
}

static void without_now_it_shows_the_hosts_time(void **state)
{
    (void)state;
    struct vmm_rtc_config config = {0};
    struct fixture f = {0};
    assert_int_equal(vmm_rtc_new(&config, &f.rtc, NULL), 0);
    time_t before = time(NULL);
    int shown, low = (int)(before / 60 % 60);
    put(&f, B, DM | H24);
    shown = get(&f, MINUTES);
    int high = (int)(time(NULL) / 60 % 60);
    assert_true(shown == low || shown == high);
    vmm_device_unref(f.rtc);
}

/* ---- registers A to D ---- */

static void uip_shows_once_when_a_second_has_passed(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, A), 0x26);
    assert_int_equal(get(f, A), 0x26);
    f->now++;
    assert_int_equal(get(f, A), 0x26 | UIP);
    assert_int_equal(get(f, A), 0x26);
}

static void uip_does_not_delay_a_guest_that_comes_by_seldom(void **state)
{
    struct fixture *f = *state;
    get(f, A);
    f->now += 100;
    assert_int_equal(get(f, A), 0x26);
}

static void uip_is_off_while_the_clock_is_being_set(void **state)
{
    struct fixture *f = *state;
    get(f, A);
    put(f, B, SET);
    f->now++;
    assert_int_equal(get(f, A), 0x26);
}

static void register_a_keeps_all_but_uip(void **state)
{
    put(*state, A, 0xff);
    assert_int_equal(get(*state, A), 0x7f);
}

static void registers_c_and_d_are_read_only(void **state)
{
    put(*state, C, 0xff);
    put(*state, D, 0x00);
    assert_int_equal(get(*state, C), 0x00);
    assert_int_equal(get(*state, D), 0x80); /* the battery is good */
}

static void register_c_tells_of_updates_and_is_cleared_by_reading(void **state)
{
    struct fixture *f = *state;
    put(f, A, 0x20); /* no periodic rate */
    f->now++;
    assert_int_equal(get(f, C), UF);
    assert_int_equal(get(f, C), 0);
    put(f, B, UIE | H24);
    f->now++;
    assert_int_equal(get(f, C), UF | IRQF);
    put(f, A, 0x26);
    f->now++;
    assert_int_equal(get(f, C), UF | PF | IRQF);
}

static void the_alarm_flag_comes_when_the_time_matches(void **state)
{
    struct fixture *f = *state;
    put(f, A, 0x20);
    put(f, B, AIE | H24);
    put(f, 1, 0x05);
    put(f, 3, 0x10);
    put(f, 5, 0x21);
    assert_int_equal(get(f, 5), 0x21); /* alarm bytes are kept */
    f->now += 6;                       /* 21:10:04 */
    assert_int_equal(get(f, C), UF);
    f->now += 1;
    assert_int_equal(get(f, C), UF | AF | IRQF);
    f->now += 86399;
    assert_int_equal(get(f, C), UF);
    f->now += 10000000; /* days on, at a bound cost */
    assert_int_equal(get(f, C), UF | AF | IRQF);
}

static void alarm_bytes_of_c0_and_up_match_any_time(void **state)
{
    struct fixture *f = *state;
    put(f, A, 0x20);
    put(f, 1, 0x00);
    put(f, 3, 0xc0);
    put(f, 5, 0xff);
    f->now += 1; /* 21:09:59 */
    assert_int_equal(get(f, C), UF);
    f->now += 1;
    assert_int_equal(get(f, C), UF | AF);
}

/* ---- memory ---- */

static void every_other_byte_is_memory(void **state)
{
    struct fixture *f = *state;
    for (uint8_t index = 0x0e; index < 0x80; index++)
        if (index != CENTURY)
            put(f, index, index ^ 0x55);
    for (uint8_t index = 0x0e; index < 0x80; index++)
        if (index != CENTURY)
            assert_int_equal(get(f, index), index ^ 0x55);
}

static void the_nmi_bit_is_not_part_of_the_index(void **state)
{
    put(*state, 0x80 | 0x40, 0x77);
    assert_int_equal(get(*state, 0x40), 0x77);
    assert_int_equal(get(*state, 0x80 | D), 0x80);
}

static void the_index_port_reads_all_ones(void **state)
{
    struct fixture *f = *state;
    uint8_t value[2] = {0xff, 0xff};
    get(f, D);
    f->rtc->regions[0].read(f->rtc, 0, value, 2);
    assert_memory_equal(value, "\xff\x80", 2);
}

static void a_wide_write_sets_index_and_data(void **state)
{
    struct fixture *f = *state;
    static const uint8_t value[2] = {0x40, 0x99};
    f->rtc->regions[0].write(f->rtc, 0, value, 2);
    assert_int_equal(get(f, 0x40), 0x99);
}

static unsigned field(struct fixture *f, uint8_t index)
{
    return get(f, index) | (unsigned)get(f, index + 1) << 8;
}

static void memory_sizes_are_those_of_the_machine(void **state)
{
    static const struct {
        uint64_t below, above;
        unsigned base, extended, above_16m, above_4g;
    } cases[] = {
        {512 << 10, 0, 512, 0, 0, 0},
        {1 << 20, 0, 640, 0, 0, 0},
        {16 << 20, 0, 640, 15360, 0, 0},
        {256 << 20, 0, 640, 65535, 3840, 0},
        {UINT64_C(3328) << 20, UINT64_C(4864) << 20, 640, 65535, 52992, 77824},
        {UINT64_C(1) << 40, UINT64_C(1) << 50, 640, 65535, 65535, 0xffffff},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f = {.now = NOW};
        make(&f, cases[i].below, cases[i].above);
        assert_int_equal(field(&f, 0x15), cases[i].base);
        assert_int_equal(field(&f, 0x17), cases[i].extended);
        assert_int_equal(field(&f, 0x30), cases[i].extended);
        assert_int_equal(field(&f, 0x34), cases[i].above_16m);
        assert_int_equal(field(&f, 0x5b) | (unsigned)get(&f, 0x5d) << 16,
                         cases[i].above_4g);
        vmm_device_unref(f.rtc);
    }
}

static void the_checksum_covers_10_to_2d(void **state)
{
    (void)state;
    struct fixture f = {.now = NOW};
    unsigned sum = 0;
    make(&f, 256 << 20, 0);
    for (uint8_t index = 0x10; index <= 0x2d; index++)
        sum += get(&f, index);
    assert_int_equal(sum, 0x80 + 0x02 + 0xff + 0xff);
    assert_int_equal(get(&f, 0x2e), sum >> 8);
    assert_int_equal(get(&f, 0x2f), sum & 0xff);
    vmm_device_unref(f.rtc);
}

#define RTC_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RTC_TEST(the_time_is_in_bcd_and_24_hours_at_power_on),
        RTC_TEST(dm_shows_binary),
        RTC_TEST(twelve_hours_have_a_pm_bit),
        RTC_TEST(the_clock_runs_with_the_host),
        RTC_TEST(the_guest_sets_the_time),
        RTC_TEST(a_field_written_without_set_counts_at_once),
        RTC_TEST(time_and_memory_outlive_a_reset),
        RTC_TEST(garbage_in_time_registers_does_no_harm),
        RTC_TEST(an_absurd_host_time_shows_1970),
        cmocka_unit_test(without_now_it_shows_the_hosts_time),
        RTC_TEST(uip_shows_once_when_a_second_has_passed),
        RTC_TEST(uip_does_not_delay_a_guest_that_comes_by_seldom),
        RTC_TEST(uip_is_off_while_the_clock_is_being_set),
        RTC_TEST(register_a_keeps_all_but_uip),
        RTC_TEST(registers_c_and_d_are_read_only),
        RTC_TEST(register_c_tells_of_updates_and_is_cleared_by_reading),
        RTC_TEST(the_alarm_flag_comes_when_the_time_matches),
        RTC_TEST(alarm_bytes_of_c0_and_up_match_any_time),
        RTC_TEST(every_other_byte_is_memory),
        RTC_TEST(the_nmi_bit_is_not_part_of_the_index),
        RTC_TEST(the_index_port_reads_all_ones),
        RTC_TEST(a_wide_write_sets_index_and_data),
        cmocka_unit_test(memory_sizes_are_those_of_the_machine),
        cmocka_unit_test(the_checksum_covers_10_to_2d),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
