/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Timers: when they fire, in which order, and how they go. */
#include <stdint.h>

#include "loop_fixture.h"

static void a_timer_fires_once_and_not_early(void **state)
{
    struct fixture *f = *state;
    struct timed t = {0};
    uint64_t start;

    assert_int_equal(vmm_loop_timer(f->loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    start = vmm_now_ns();
    assert_int_equal(vmm_timer_set(t.timer, 2 * MS, 0), 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_true(t.fired_ns - start >= 2 * MS);
    assert_int_equal(vmm_loop_step(f->loop, 4 * MS), 0);
    assert_int_equal(t.calls, 1);
    vmm_timer_remove(t.timer);
}

static void a_periodic_timer_goes_on_until_cancelled(void **state)
{
    struct fixture *f = *state;
    struct timed t = {0};

    assert_int_equal(vmm_loop_timer(f->loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_timer_set(t.timer, 0, 1 * MS), 0);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
        assert_int_equal(t.calls, i);
    }
    assert_int_equal(vmm_timer_cancel(t.timer), 0);
    assert_int_equal(vmm_loop_step(f->loop, 3 * MS), 0);
    assert_int_equal(t.calls, 3);
}

#define MANY 500

struct ranked {
    struct vmm_timer *timer;
    struct ranks *ranks;
    uint64_t earliest_ns, latest_ns; /* its deadline lies between */
    int calls;
};

struct ranks {
    struct ranked timers[MANY];
    struct ranked *fired[MANY];
    int fired_len;
};

static void fire_ranked(void *context)
{
    struct ranked *timer = context;

    if (!timer->calls++)
        timer->ranks->fired[timer->ranks->fired_len++] = timer;
}

static void set_ranked(struct ranked *timer, uint64_t delay_ns)
{
    timer->earliest_ns = vmm_now_ns() + delay_ns;
    assert_int_equal(vmm_timer_set(timer->timer, delay_ns, 0), 0);
    timer->latest_ns = vmm_now_ns() + delay_ns;
}

/* Whatever the order in which they were set; all are moved once, a fifth is
 * removed. */
static void five_hundred_timers_fire_by_deadline(void **state)
{
    static struct ranks ranks;
    struct fixture *f = *state;
    uint64_t passed_ns = 0;

    for (int i = 0; i < MANY; i++) {
        struct ranked *timer = &ranks.timers[i];

        timer->ranks = &ranks;
        assert_int_equal(
            vmm_loop_timer(f->loop, fire_ranked, timer, &timer->timer, &f->err),
            0);
        set_ranked(timer, PATIENCE);
    }
    for (int i = 0; i < MANY; i++)
        set_ranked(&ranks.timers[i], 20000u * (uint64_t)(i * 7 % MANY));
    for (int i = 0; i < MANY; i += 5)
        vmm_timer_remove(ranks.timers[i].timer);
    while (ranks.fired_len < MANY - MANY / 5)
        assert_true(vmm_loop_step(f->loop, PATIENCE) > 0);
    for (int i = 0; i < ranks.fired_len; i++) {
        struct ranked *timer = ranks.fired[i];

        assert_int_equal(timer->calls, 1);
        assert_true(passed_ns <= timer->latest_ns);
        if (timer->earliest_ns > passed_ns)
            passed_ns = timer->earliest_ns;
    }
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
}

/* The cancelled one has the timerfd expire all the same. */
static void a_step_goes_on_waiting_where_a_timer_was_cancelled(void **state)
{
    struct fixture *f = *state;
    struct timed t[2] = {{0}, {0}};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(
            vmm_loop_timer(f->loop, fire, &t[i], &t[i].timer, &f->err), 0);
        vmm_timer_set(t[i].timer, (uint64_t)(i * 10 + 1) * MS, 0);
    }
    vmm_timer_cancel(t[0].timer);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(t[0].calls, 0);
    assert_int_equal(t[1].calls, 1);
}

static void remove_timers(void *context)
{
    struct timed *t = context;

    t[0].calls++;
    vmm_timer_remove(t[0].timer);
    vmm_timer_remove(t[1].timer);
}

static void a_timer_removes_itself_and_one_that_is_due(void **state)
{
    struct fixture *f = *state;
    struct timed t[2] = {{0}, {0}};

    assert_int_equal(
        vmm_loop_timer(f->loop, remove_timers, t, &t[0].timer, &f->err), 0);
    assert_int_equal(vmm_loop_timer(f->loop, fire, &t[1], &t[1].timer, &f->err),
                     0);
    vmm_timer_set(t[0].timer, 0, 1);
    vmm_timer_set(t[1].timer, 1, 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(t[0].calls, 1);
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
    assert_int_equal(t[1].calls, 0);
}

static void a_delay_too_long_to_count_means_never(void **state)
{
    struct fixture *f = *state;
    struct timed t = {0};

    assert_int_equal(vmm_loop_timer(f->loop, fire, &t, &t.timer, &f->err), 0);
    assert_int_equal(vmm_timer_set(t.timer, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
    assert_int_equal(vmm_timer_set(t.timer, 0, UINT64_MAX), 0);
    assert_int_equal(vmm_loop_step(f->loop, PATIENCE), 1);
    assert_int_equal(vmm_loop_step(f->loop, 1 * MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_timer_fires_once_and_not_early),
        TEST(a_periodic_timer_goes_on_until_cancelled),
        TEST(five_hundred_timers_fire_by_deadline),
        TEST(a_step_goes_on_waiting_where_a_timer_was_cancelled),
        TEST(a_timer_removes_itself_and_one_that_is_due),
        TEST(a_delay_too_long_to_count_means_never),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
