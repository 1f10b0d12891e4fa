/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Token buckets, by a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/virtio/limit.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

static void without_a_rate_nothing_waits(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    assert_int_equal(bucket_level(&bucket, 0), UINT64_MAX);
    bucket_take(&bucket, UINT64_MAX);
    assert_int_equal(bucket_wait_ns(&bucket, 0), 0);
    bucket_set(&bucket, 0, 5, 7 * S);
    bucket_take(&bucket, 100);
    assert_int_equal(bucket_wait_ns(&bucket, 7 * S), 0);
}

static void it_begins_full_and_is_filled_by_its_rate(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    bucket_set(&bucket, 1000, 300, 5 * S);
    assert_int_equal(bucket_level(&bucket, 5 * S), 300);
    bucket_take(&bucket, 300);
    assert_int_equal(bucket_level(&bucket, 5 * S), 0);
    assert_int_equal(bucket_wait_ns(&bucket, 5 * S), MS);
    assert_int_equal(bucket_level(&bucket, 5 * S + 100 * MS), 100);
}

static void it_never_holds_more_than_its_burst(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    bucket_set(&bucket, 1000, 300, 0);
    assert_int_equal(bucket_level(&bucket, 3600 * S), 300);
    assert_int_equal(bucket_level(&bucket, UINT64_MAX), 300);
}

static void a_wait_lasts_exactly_until_there_is_a_token(void **state)
{
    static const uint64_t rates[] = {1,          3,          7,         999,
                                     1000000007, 3000000000, UINT64_MAX};

    (void)state;
    for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct bucket bucket = {0};

        bucket_set(&bucket, rates[i], 1, S);
        bucket_take(&bucket, 1);
        uint64_t wait = bucket_wait_ns(&bucket, S);
        assert_int_not_equal(wait, 0);
        assert_int_equal(bucket_wait_ns(&bucket, S + wait - 1), 1);
        assert_int_equal(bucket_wait_ns(&bucket, S + wait), 0);
    }
}

static void a_debt_is_earned_before_anything_else(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    bucket_set(&bucket, 100, 10, 0);
    bucket_take(&bucket, 210);
    assert_int_equal(bucket_level(&bucket, S), 0);
    assert_int_equal(bucket_wait_ns(&bucket, S), S + 10 * MS);
    assert_int_equal(bucket_level(&bucket, 2 * S + 10 * MS), 1);
}

static void who_asks_often_gets_no_less_and_no_more(void **state)
{
    static const uint64_t rates[] = {3, 1500, 999999999, 2500000000};

    (void)state;
    for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct bucket bucket = {0};
        uint64_t got = 0, now = 0;

        bucket_set(&bucket, rates[i], rates[i], 0);
        bucket_take(&bucket, rates[i]);
        for (; now < S; now += 777) {
            uint64_t level = bucket_level(&bucket, now);

            bucket_take(&bucket, level);
            got += level;
        }
        /* A nanosecond may be lost each time, of 777, and the last time. */
        assert_in_range(got, rates[i] - rates[i] / 700 - 1, rates[i]);
    }
}

static void a_new_rate_keeps_what_is_left(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    bucket_set(&bucket, 100, 100, 0);
    bucket_take(&bucket, 60);
    bucket_set(&bucket, 10, 50, 0);
    assert_int_equal(bucket_level(&bucket, 0), 40);
    bucket_set(&bucket, 10, 20, 0);
    assert_int_equal(bucket_level(&bucket, 0), 20);
    bucket_set(&bucket, 10, 1000, S);
    assert_int_equal(bucket_level(&bucket, S), 20);
    assert_int_equal(bucket_level(&bucket, 2 * S), 30);
    bucket_set(&bucket, 0, 0, 2 * S);
    assert_int_equal(bucket_level(&bucket, 2 * S), UINT64_MAX);
}

static void no_number_is_too_large(void **state)
{
    struct bucket bucket = {0};

    (void)state;
    bucket_set(&bucket, UINT64_MAX, UINT64_MAX, 0);
    for (int i = 0; i < 10; i++)
        bucket_take(&bucket, UINT64_MAX);
    assert_true(bucket_wait_ns(&bucket, 0) > 0);
    assert_true(bucket_level(&bucket, S) > 0);
    bucket_set(&bucket, 1, UINT64_MAX, S);
    for (int i = 0; i < 10; i++)
        bucket_take(&bucket, UINT64_MAX);
    assert_true(bucket_wait_ns(&bucket, 2 * S) > S);
    /* A clock that was read earlier */
    assert_true(bucket_wait_ns(&bucket, 0) > S);
}

static void bytes_and_items_are_limited_each_on_its_own(void **state)
{
    const struct vmm_limit to = {
        .bytes = 1000000, .items = 100, .burst_ns = 100 * MS};
    struct limit limit = {0};

    (void)state;
    limit_set(&limit, &to, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(limit_wait_ns(&limit, 0), 0);
        limit_take(&limit, 1);
    }
    assert_int_equal(limit_wait_ns(&limit, 0), 10 * MS); /* the next item */
    assert_int_equal(limit_wait_ns(&limit, S), 0);
    limit_take(&limit, 300000);
    assert_int_equal(limit_wait_ns(&limit, S), 200 * MS + 1000); /* bytes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_rate_nothing_waits),
        cmocka_unit_test(it_begins_full_and_is_filled_by_its_rate),
        cmocka_unit_test(it_never_holds_more_than_its_burst),
        cmocka_unit_test(a_wait_lasts_exactly_until_there_is_a_token),
        cmocka_unit_test(a_debt_is_earned_before_anything_else),
        cmocka_unit_test(who_asks_often_gets_no_less_and_no_more),
        cmocka_unit_test(a_new_rate_keeps_what_is_left),
        cmocka_unit_test(no_number_is_too_large),
        cmocka_unit_test(bytes_and_items_are_limited_each_on_its_own),
    };

    return cmocka_run_group_tests_name("virtio_limit", tests, NULL, NULL);
}
